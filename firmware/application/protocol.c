/* SPDX-License-Identifier: Apache-2.0 */
/** Requests: each is read, passed on, and answered once. */
#include "protocol.h"

#include "request.h"
#ifdef SPELA_WITH_BACKBONE
#include "spela_front.h"
#endif

void answer_start(application_t *device, const request_t *request, uint32_t status) {
    frame_write_start(&device->writer);
    frame_write_u8(&device->writer, request->command);
    frame_write_u8(&device->writer, (uint8_t)status);
    frame_write_u16(&device->writer, request->number);
}

void answer_status(application_t *device, const request_t *request, uint32_t status) {
    answer_start(device, request, status);
    frame_write_end(&device->writer);
}

void keep_u16(application_t *device, uint32_t value) {
    last_request_t *const last = &device->last;
    last->body[last->bytes] = (uint8_t)value;
    last->body[last->bytes + 1U] = (uint8_t)(value >> 8);
    last->bytes = (uint8_t)(last->bytes + 2U);
}

void keep_u32(application_t *device, uint32_t value) {
    keep_u16(device, value);
    keep_u16(device, value >> 16);
}

void keep_bytes(application_t *device, const uint8_t *bytes, uint32_t count) {
    last_request_t *const last = &device->last;
    for (uint32_t i = 0U; i < count; i++) {
        last->body[last->bytes] = bytes[i];
        last->bytes++;
    }
}

/** Does what a request asks; returns the status. The body of the answer is kept. */
static uint32_t change(application_t *device, const request_t *request) {
    switch (request->command) {
    case COMMAND_LEARN:
        return network_learn(device, request);
    case COMMAND_RESET:
        return state_reset(device);
    case COMMAND_FLUSH:
        return (uint32_t)spela_flush(device->network);
    case COMMAND_GUARD:
        return guard_answer(device);
#ifdef SPELA_WITH_FRONT_END
    case COMMAND_PUSH:
        return front_end_push(device, request);
#endif
    case COMMAND_NAME:
    case COMMAND_FREEZE:
    case COMMAND_RATE:
    case COMMAND_THRESHOLDS:
        return settings_change(device, request);
#ifdef SPELA_WITH_CONTINUAL
    case COMMAND_ADD_CLASS:
    case COMMAND_FORGET:
    case COMMAND_REHEARSE:
        return classes_change(device, request);
#endif
    default:
        return state_change(device, request);
    }
}

/* --------------------------------------------------------------------------- requests */

static bool changes(uint8_t command) {
    switch (command) {
    case COMMAND_LEARN:
    case COMMAND_RESET:
    case COMMAND_FLUSH:
    case COMMAND_SAVE:
    case COMMAND_LOAD:
    case COMMAND_CHECKPOINT:
    case COMMAND_ROLLBACK:
    case COMMAND_IMPORT_START:
    case COMMAND_IMPORT_PART:
    case COMMAND_IMPORT_END:
    case COMMAND_NAME:
    case COMMAND_FREEZE:
    case COMMAND_RATE:
    case COMMAND_THRESHOLDS:
    case COMMAND_GUARD:
#ifdef SPELA_WITH_FRONT_END
    case COMMAND_PUSH:
#endif
#ifdef SPELA_WITH_CONTINUAL
    case COMMAND_ADD_CLASS:
    case COMMAND_FORGET:
    case COMMAND_REHEARSE:
#endif
        return true;
    default:
        return false;
    }
}

static bool takes_no_data(uint8_t command) {
    switch (command) {
    case COMMAND_INFO:
    case COMMAND_COUNTERS:
    case COMMAND_RESET:
    case COMMAND_FLUSH:
    case COMMAND_SAVE:
    case COMMAND_LOAD:
    case COMMAND_CHECKPOINT:
    case COMMAND_ROLLBACK:
    case COMMAND_STORE:
    case COMMAND_IMPORT_END:
    case COMMAND_STATISTICS:
    case COMMAND_GUARD:
#ifdef SPELA_WITH_CONTINUAL
    case COMMAND_CLASSES:
#endif
        return true;
    default:
        return false;
    }
}

static void answer_kept(application_t *device, const request_t *request) {
    answer_start(device, request, device->last.status);
    frame_write_bytes(&device->writer, device->last.body, device->last.bytes);
    frame_write_end(&device->writer);
}

static void answer_change(application_t *device, const request_t *request) {
    last_request_t *const last = &device->last;
    last->is_kept = true;
    last->bytes = 0U;
    const uint32_t status = change(device, request);
    last->status = (uint8_t)status;
    if (status != (uint32_t)SPELA_OK) {
        last->bytes = 0U;
    }
    answer_kept(device, request);
}

static void dispatch(application_t *device, const request_t *request) {
    if (device->network == NULL) {
        answer_status(device, request, (uint32_t)SPELA_ERROR_MODEL);
        return;
    }
    if (takes_no_data(request->command) && request->data_bytes != 0U) {
        answer_status(device, request, PROTOCOL_LENGTH);
        return;
    }
    if (changes(request->command)) {
        answer_change(device, request);
        return;
    }
    switch (request->command) {
    case COMMAND_INFO:
        answer_info(device, request);
        break;
    case COMMAND_INFER:
        answer_infer(device, request);
        break;
    case COMMAND_INFER_LAST:
    case COMMAND_INFER_EARLY:
#ifdef SPELA_WITH_CONTINUAL
    case COMMAND_ASK:
#endif
        answer_result(device, request);
        break;
#ifdef SPELA_WITH_BACKBONE
    case COMMAND_FEATURES:
        answer_features(device, request);
        break;
    case COMMAND_RECALL:
        answer_status(
            device, request,
            (uint32_t)spela_recall(device->network, sample_of(request), request->data_bytes));
        break;
#endif
#ifdef SPELA_WITH_FRONT_END
    case COMMAND_SAMPLE:
        answer_sample(device, request);
        break;
#endif
    case COMMAND_STATE:
        answer_state(device, request);
        break;
    case COMMAND_COUNTERS:
        answer_counters(device, request);
        break;
    case COMMAND_STORE:
        answer_store(device, request);
        break;
    case COMMAND_EXPORT:
        answer_export(device, request);
        break;
    case COMMAND_STATISTICS:
        answer_statistics(device, request);
        break;
#ifdef SPELA_WITH_CONTINUAL
    case COMMAND_CLASSES:
        answer_classes(device, request);
        break;
#else
    case COMMAND_FORGET:
        answer_status(device, request, PROTOCOL_UNSUPPORTED);
        break;
#endif
    default:
        answer_status(device, request, PROTOCOL_UNKNOWN);
        break;
    }
}

void protocol_answer(application_t *device, uint32_t payload_bytes) {
    const uint8_t *const payload = device->frame;
    last_request_t *const last = &device->last;
    request_t request = {COMMAND_NONE, 0U, 0U, 0U, NULL, 0U, false};
    if (payload_bytes > 0U) {
        request.command = payload[0];
    }
    if (payload_bytes < REQUEST_HEAD_BYTES) {
        answer_status(device, &request, PROTOCOL_LENGTH);
        return;
    }
    request.flags = payload[1];
    request.number = (uint16_t)half_at(&payload[2]);
    request.argument = word_at(&payload[4]);
    request.data = &payload[REQUEST_HEAD_BYTES];
    request.data_bytes = payload_bytes - REQUEST_HEAD_BYTES;
    const uint32_t crc = word_at(&payload[payload_bytes]); /* lies there since it was checked */
    request.is_repeated = last->is_known && last->number == request.number && last->crc == crc;
    if (request.is_repeated && last->is_kept) {
        answer_kept(device, &request);
        return;
    }
    last->is_known = true;
    last->is_kept = false;
    last->number = request.number;
    last->crc = crc;
#ifdef SPELA_WITH_FRONT_END
    if (!front_end_find_sample(&request)) {
        answer_status(device, &request, PROTOCOL_NOT_READY);
        return;
    }
#endif
    dispatch(device, &request);
}

void protocol_refuse(application_t *device, frame_event_t event) {
    const request_t none = {COMMAND_NONE, 0U, 0U, 0U, NULL, 0U, false};
    uint32_t status = PROTOCOL_MALFORMED;
    if (event == FRAME_DAMAGED) {
        status = PROTOCOL_DAMAGED;
    } else if (event == FRAME_OVERLONG) {
        status = PROTOCOL_OVERLONG;
    }
    answer_status(device, &none, status);
}
