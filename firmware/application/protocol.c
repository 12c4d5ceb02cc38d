/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

#include "application_config.h"
#ifdef SPELA_WITH_BACKBONE
#include "spela_front.h"
#endif

typedef struct {
    uint8_t command;
    uint8_t flags;
    uint16_t argument;
    const uint8_t *data;
    uint32_t data_bytes;
} request_t;

static uint32_t word_at(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8) | ((uint32_t)bytes[2] << 16) |
           ((uint32_t)bytes[3] << 24);
}

static void start(frame_writer_t *writer, uint8_t command, uint32_t status) {
    frame_write_start(writer);
    frame_write_u8(writer, command);
    frame_write_u8(writer, (uint8_t)status);
}

/* An answer without a body. */
static void answer_status(frame_writer_t *writer, const request_t *request, uint32_t status) {
    start(writer, request->command, status);
    frame_write_end(writer);
}

static void write_result(frame_writer_t *writer, const spela_result_t *result) {
    frame_write_u16(writer, result->label);
    frame_write_u16(writer, (uint16_t)result->cosine);
    frame_write_u16(writer, (uint16_t)result->margin);
}

static void answer_info(frame_writer_t *writer, const spela_t *network, const request_t *request) {
    static const char name[] = APPLICATION_NAME;
    const spela_model_t *model = &APPLICATION_MODEL;
    start(writer, request->command, (uint32_t)(network == NULL ? SPELA_ERROR_MODEL : SPELA_OK));
    frame_write_u8(writer, PROTOCOL_VERSION);
    frame_write_u8(writer, model->flags);
    frame_write_u16(writer, model->layer_count);
    frame_write_u32(writer, APPLICATION_INPUT_COUNT);
    frame_write_u32(writer, model->classes);
    frame_write_u32(writer, model->digest);
    frame_write_u32(writer, APPLICATION_ARENA_SIZE);
    for (uint32_t i = 0U; name[i] != '\0'; i++) {
        frame_write_u8(writer, (uint8_t)name[i]);
    }
    frame_write_end(writer);
}

/* The library checks the length, as it checks the label. */
static const int8_t *sample_of(const request_t *request) {
    return (const int8_t *)request->data;
}

static void answer_infer(frame_writer_t *writer, spela_t *network, const request_t *request) {
    const uint16_t exits = APPLICATION_MODEL.layer_count;
    const uint16_t classes = APPLICATION_MODEL.classes;
    uint32_t bytes = request->data_bytes;
    for (uint16_t exit = 0U; exit < exits; exit++) {
        spela_result_t result;
        const spela_status_t status =
            spela_infer_exit(network, sample_of(request), bytes, exit, &result);
        if (status != SPELA_OK) { /* as it would be for every other exit */
            answer_status(writer, request, (uint32_t)status);
            return;
        }
        if (exit == 0U) {
            start(writer, request->command, (uint32_t)SPELA_OK);
#ifdef SPELA_WITH_BACKBONE
            bytes = 0U; /* the same sample: its features are not computed again */
#endif
        }
        write_result(writer, &result);
        const int32_t *scores = spela_scores(network);
        for (uint16_t c = 0U; c < classes; c++) {
            frame_write_u32(writer, (uint32_t)scores[c]);
        }
    }
    frame_write_end(writer);
}

static void answer_infer_last(frame_writer_t *writer, spela_t *network, const request_t *request) {
    spela_result_t result;
    const spela_status_t status =
        spela_infer(network, sample_of(request), request->data_bytes, &result);
    start(writer, request->command, (uint32_t)status);
    if (status == SPELA_OK) {
        write_result(writer, &result);
    }
    frame_write_end(writer);
}

static void answer_infer_early(frame_writer_t *writer, spela_t *network, const request_t *request) {
    spela_result_t result;
    const spela_status_t status =
        spela_infer_early(network, sample_of(request), request->data_bytes, &result);
    start(writer, request->command, (uint32_t)status);
    if (status == SPELA_OK) {
        write_result(writer, &result);
        frame_write_u16(writer, result.exit);
    }
    frame_write_end(writer);
}

#ifdef SPELA_WITH_BACKBONE
static void answer_features(frame_writer_t *writer, spela_t *network, const request_t *request) {
    const int8_t *features = NULL;
    const spela_status_t status =
        spela_features(network, sample_of(request), request->data_bytes, &features);
    start(writer, request->command, (uint32_t)status);
    if (status == SPELA_OK) {
        const uint32_t count = APPLICATION_MODEL.front->backbone->features;
        frame_write_bytes(writer, (const uint8_t *)features, count);
    }
    frame_write_end(writer);
}
#endif

static void answer_learn(frame_writer_t *writer, spela_t *network, const request_t *request) {
#ifdef SPELA_INFERENCE_ONLY
    (void)network;
    answer_status(writer, request, (uint32_t)SPELA_ERROR_READ_ONLY);
#else
    spela_result_t result;
    const spela_status_t status =
        spela_learn(network, sample_of(request), request->data_bytes, request->argument, &result);
    start(writer, request->command, (uint32_t)status);
    if (status == SPELA_OK) {
        write_result(writer, &result);
        if ((request->flags & LEARN_FLAG_DIGEST) != 0U) {
            frame_write_u32(writer, spela_digest(network));
        }
    }
    frame_write_end(writer);
#endif
}

static void answer_state(frame_writer_t *writer, const spela_t *network, const request_t *request) {
    if (request->data_bytes != STATE_REQUEST_BYTES - REQUEST_HEAD_BYTES) {
        answer_status(writer, request, PROTOCOL_LENGTH);
        return;
    }
    const uint32_t offset = word_at(request->data);
    const uint32_t length = word_at(&request->data[4]);
    spela_layer_view_t view;
    const spela_status_t status = spela_view(network, request->argument, &view);
    if (status != SPELA_OK) {
        answer_status(writer, request, (uint32_t)status);
    } else if (offset > view.weight_bytes || length > view.weight_bytes - offset) {
        answer_status(writer, request, PROTOCOL_RANGE);
    } else {
        start(writer, request->command, (uint32_t)SPELA_OK);
        frame_write_u32(writer, (uint32_t)view.weight_bytes);
        frame_write_u32(writer, view.updates);
        frame_write_u32(writer, view.halvings);
        frame_write_bytes(writer, (const uint8_t *)view.weights + offset, length);
        frame_write_end(writer);
    }
}

static void answer_counters(frame_writer_t *writer, const spela_t *network,
                            const request_t *request) {
    spela_counters_t counters;
    const spela_status_t status = spela_counters(network, &counters);
    start(writer, request->command, (uint32_t)status);
    if (status == SPELA_OK) {
        frame_write_u32(writer, counters.samples);
        frame_write_u32(writer, counters.layer_updates);
        frame_write_u32(writer, counters.multipliers_clipped);
        frame_write_u32(writer, counters.halvings);
        frame_write_u32(writer, counters.silent);
        frame_write_u32(writer, spela_digest(network));
    }
    frame_write_end(writer);
}

/* Commands that take neither a sample nor a place in the weights. */
static bool takes_no_data(uint8_t command) {
    return command == COMMAND_INFO || command == COMMAND_COUNTERS || command == COMMAND_RESET ||
           command == COMMAND_FLUSH;
}

static void dispatch(frame_writer_t *writer, spela_t *network, const request_t *request) {
    if (takes_no_data(request->command) && request->data_bytes != 0U) {
        answer_status(writer, request, PROTOCOL_LENGTH);
        return;
    }
    switch (request->command) {
    case COMMAND_INFO:
        answer_info(writer, network, request);
        break;
    case COMMAND_INFER:
        answer_infer(writer, network, request);
        break;
    case COMMAND_INFER_LAST:
        answer_infer_last(writer, network, request);
        break;
    case COMMAND_INFER_EARLY:
        answer_infer_early(writer, network, request);
        break;
#ifdef SPELA_WITH_BACKBONE
    case COMMAND_FEATURES:
        answer_features(writer, network, request);
        break;
    case COMMAND_RECALL:
        answer_status(writer, request,
                      (uint32_t)spela_recall(network, sample_of(request), request->data_bytes));
        break;
#endif
    case COMMAND_LEARN:
        answer_learn(writer, network, request);
        break;
    case COMMAND_STATE:
        answer_state(writer, network, request);
        break;
    case COMMAND_COUNTERS:
        answer_counters(writer, network, request);
        break;
    case COMMAND_RESET:
        answer_status(writer, request, (uint32_t)spela_reset(network));
        break;
    case COMMAND_FLUSH:
        answer_status(writer, request, (uint32_t)spela_flush(network));
        break;
    default:
        answer_status(writer, request, PROTOCOL_UNKNOWN);
        break;
    }
}

void protocol_answer(frame_writer_t *writer, spela_t *network, const uint8_t *payload,
                     uint32_t payload_bytes) {
    request_t request = {COMMAND_NONE, 0U, 0U, NULL, 0U};
    if (payload_bytes > 0U) {
        request.command = payload[0];
    }
    if (payload_bytes < REQUEST_HEAD_BYTES) {
        answer_status(writer, &request, PROTOCOL_LENGTH);
        return;
    }
    request.flags = payload[1];
    request.argument = (uint16_t)(payload[2] | ((uint32_t)payload[3] << 8));
    request.data = &payload[REQUEST_HEAD_BYTES];
    request.data_bytes = payload_bytes - REQUEST_HEAD_BYTES;
    dispatch(writer, network, &request);
}

void protocol_refuse(frame_writer_t *writer, frame_event_t event) {
    uint32_t status = PROTOCOL_MALFORMED;
    if (event == FRAME_DAMAGED) {
        status = PROTOCOL_DAMAGED;
    } else if (event == FRAME_OVERLONG) {
        status = PROTOCOL_OVERLONG;
    }
    start(writer, COMMAND_NONE, status);
    frame_write_end(writer);
}
