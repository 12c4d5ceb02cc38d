/* SPDX-License-Identifier: Apache-2.0 */
/** What is asked of the network: to infer, to learn, to show its weights and counters. */
#include "request.h"
#ifdef SPELA_WITH_BACKBONE
#include "spela_front.h"
#endif
#ifdef SPELA_WITH_CONTINUAL
#include "spela_continual.h"
#endif

/** SPELA_STORE_EMPTY, where there is no store. */
#define NOTHING_FOUND 1U

void answer_info(application_t *device, const request_t *request) {
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

/** Writes label, cosine and margin. */
static void write_result(application_t *device, const spela_result_t *result) {
    frame_write_u16(&device->writer, result->label);
    frame_write_u16(&device->writer, (uint16_t)result->cosine);
    frame_write_u16(&device->writer, (uint16_t)result->margin);
}

void answer_infer(application_t *device, const request_t *request) {
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

void answer_result(application_t *device, const request_t *request) {
    const bool is_last = request->command == (uint8_t)COMMAND_INFER_LAST;
    const int8_t *const sample = sample_of(request);
    spela_result_t result;
    const spela_status_t status =
        is_last ? spela_infer(device->network, sample, request->data_bytes, &result)
                : spela_infer_early(device->network, sample, request->data_bytes, &result);
    answer_start(device, request, (uint32_t)status);
    if (status == SPELA_OK) {
        figures_count(device, request, &result);
        write_result(device, &result);
        if (!is_last) {
            frame_write_u16(&device->writer, result.exit);
        }
#ifdef SPELA_WITH_CONTINUAL
        if (request->command == (uint8_t)COMMAND_ASK) {
            frame_write_u16(&device->writer, (uint16_t)spela_wants_label(device->network, &result));
        }
#endif
    }
    frame_write_end(&device->writer);
}

#ifdef SPELA_WITH_BACKBONE
void answer_features(application_t *device, const request_t *request) {
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

/* Offset and length. */
#define STATE_DATA_BYTES 8U

void answer_state(application_t *device, const request_t *request) {
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

void answer_counters(application_t *device, const request_t *request) {
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

uint32_t network_learn(application_t *device, const request_t *request) {
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
