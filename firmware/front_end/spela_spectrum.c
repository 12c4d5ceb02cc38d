/* SPDX-License-Identifier: Apache-2.0 */
/** The band powers of the readings of a row, axis by axis, as logarithms. */
#include "spela_arithmetic.h"
#include "spela_fft.h"
#include "spela_rows.h"

#ifndef SPELA_NO_SPECTRUM

#define VALUE_BITS  14U /* of the frame's greatest value */
#define GAIN_MAX    8   /* by which a quiet frame is shifted left */
#define LOG_BITS    10U /* of a logarithm, behind the point */
#define LOG_ONE     1024
#define WEIGHT_BITS 15U
#define SEGMENTS    32
#define SILENCE     (-8 * LOG_ONE) /* what is below is less than a sensor's own noise */

/** product = power * weight; power < 2^30, weight <= 2^15. */
static inline uint64_t weighted(uint32_t power, uint32_t weight) {
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1 /* it multiplies to 32 bits only */
    return ((uint64_t)((power >> 16) * weight) << 16) + (power & UINT32_C(0xFFFF)) * weight;
#else
    return (uint64_t)power * weight;
#endif
}

/** log2(sum / 2^15), Q10; 0 for what is below 1. */
static int32_t logarithm(uint64_t sum) {
    /* log2(1 + i / 32), Q10 */
    static const uint16_t logarithms[SEGMENTS + 1] = {
        0U,   45U,  90U,  132U, 174U, 214U, 254U, 292U, 330U, 366U,  402U,
        436U, 470U, 504U, 536U, 568U, 599U, 629U, 659U, 689U, 717U,  745U,
        773U, 800U, 827U, 853U, 879U, 904U, 929U, 953U, 977U, 1001U, 1024U};
    const uint32_t upper = (uint32_t)(sum >> 32);
    const uint32_t lower = (uint32_t)sum;
    const uint32_t bits = upper != 0U ? 32U + spela_bits(upper) : spela_bits(lower);
    if (bits <= WEIGHT_BITS) {
        return 0;
    }
    const uint32_t exponent = bits - 1U - WEIGHT_BITS;
    const uint32_t fraction = (uint32_t)(sum >> exponent) & ((UINT32_C(1) << WEIGHT_BITS) - 1U);
    const uint32_t segment = fraction >> LOG_BITS;
    const uint32_t rest = fraction % (uint32_t)LOG_ONE;
    const uint32_t rise = (uint32_t)logarithms[segment + 1U] - logarithms[segment];
    return (int32_t)((exponent << LOG_BITS) + logarithms[segment] +
                     ((rise * rest + (uint32_t)LOG_ONE / 2U) >> LOG_BITS));
}

/** The window's value at a place, Q15; its second half mirrors the first. */
static inline int32_t windowed(const spela_spectrum_t *spectrum, uint32_t span, uint32_t at,
                               int32_t value) {
    const uint32_t place = at < span - 1U - at ? at : span - 1U - at;
    return spela_shift_right(value * (int32_t)spectrum->window[place] + 0x4000, 15U);
}

/** Puts an axis's readings, less their mean, where the transform wants them; returns the bits by
 *  which they were shifted left. */
static int32_t load(const spela_front_end_t *front_end, uint32_t axis) {
    const spela_spectrum_t *const spectrum = front_end->spectrum;
    const uint32_t span = front_end->span;
    const uint32_t count = spectrum->points / 2U;
    spela_ring_walk_t walk = spela_walk(front_end, axis);
    int32_t sum = 0;
    int32_t low = INT16_MAX;
    int32_t high = INT16_MIN;
    for (uint32_t i = 0U; i < span; i++) {
        const int32_t value = spela_step(&walk);
        sum += value;
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    const int32_t mean = spela_mean(sum, span);
    const int32_t peak = high - mean > mean - low ? high - mean : mean - low;
    int32_t gain = (int32_t)VALUE_BITS - (int32_t)spela_bits((uint32_t)peak);
    gain = gain < GAIN_MAX ? gain : GAIN_MAX;
    const uint32_t up = gain > 0 ? (uint32_t)gain : 0U;
    const uint32_t down = gain < 0 ? (uint32_t)-gain : 0U;
    const int32_t factor = (int32_t)(UINT32_C(1) << up);
    walk = spela_walk(front_end, axis);
    uint32_t reversed = 0U;
    for (uint32_t k = 0U; k < count; k++) {
        int32_t pair[2] = {0, 0};
        for (uint32_t i = 0U; i < 2U; i++) {
            if (2U * k + i < span) {
                const int32_t value = (spela_step(&walk) - mean) * factor;
                pair[i] =
                    windowed(spectrum, span, 2U * k + i, spela_shift_right_rounded(value, down));
            }
        }
        front_end->work[reversed] = spela_complex(pair[0], pair[1]);
        uint32_t bit = count / 2U; /* counts up from the other end */
        for (; (reversed & bit) != 0U; bit /= 2U) {
            reversed ^= bit;
        }
        reversed |= bit;
    }
    return gain;
}

/** The sums over the bins from `first` to before `last`. */
typedef struct {
    uint64_t rising;  /**< of powers by their weights, for the band above */
    uint64_t falling; /**< of powers by what is left of 2^15, for the band below */
} spela_between_t;

static spela_between_t between(const uint32_t *powers, const uint16_t *weights, uint32_t bins) {
    uint64_t total = 0U;
    spela_between_t sums = {0U, 0U};
    for (uint32_t i = 0U; i < bins; i++) {
        total += powers[i];
        sums.rising += weighted(powers[i], weights[i]);
    }
    sums.falling = (total << WEIGHT_BITS) - sums.rising;
    return sums;
}

void spela_spectrum_row(const spela_front_end_t *front_end, int8_t *row) {
    const spela_spectrum_t *const spectrum = front_end->spectrum;
    const uint16_t *const first = spectrum->first;
    uint32_t channel = 0U;
    for (uint32_t axis = 0U; axis < front_end->axes; axis++) {
        const int32_t gain = load(front_end, axis);
        spela_transform(front_end->work, spectrum->twiddles, spectrum->points);
        uint64_t rising = 0U;
        for (uint32_t i = 0U; i <= spectrum->bands; i++) {
            const uint32_t bins = (uint32_t)first[i + 1U] - first[i];
            const spela_between_t sums =
                between(&front_end->work[first[i]], &spectrum->weights[first[i] - first[0]], bins);
            if (i > 0U) {
                const int32_t loud = logarithm(rising + sums.falling) - 2 * LOG_ONE * gain;
                row[channel] = spela_channel(front_end, channel, loud > SILENCE ? loud : SILENCE);
                channel++;
            }
            rising = sums.rising;
        }
    }
}

#endif
