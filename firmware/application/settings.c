/* SPDX-License-Identifier: Apache-2.0 */
/** What is kept beside the network's own state: settings, names and figures. */
#include "request.h"

#include "spela_arithmetic.h"

#define ONE_Q14      16384
#define RECENT_SHIFT 4U /* a new margin is a sixteenth of `recent` */
#define RECENT_SCALE 65536

/* -------------------------------------------------------------------------- settings */

void settings_reset(application_t *device) {
    uint8_t *const kept = (uint8_t *)&device->kept;
    for (uint32_t i = 0U; i < sizeof device->kept; i++) {
        kept[i] = 0U;
    }
    device->kept.baseline = NO_BASELINE;
    for (uint32_t i = 0U; i < APPLICATION_LAYER_COUNT; i++) {
        const spela_layer_t *const layer = &APPLICATION_MODEL.layers[i];
        const layer_settings_t settings = {layer->learner.rate_mantissa, layer->learner.rate_shift,
                                           layer->exit.exit_margin, layer->exit.reject_cosine};
        device->kept.layers[i] = settings;
    }
    settings_apply(device);
}

void settings_apply(application_t *device) {
    for (uint32_t i = 0U; i < APPLICATION_LAYER_COUNT; i++) {
        const layer_settings_t *const settings = &device->kept.layers[i];
        spela_layer_t *const layer = &device->layers[i];
        layer->learner.rate_mantissa = settings->rate_mantissa;
        layer->learner.rate_shift = settings->rate_shift;
        layer->exit.exit_margin = settings->exit_margin;
        layer->exit.reject_cosine = settings->reject_cosine;
    }
}

static uint32_t set_name(application_t *device, const request_t *request) {
    if (request->argument >= APPLICATION_CLASS_COUNT) {
        return (uint32_t)SPELA_ERROR_ARGUMENT;
    }
    if (request->data_bytes > NAME_BYTES) {
        return PROTOCOL_LENGTH;
    }
    uint8_t *const name = device->kept.names[request->argument];
    for (uint32_t i = 0U; i < NAME_BYTES && request->data_bytes != 0U; i++) {
        name[i] = i < request->data_bytes ? request->data[i] : 0U;
    }
    keep_bytes(device, name, NAME_BYTES);
    return (uint32_t)SPELA_OK;
}

static uint32_t set_frozen(application_t *device, const request_t *request) {
    if (request->data_bytes != 0U) {
        return PROTOCOL_LENGTH;
    }
    if (request->argument > 1U) {
        return (uint32_t)SPELA_ERROR_ARGUMENT;
    }
    device->kept.is_frozen = (uint8_t)request->argument;
    return (uint32_t)SPELA_OK;
}

/* Two numbers of 16 bits. */
#define PAIR_BYTES 4U

static uint32_t set_rate(application_t *device, const request_t *request,
                         layer_settings_t *settings) {
    if (request->data_bytes == PAIR_BYTES) { /* any will do: docs/arithmetic.md, 5 */
        settings->rate_mantissa = (uint16_t)half_at(request->data);
        settings->rate_shift = (int16_t)half_at(&request->data[2]);
    }
    keep_u16(device, settings->rate_mantissa);
    keep_u16(device, (uint16_t)settings->rate_shift);
    return (uint32_t)SPELA_OK;
}

static uint32_t set_thresholds(application_t *device, const request_t *request,
                               layer_settings_t *settings) {
    if (request->data_bytes == PAIR_BYTES) {
        const int32_t margin = (int16_t)half_at(request->data);
        const int32_t cosine = (int16_t)half_at(&request->data[2]);
        if (margin < 0 || cosine < -ONE_Q14 || cosine > ONE_Q14) {
            return (uint32_t)SPELA_ERROR_ARGUMENT;
        }
        settings->exit_margin = (int16_t)margin;
        settings->reject_cosine = (int16_t)cosine;
    }
    keep_u16(device, (uint16_t)settings->exit_margin);
    keep_u16(device, (uint16_t)settings->reject_cosine);
    return (uint32_t)SPELA_OK;
}

static uint32_t set_layer(application_t *device, const request_t *request) {
    if (request->argument >= APPLICATION_LAYER_COUNT) {
        return (uint32_t)SPELA_ERROR_ARGUMENT;
    }
    if (request->data_bytes != 0U && request->data_bytes != PAIR_BYTES) {
        return PROTOCOL_LENGTH;
    }
    layer_settings_t *const settings = &device->kept.layers[request->argument];
    const uint32_t status = request->command == COMMAND_RATE
                                ? set_rate(device, request, settings)
                                : set_thresholds(device, request, settings);
    settings_apply(device);
    return status;
}

uint32_t settings_change(application_t *device, const request_t *request) {
    switch (request->command) {
    case COMMAND_NAME:
        return set_name(device, request);
    case COMMAND_FREEZE:
        return set_frozen(device, request);
    default:
        return set_layer(device, request);
    }
}

/* --------------------------------------------------------------------------- figures */

void figures_count(application_t *device, const request_t *request, const spela_result_t *result) {
    if (request->is_repeated) {
        return;
    }
    if (result->label == SPELA_UNKNOWN) {
        count_up(&device->kept.unknown);
        return;
    }
    class_figures_t *const figures = &device->kept.classes[result->label];
    const int32_t margin = result->margin * RECENT_SCALE; /* a margin is not negative */
    if (figures->answered == UINT32_MAX) {
        return;
    }
    if (figures->answered == 0U) {
        figures->recent = margin;
    } else {
        figures->recent += spela_shift_right_rounded(margin - figures->recent, RECENT_SHIFT);
    }
    figures->answered++;
    figures->margins += result->margin;
}

/** How many weights of a layer are at an end of their range; padding is zero. */
static uint32_t saturated(const application_t *device, uint32_t index,
                          const spela_layer_view_t *view) {
    const spela_layer_t *const layer = &device->layers[index];
    const bool is_int16 = (device->model.flags & (uint32_t)SPELA_FLAG_WEIGHTS_INT16) != 0U &&
                          layer->kind != (uint8_t)SPELA_LAYER_READOUT;
    /* of filters of 12 bits, what lies behind their int8 part is not counted */
    const int32_t half = is_int16 ? INT32_C(1) << (layer->weight_bits - 1U) : INT32_C(128);
    const uint32_t count =
        ((layer->units + 3U) & ~UINT32_C(3)) * ((layer->inputs + 3U) & ~UINT32_C(3));
    uint32_t found = 0U;
    for (uint32_t i = 0U; i < count; i++) {
        const int32_t weight =
            is_int16 ? ((const int16_t *)view->weights)[i] : ((const int8_t *)view->weights)[i];
        found += weight == -half || weight == half - 1 ? 1U : 0U;
    }
    return found;
}

/** Layers that had nothing to learn from a sample. */
static uint32_t skipped(const spela_counters_t *counters) {
    const uint64_t passed = (uint64_t)counters->samples * APPLICATION_LAYER_COUNT;
    const uint64_t rest = passed > counters->layer_updates ? passed - counters->layer_updates : 0U;
    return rest > UINT32_MAX ? UINT32_MAX : (uint32_t)rest;
}

void answer_statistics(application_t *device, const request_t *request) {
    frame_writer_t *const writer = &device->writer;
    spela_counters_t counters;
    (void)spela_counters(device->network, &counters);
    answer_start(device, request, (uint32_t)SPELA_OK);
    frame_write_u32(writer, counters.layer_updates);
    frame_write_u32(writer, skipped(&counters));
    frame_write_u32(writer, counters.multipliers_clipped);
    frame_write_u32(writer, counters.halvings);
    frame_write_u32(writer, counters.silent);
    frame_write_u32(writer, device->kept.unknown);
    for (uint32_t i = 0U; i < APPLICATION_LAYER_COUNT; i++) {
        spela_layer_view_t view;
        (void)spela_view(device->network, (uint16_t)i, &view);
        frame_write_u32(writer, saturated(device, i, &view));
        frame_write_u32(writer, view.halvings);
        frame_write_u32(writer, view.pending);
    }
    for (uint32_t c = 0U; c < APPLICATION_CLASS_COUNT; c++) {
        const class_figures_t *const figures = &device->kept.classes[c];
        frame_write_u32(writer, (uint32_t)(uint64_t)figures->margins);
        frame_write_u32(writer, (uint32_t)((uint64_t)figures->margins >> 32));
        frame_write_u32(writer, figures->learned);
        frame_write_u32(writer, figures->right);
        frame_write_u32(writer, figures->answered);
        frame_write_u32(writer, (uint32_t)figures->recent);
    }
    frame_write_end(writer);
}
