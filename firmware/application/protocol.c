/* SPDX-License-Identifier: Apache-2.0 */
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

/* ---------------------------------------------------------------- what changes nothing */

/** SPELA_STORE_EMPTY, where there is no store. */
#define NOTHING_FOUND 1U

static void answer_info(application_t *device, const request_t *request) {
    static const char name[] = APPLICATION_NAME;
    const spela_model_t *const model = &APPLICATION_MODEL;
    frame_writer_t *const writer = &device->writer;
    answer_start(device, request, (uint32_t)SPELA_OK);
    frame_write_u8(writer, PROTOCOL_VERSION);
    frame_write_u8(writer, model->flags);
    frame_write_u16(writer, model->layer_count);
    frame_write_u32(writer, APPLICATION_INPUT_COUNT);
    frame_write_u32(writer, model->classes);
    frame_write_u32(writer, model->digest);
    frame_write_u32(writer, APPLICATION_ARENA_SIZE);
    frame_write_u8(writer, (uint8_t)state_abilities(device));
#ifdef APPLICATION_STORE_UNIT
    frame_write_u8(writer, device->found);
#else
    frame_write_u8(writer, NOTHING_FOUND);
#endif
    frame_write_u16(writer, APPLICATION_DATA_BYTES);
    for (uint32_t i = 0U; name[i] != '\0'; i++) {
        frame_write_u8(writer, (uint8_t)name[i]);
    }
    frame_write_end(writer);
}

void write_result(application_t *device, const spela_result_t *result) {
    frame_write_u16(&device->writer, result->label);
    frame_write_u16(&device->writer, (uint16_t)result->cosine);
    frame_write_u16(&device->writer, (uint16_t)result->margin);
}

static void answer_infer(application_t *device, const request_t *request) {
    const uint16_t exits = spela_exits(&APPLICATION_MODEL);
    const uint16_t classes = APPLICATION_MODEL.classes;
    uint32_t bytes = request->data_bytes;
    for (uint16_t exit = 0U; exit < exits; exit++) {
        spela_result_t result;
        const spela_status_t status =
            spela_infer_exit(device->network, sample_of(request), bytes, exit, &result);
        if (status != SPELA_OK) { /* as it would be for every other exit */
            answer_status(device, request, (uint32_t)status);
            return;
        }
        if (exit == 0U) {
            answer_start(device, request, (uint32_t)SPELA_OK);
#ifdef SPELA_WITH_BACKBONE
            bytes = 0U; /* the same sample: its features are not computed again */
#endif
        }
        if (exit + 1U == exits) {
            figures_count(device, request, &result);
        }
        write_result(device, &result);
        const int32_t *scores = spela_scores(device->network);
        for (uint16_t c = 0U; c < classes; c++) {
            frame_write_u32(&device->writer, (uint32_t)scores[c]);
        }
    }
    frame_write_end(&device->writer);
}

static void answer_infer_last(application_t *device, const request_t *request) {
    spela_result_t result;
    const spela_status_t status =
        spela_infer(device->network, sample_of(request), request->data_bytes, &result);
    answer_start(device, request, (uint32_t)status);
    if (status == SPELA_OK) {
        figures_count(device, request, &result);
        write_result(device, &result);
    }
    frame_write_end(&device->writer);
}

static void answer_infer_early(application_t *device, const request_t *request) {
    spela_result_t result;
    const spela_status_t status =
        spela_infer_early(device->network, sample_of(request), request->data_bytes, &result);
    answer_start(device, request, (uint32_t)status);
    if (status == SPELA_OK) {
        figures_count(device, request, &result);
        write_result(device, &result);
        frame_write_u16(&device->writer, result.exit);
    }
    frame_write_end(&device->writer);
}

#ifdef SPELA_WITH_BACKBONE
static void answer_features(application_t *device, const request_t *request) {
    const int8_t *features = NULL;
    const spela_status_t status =
        spela_features(device->network, sample_of(request), request->data_bytes, &features);
    answer_start(device, request, (uint32_t)status);
    if (status == SPELA_OK) {
        frame_write_bytes(&device->writer, (const uint8_t *)features, APPLICATION_FEATURE_COUNT);
    }
    frame_write_end(&device->writer);
}
#endif

#ifdef SPELA_WITH_FRONT_END
static void answer_sample(application_t *device, const request_t *request) {
    const int8_t *const sample = spela_sample_take(&APPLICATION_FRONT_END);
    if (sample == NULL) {
        answer_status(device, request, PROTOCOL_NOT_READY);
        return;
    }
    answer_start(device, request, (uint32_t)SPELA_OK);
    frame_write_bytes(&device->writer, (const uint8_t *)sample, APPLICATION_INPUT_COUNT);
    frame_write_end(&device->writer);
}
#endif

/* Offset and length. */
#define STATE_DATA_BYTES 8U

static void answer_state(application_t *device, const request_t *request) {
    if (request->data_bytes != STATE_DATA_BYTES) {
        answer_status(device, request, PROTOCOL_LENGTH);
        return;
    }
    const uint32_t offset = word_at(request->data);
    const uint32_t length = word_at(&request->data[4]);
    if (request->argument >= APPLICATION_LAYER_COUNT) {
        answer_status(device, request, (uint32_t)SPELA_ERROR_ARGUMENT);
        return;
    }
    spela_layer_view_t view;
    const spela_status_t status = spela_view(device->network, (uint16_t)request->argument, &view);
    if (status != SPELA_OK) {
        answer_status(device, request, (uint32_t)status);
    } else if (offset > view.weight_bytes || length > view.weight_bytes - offset) {
        answer_status(device, request, PROTOCOL_RANGE);
    } else {
        frame_writer_t *const writer = &device->writer;
        answer_start(device, request, (uint32_t)SPELA_OK);
        frame_write_u32(writer, (uint32_t)view.weight_bytes);
        frame_write_u32(writer, view.updates);
        frame_write_u32(writer, view.halvings);
        frame_write_u32(writer, view.pending);
        frame_write_bytes(writer, (const uint8_t *)view.weights + offset, length);
        frame_write_end(writer);
    }
}

static void answer_counters(application_t *device, const request_t *request) {
    frame_writer_t *const writer = &device->writer;
    spela_counters_t counters;
    const spela_status_t status = spela_counters(device->network, &counters);
    answer_start(device, request, (uint32_t)status);
    if (status == SPELA_OK) {
        frame_write_u32(writer, counters.samples);
        frame_write_u32(writer, counters.layer_updates);
        frame_write_u32(writer, counters.multipliers_clipped);
        frame_write_u32(writer, counters.halvings);
        frame_write_u32(writer, counters.silent);
        frame_write_u32(writer, spela_digest(device->network));
    }
    frame_write_end(writer);
}

/* --------------------------------------------------------------- what changes something */

static uint32_t learn(application_t *device, const request_t *request) {
#ifdef SPELA_INFERENCE_ONLY
    (void)device;
    (void)request;
    return (uint32_t)SPELA_ERROR_READ_ONLY;
#else
    if (device->kept.is_frozen != 0U) {
        return PROTOCOL_FROZEN;
    }
    spela_result_t result;
    const uint16_t label =
        (uint16_t)(request->argument < UINT16_MAX ? request->argument : UINT16_MAX);
    const spela_status_t status =
        spela_learn(device->network, sample_of(request), request->data_bytes, label, &result);
    if (status != SPELA_OK) {
        return (uint32_t)status;
    }
    class_figures_t *const figures = &device->kept.classes[label];
    count_up(&figures->learned);
    if (result.label == label) {
        count_up(&figures->right);
    }
    figures_count(device, request, &result);
    keep_u16(device, result.label);
    keep_u16(device, (uint16_t)result.cosine);
    keep_u16(device, (uint16_t)result.margin);
    keep_u16(device, guard_count(device));
    if ((request->flags & LEARN_FLAG_DIGEST) != 0U) {
        keep_u32(device, spela_digest(device->network));
    }
    return (uint32_t)SPELA_OK;
#endif
}

#ifdef SPELA_WITH_FRONT_END
#define PUSH_RESTARTS 1U

/** Takes readings as an interrupt would, and does after each what the main loop would. */
static uint32_t push(application_t *device, const request_t *request) {
    const uint32_t reading_bytes = APPLICATION_AXES * (uint32_t)sizeof(application_reading_t);
    if (request->data_bytes % reading_bytes != 0U) {
        return PROTOCOL_LENGTH;
    }
    if (request->argument > PUSH_RESTARTS) {
        return (uint32_t)SPELA_ERROR_ARGUMENT;
    }
    if (request->argument == PUSH_RESTARTS) {
        spela_front_end_restart(&APPLICATION_FRONT_END);
    }
    const application_reading_t *const values =
        (const application_reading_t *)(const void *)request->data;
    const uint32_t count = request->data_bytes / (uint32_t)sizeof(application_reading_t);
    uint32_t taken = 0U;
    bool is_ready = spela_sample_ready(&APPLICATION_FRONT_END);
    for (uint32_t at = 0U; at < count; at += APPLICATION_AXES) {
        taken += APPLICATION_PUSH(&values[at]) ? 1U : 0U;
        is_ready = spela_sample_ready(&APPLICATION_FRONT_END);
    }
    keep_u16(device, taken);
    keep_u16(device, is_ready ? 1U : 0U);
    return (uint32_t)SPELA_OK;
}
#endif

/** Does what a request asks; returns the status. The body of the answer is kept. */
static uint32_t change(application_t *device, const request_t *request) {
    switch (request->command) {
    case COMMAND_LEARN:
        return learn(device, request);
    case COMMAND_RESET:
        return state_reset(device);
    case COMMAND_FLUSH:
        return (uint32_t)spela_flush(device->network);
    case COMMAND_GUARD:
        return guard_answer(device);
#ifdef SPELA_WITH_FRONT_END
    case COMMAND_PUSH:
        return push(device, request);
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

#ifdef SPELA_WITH_FRONT_END
static bool takes_sample(uint8_t command) {
#ifdef SPELA_WITH_CONTINUAL
    if (command == COMMAND_ASK) {
        return true;
    }
#endif
    return command == COMMAND_INFER || command == COMMAND_INFER_LAST ||
           command == COMMAND_INFER_EARLY || command == COMMAND_LEARN;
}

/** Puts the front end's sample in the place of one of no values; returns whether there is one. */
static bool find_sample(request_t *request) {
    if (!takes_sample(request->command) || request->data_bytes > 0U) {
        return true;
    }
    request->data = (const uint8_t *)spela_sample_take(&APPLICATION_FRONT_END);
    request->data_bytes = APPLICATION_INPUT_COUNT;
    return request->data != NULL;
}
#endif

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
        answer_infer_last(device, request);
        break;
    case COMMAND_INFER_EARLY:
        answer_infer_early(device, request);
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
    case COMMAND_ASK:
        answer_ask(device, request);
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
    if (!find_sample(&request)) {
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
