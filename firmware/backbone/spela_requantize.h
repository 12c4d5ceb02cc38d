/* SPDX-License-Identifier: Apache-2.0 */
/** Sums to outputs, in the arithmetic of TensorFlow Lite Micro. Private. */
#ifndef SPELA_REQUANTIZE_H
#define SPELA_REQUANTIZE_H

#include "spela_backbone.h"
#include "spela_kernels.h"

#if !defined(SPELA_NO_CONVOLUTION) || !defined(SPELA_NO_DEPTHWISE)
#ifdef SPELA_THUMB_KERNELS
#define SPELA_THUMB_REQUANTIZE
#elif defined(SPELA_MVE_KERNELS)
#define SPELA_MVE_REQUANTIZE
#endif
#endif

/* value * multiplier, rounded at 2^-31 or at 2^-32 with ties up; multiplier >= 0, the result fits.
 */
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1

/** A product as upper * 2^32 + middle * 2^16, and less than 2^16. */
typedef struct {
    int32_t upper;
    int32_t middle;
} spela_product_t;

/** The core multiplies to 32 bits only: from halves. No sum leaves int32, as multiplier < 2^31. */
static inline spela_product_t spela_product(int32_t value, int32_t multiplier) {
    const int32_t high = value >> 16;
    const uint32_t low = (uint32_t)value & UINT32_C(0xFFFF);
    const int32_t factor_high = multiplier >> 16;
    const uint32_t factor_low = (uint32_t)multiplier & UINT32_C(0xFFFF);
    const uint32_t inner = low * (uint32_t)factor_high + (low * factor_low >> 16);
    const spela_product_t product = {
        high * factor_high + (int32_t)(inner >> 16),
        high * (int32_t)factor_low + (int32_t)(inner & UINT32_C(0xFFFF)),
    };
    return product;
}

static inline int32_t spela_rounded_31(int32_t value, int32_t multiplier) {
    const spela_product_t product = spela_product(value, multiplier);
    return (int32_t)(((uint32_t)product.upper << 1) +
                     (uint32_t)(((product.middle >> 14) + 1) >> 1));
}

static inline int32_t spela_rounded_32(int32_t value, int32_t multiplier) {
    const spela_product_t product = spela_product(value, multiplier);
    return product.upper + (((product.middle >> 15) + 1) >> 1);
}

#else

static inline int32_t spela_rounded_31(int32_t value, int32_t multiplier) {
    return (int32_t)(((int64_t)value * multiplier + (INT64_C(1) << 30)) >> 31);
}

static inline int32_t spela_rounded_32(int32_t value, int32_t multiplier) {
    return (int32_t)(((int64_t)value * multiplier + (INT64_C(1) << 31)) >> 32);
}

#endif

/** value * multiplier * 2^(shift - 31), rounded twice: at 2^-31 with ties up, then to an integer
 *  with ties away from zero. The generator sees to it that value * 2^shift fits. */
static inline int32_t spela_scaled(int32_t value, int32_t multiplier, int32_t shift) {
    const uint32_t left = shift > 0 ? (uint32_t)shift : 0U;
    const uint32_t right = shift < 0 ? (uint32_t)-shift : 0U;
    const int32_t high = spela_rounded_31((int32_t)((uint32_t)value << left), multiplier);
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

/** What becomes of a sum before it is clamped, if the operator is narrowing.
 *  The two roundings, the zero point and the shift as one: |high| <= 2^30, |rounding| less. Ties go
 *  away from zero by the one that negative sums lose. */
static inline int32_t spela_narrowed(int32_t sum, const spela_channel_t *channel) {
    const int32_t twice = (int32_t)((uint32_t)channel->bias + ((uint32_t)sum << 1));
    const int32_t high = spela_rounded_32(twice, channel->multiplier);
    return (high + channel->rounding - (twice < 0 ? 1 : 0)) >> channel->shift;
}

/** The same otherwise. */
static inline int32_t spela_widened(int32_t sum, const spela_channel_t *channel) {
    const int32_t value = (int32_t)((uint32_t)channel->bias + (uint32_t)sum);
    return spela_scaled(value, channel->multiplier, channel->shift) + channel->rounding;
}

/** An output of a weighted operator, from its sum without bias. |sum| <= 2^30; with the bias it
 *  fits in int32, and twice if the operator is narrowing. */
static inline int8_t spela_requantized(int32_t sum, const spela_channel_t *channel,
                                       const spela_operator_t *op) {
    return spela_clamped(
        op->is_narrowing != 0U ? spela_narrowed(sum, channel) : spela_widened(sum, channel), op);
}

/** Outputs of a weighted operator: of one channel, or each of the next one. Kernels in assembly
 *  read it, in this order. */
typedef struct {
    const spela_channel_t *channel;
    uint32_t channel_step; /**< 0 or 1 */
    uint32_t count;        /**< at least one */
    uint32_t step;         /**< from an output to the next one */
} spela_line_t;

void spela_requantize(const spela_operator_t *op, const spela_line_t *line, const int32_t *sums,
                      int8_t *target);

#if defined(SPELA_THUMB_REQUANTIZE) || defined(SPELA_MVE_REQUANTIZE)
/** The same of a narrowing operator, clamped to int8. */
void spela_narrow(const spela_line_t *line, const int32_t *sums, int8_t *target);
#endif

#endif /* SPELA_REQUANTIZE_H */
