/* SPDX-License-Identifier: Apache-2.0 */
/** A backbone's table of operators: its check, and the switch that runs it. */
#include "spela_backbone.h"

#include "spela_operators.h"

#ifndef SPELA_NO_CONVOLUTION
const uint8_t spela_runtime_for_convolution = 1U;
#endif
#ifndef SPELA_NO_DEPTHWISE
const uint8_t spela_runtime_for_depthwise = 1U;
#endif
#ifndef SPELA_NO_POOL
const uint8_t spela_runtime_for_pools = 1U;
#endif
#ifndef SPELA_NO_ELEMENTWISE
const uint8_t spela_runtime_for_elementwise = 1U;
#endif
#ifndef SPELA_NO_PAD
const uint8_t spela_runtime_for_padding = 1U;
#endif

#define NARROWING_SHIFT_MAX 22 /* the rounding, zero point included, stays below 2^30 */
#define SHIFT_MIN           (-31)
#define SHIFT_MAX           30
#define ARENA_MAX           (UINT32_C(1) << 30)

static bool map_is_valid(const spela_map_t *map) {
    const uint32_t positions = (uint32_t)map->height * map->width;
    return positions >= 1U && positions <= SPELA_MAP_MAX && map->channels >= 1U &&
           map->channels <= SPELA_MAP_MAX / positions;
}

/** Whether a window has a size, and all that windows cover can be counted in 32 bits. */
static bool window_is_valid(const spela_operator_t *op) {
    const uint32_t taps = (uint32_t)op->window.height * op->window.width;
    return taps >= 1U && taps <= SPELA_TAPS_MAX && op->stride.height >= 1U &&
           op->stride.width >= 1U && op->dilation.height >= 1U && op->dilation.width >= 1U &&
           op->padding.height <= INT16_MAX && op->padding.width <= INT16_MAX &&
           spela_covered(op->output.height, op->stride.height, 1U, 1U) <= INT32_MAX / 4 &&
           spela_covered(op->output.width, op->stride.width, 1U, 1U) <= INT32_MAX / 4 &&
           spela_covered(1U, 1U, op->window.height, op->dilation.height) <= INT32_MAX / 4 &&
           spela_covered(1U, 1U, op->window.width, op->dilation.width) <= INT32_MAX / 4;
}

static bool channels_are_valid(const spela_operator_t *op, uint32_t count) {
    if (op->channels == NULL) {
        return false;
    }
    for (uint32_t i = 0U; i < count; i++) {
        const spela_channel_t *const channel = &op->channels[i];
        if (channel->multiplier < 0 ||
            (op->is_narrowing != 0U ? channel->shift < 1 || channel->shift > NARROWING_SHIFT_MAX
                                    : channel->shift < SHIFT_MIN || channel->shift > SHIFT_MAX)) {
            return false;
        }
    }
    return true;
}

/** Whether `bytes` from an offset on lie in the arena. */
static bool is_inside(const spela_backbone_t *backbone, uint32_t offset, uint32_t bytes) {
    return offset <= backbone->arena_bytes && bytes <= backbone->arena_bytes - offset;
}

static bool source_is_valid(const spela_backbone_t *backbone, const spela_operator_t *op,
                            uint32_t offset) {
    const uint32_t size = spela_map_size(&op->input);
    return offset == SPELA_SAMPLE ? size == backbone->inputs : is_inside(backbone, offset, size);
}

/** Whether a kind finds its sizes, channels and scratch as it needs them. */
static bool kind_is_valid(const spela_backbone_t *backbone, const spela_operator_t *op) {
    switch (op->kind) {
#ifndef SPELA_NO_CONVOLUTION
    case SPELA_OPERATOR_CONVOLUTION:
        return spela_convolution_is_valid(op) && channels_are_valid(op, op->output.channels) &&
               is_inside(backbone, op->scratch, spela_convolution_scratch(op));
#endif
#ifndef SPELA_NO_DEPTHWISE
    case SPELA_OPERATOR_DEPTHWISE:
        return spela_depthwise_is_valid(op) && channels_are_valid(op, op->output.channels) &&
               is_inside(backbone, op->scratch, spela_depthwise_scratch(op));
#endif
#ifndef SPELA_NO_POOL
    case SPELA_OPERATOR_AVERAGE_POOL:
    case SPELA_OPERATOR_MAX_POOL:
    case SPELA_OPERATOR_TAP:
        return spela_pool_is_valid(op);
    case SPELA_OPERATOR_MEAN:
        return spela_pool_is_valid(op) && channels_are_valid(op, 1U);
#endif
#ifndef SPELA_NO_ELEMENTWISE
    case SPELA_OPERATOR_ADD:
        return channels_are_valid(op, 3U) && spela_elementwise_is_valid(op);
    case SPELA_OPERATOR_ADD_CONSTANT:
        return channels_are_valid(op, 2U) && spela_elementwise_is_valid(op);
    case SPELA_OPERATOR_MULTIPLY_CONSTANT:
    case SPELA_OPERATOR_RESCALE:
        return channels_are_valid(op, 1U) && spela_elementwise_is_valid(op);
#endif
#ifndef SPELA_NO_PAD
    case SPELA_OPERATOR_PAD:
        return spela_pad_is_valid(op);
#endif
    default:
        return false;
    }
}

static bool operator_is_valid(const spela_backbone_t *backbone, const spela_operator_t *op) {
    return map_is_valid(&op->input) && map_is_valid(&op->output) && window_is_valid(op) &&
           source_is_valid(backbone, op, op->source) && source_is_valid(backbone, op, op->other) &&
           is_inside(backbone, op->target, spela_map_size(&op->output)) && op->scratch % 8U == 0U &&
           op->minimum <= op->maximum && kind_is_valid(backbone, op);
}

bool spela_backbone_is_valid(const spela_backbone_t *backbone) {
    if (backbone->operators == NULL || backbone->operator_count == 0U ||
        backbone->arena_bytes > ARENA_MAX ||
        !is_inside(backbone, backbone->features_offset, backbone->features) ||
        !is_inside(backbone, backbone->sample_offset, backbone->inputs)) {
        return false;
    }
    for (uint32_t i = 0U; i < backbone->operator_count; i++) {
        if (!operator_is_valid(backbone, &backbone->operators[i])) {
            return false;
        }
    }
    return true;
}

const int8_t *spela_backbone_run(const spela_backbone_t *backbone, const int8_t *sample,
                                 void *arena, uint32_t first, uint32_t end) {
    uint8_t *const bytes = arena;
    for (uint32_t i = first; i < end; i++) {
        const spela_operator_t *const op = &backbone->operators[i];
        spela_maps_t maps;
        maps.sources[0] = op->source == SPELA_SAMPLE ? sample : (const int8_t *)&bytes[op->source];
        maps.sources[1] = op->other == SPELA_SAMPLE ? sample : (const int8_t *)&bytes[op->other];
        maps.target = (int8_t *)&bytes[op->target];
        maps.scratch = &bytes[op->scratch];
        switch (op->kind) {
#ifndef SPELA_NO_CONVOLUTION
        case SPELA_OPERATOR_CONVOLUTION:
            spela_run_convolution(op, &maps);
            break;
#endif
#ifndef SPELA_NO_DEPTHWISE
        case SPELA_OPERATOR_DEPTHWISE:
            spela_run_depthwise(op, &maps);
            break;
#endif
#ifndef SPELA_NO_POOL
        case SPELA_OPERATOR_AVERAGE_POOL:
        case SPELA_OPERATOR_MAX_POOL:
        case SPELA_OPERATOR_MEAN:
        case SPELA_OPERATOR_TAP:
            spela_run_pool(op, &maps);
            break;
#endif
#ifndef SPELA_NO_ELEMENTWISE
        case SPELA_OPERATOR_ADD:
        case SPELA_OPERATOR_ADD_CONSTANT:
        case SPELA_OPERATOR_MULTIPLY_CONSTANT:
        case SPELA_OPERATOR_RESCALE:
            spela_run_elementwise(op, &maps);
            break;
#endif
#ifndef SPELA_NO_PAD
        case SPELA_OPERATOR_PAD:
            spela_run_pad(op, &maps);
            break;
#endif
        default: /* refused by spela_backbone_is_valid */
            break;
        }
    }
    return (const int8_t *)&bytes[backbone->features_offset];
}
