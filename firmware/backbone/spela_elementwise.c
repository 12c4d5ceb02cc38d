/* SPDX-License-Identifier: Apache-2.0 */
/** Sums of maps, and what happens to each value by itself. */
#include "spela_elementwise.h"
#include "spela_operators.h"
#include "spela_requantize.h"

#ifndef SPELA_NO_ELEMENTWISE

#define ADDEND_SHIFT 20U /* to the left, before a summand is scaled */

#define NARROWING_LEFT_MAX 22

bool spela_elementwise_is_valid(const spela_operator_t *op) {
    const uint32_t size = spela_map_size(&op->input);
    const bool is_sum = op->kind == (uint8_t)SPELA_OPERATOR_ADD;
    const bool has_constant = op->kind == (uint8_t)SPELA_OPERATOR_ADD_CONSTANT ||
                              op->kind == (uint8_t)SPELA_OPERATOR_MULTIPLY_CONSTANT;
    if (size != spela_map_size(&op->output) || (op->is_narrowing != 0U && !is_sum)) {
        return false;
    }
    for (uint32_t i = 0U; op->is_narrowing != 0U && i < 2U; i++) {
        if (op->channels[i].rounding < 0 || op->channels[i].rounding > NARROWING_LEFT_MAX) {
            return false;
        }
    }
    return !has_constant || (op->constants != NULL && op->constant_count >= 1U);
}

/** A summand of a narrowing sum, in the scale of the sum: |twice| < 2^30, the result < 2^28. */
static inline int32_t narrowed(int8_t value, const spela_channel_t *channel) {
    const int32_t twice = (int32_t)((uint32_t)(value + channel->bias) << channel->rounding);
    const int32_t high = spela_rounded_32(twice, channel->multiplier);
    const int32_t half = INT32_C(1) << (channel->shift - 1);
    return (high + half - (twice < 0 ? 1 : 0)) >> channel->shift;
}

static void add_narrowed(const spela_operator_t *op, const spela_maps_t *maps) {
    const uint32_t size = spela_map_size(&op->output);
    uint32_t i = 0U;
#ifdef SPELA_DSP_ADD
    spela_add_job_t job;
    for (uint32_t k = 0U; k < 2U; k++) {
        const spela_channel_t *const channel = &op->channels[k];
        job.addends[k].factor = INT32_C(1) << channel->rounding;
        job.addends[k].bias = channel->bias * job.addends[k].factor;
        job.addends[k].multiplier = channel->multiplier;
        job.addends[k].rounding = INT32_C(1) << (channel->shift - 1);
        job.addends[k].shift = channel->shift;
    }
    job.multiplier = op->channels[2].multiplier;
    job.rounding = op->channels[2].rounding;
    job.shift = op->channels[2].shift;
    i = size & ~UINT32_C(3);
    job.end = &maps->sources[0][i];
    if (i > 0U) {
        spela_add_fours(maps->sources[0], maps->sources[1], &job, maps->target);
        spela_clamp(op, maps->target, i);
    }
#endif
    /* copies: for all the compiler knows, an output may change what they were */
    const spela_channel_t first = op->channels[0];
    const spela_channel_t second = op->channels[1];
    const spela_channel_t both = op->channels[2];
    const int8_t *const values = maps->sources[0];
    const int8_t *const others = maps->sources[1];
    int8_t *const target = maps->target;
    for (; i < size; i++) {
        const int32_t sum = narrowed(values[i], &first) + narrowed(others[i], &second);
        target[i] = spela_clamped(spela_narrowed(sum, &both), op);
    }
}

/** A summand in the scale of the sum; less than 2^28 in magnitude. */
static inline int32_t addend(int8_t value, const spela_channel_t *channel) {
    return spela_scaled((int32_t)((uint32_t)(value + channel->bias) << ADDEND_SHIFT),
                        channel->multiplier, channel->shift);
}

/** Wraps for tables that no generator makes. */
static inline int32_t sum_of(int32_t first, int32_t second) {
    return (int32_t)((uint32_t)first + (uint32_t)second);
}

/** Element by element; a constant begins anew when it ends. */
void spela_run_elementwise(const spela_operator_t *op, const spela_maps_t *maps) {
    const spela_channel_t *const channels = op->channels;
    const uint32_t size = spela_map_size(&op->output);
    uint32_t k = 0U;
    if (op->is_narrowing != 0U) {
        add_narrowed(op, maps);
        return;
    }
    for (uint32_t i = 0U; i < size; i++) {
        const int8_t value = maps->sources[0][i];
        int8_t result;
        switch (op->kind) {
        case SPELA_OPERATOR_ADD:
            result = spela_requantized(
                sum_of(addend(value, &channels[0]), addend(maps->sources[1][i], &channels[1])),
                &channels[2], op);
            break;
        case SPELA_OPERATOR_ADD_CONSTANT:
            result = spela_requantized(
                sum_of(addend(value, &channels[0]), ((const int32_t *)op->constants)[k]),
                &channels[1], op);
            break;
        case SPELA_OPERATOR_MULTIPLY_CONSTANT:
            /* the bias is added before the product, so it is not in the sum */
            result = spela_clamped(
                spela_scaled((value + channels[0].bias) * ((const int16_t *)op->constants)[k],
                             channels[0].multiplier, channels[0].shift) +
                    channels[0].rounding,
                op);
            break;
        default: /* SPELA_OPERATOR_RESCALE */
            result = spela_requantized(value, &channels[0], op);
            break;
        }
        maps->target[i] = result;
        k = k + 1U < op->constant_count ? k + 1U : 0U;
    }
}

#endif
