/* SPDX-License-Identifier: Apache-2.0 */
/** Sums to outputs, in the arithmetic of TensorFlow Lite Micro. Private. */
#ifndef SPELA_REQUANTIZE_H
#define SPELA_REQUANTIZE_H

#include "spela_backbone.h"

/** value * multiplier * 2^(shift - 31), rounded twice: at 2^-31 with ties up, then to an integer
 *  with ties away from zero. The generator sees to it that value * 2^shift fits. */
static inline int32_t spela_scaled(int32_t value, int32_t multiplier, int32_t shift) {
    const uint32_t left = shift > 0 ? (uint32_t)shift : 0U;
    const uint32_t right = shift < 0 ? (uint32_t)-shift : 0U;
    const int32_t shifted = (int32_t)((uint32_t)value << left);
    const int32_t high =
        (int32_t)(((int64_t)shifted * multiplier + (INT64_C(1) << 30)) >> 31); /* < 2^31 */
    const uint32_t mask = (UINT32_C(1) << right) - 1U;
    const uint32_t threshold = (mask >> 1) + (high < 0 ? 1U : 0U);
    return (high >> right) + (((uint32_t)high & mask) > threshold ? 1 : 0);
}

static inline int8_t spela_clamped(int32_t value, const spela_operator_t *op) {
    const int32_t high = value > op->maximum ? op->maximum : value;
    return (int8_t)(high < op->minimum ? op->minimum : high);
}

/** Clamps outputs that are int8 already. */
static inline void spela_clamp(const spela_operator_t *op, int8_t *target, uint32_t count) {
    if (op->minimum > INT8_MIN || op->maximum < INT8_MAX) {
        for (uint32_t i = 0U; i < count; i++) {
            target[i] = spela_clamped(target[i], op);
        }
    }
}

/** An output of a weighted operator, from its sum without bias. |sum| <= 2^30; with the bias it
 *  fits in int32, and twice if the operator is narrowing. */
static inline int8_t spela_requantized(int32_t sum, const spela_channel_t *channel,
                                       const spela_operator_t *op) {
    if (op->is_narrowing != 0U) {
        /* The two roundings, the zero point and the shift as one: |high| <= 2^30, |rounding| less.
         * Ties go away from zero by the one that negative sums lose. */
        const int32_t twice = (int32_t)((uint32_t)channel->bias + ((uint32_t)sum << 1));
        const int32_t high =
            (int32_t)(((int64_t)twice * channel->multiplier + (INT64_C(1) << 31)) >> 32);
        return spela_clamped((high + channel->rounding - (twice < 0 ? 1 : 0)) >> channel->shift,
                             op);
    }
    const int32_t value = (int32_t)((uint32_t)channel->bias + (uint32_t)sum);
    return spela_clamped(
        spela_scaled(value, channel->multiplier, channel->shift) + channel->rounding, op);
}

#endif /* SPELA_REQUANTIZE_H */
