/* SPDX-License-Identifier: Apache-2.0 */
/** Raw values to inputs: by a line, or by binary32's operations in integers (section 9). */
#include "spela_scaling.h"

#include "spela_arithmetic.h"

#define PRECISION 24U /* binary32's */
#define INPUT_MAX 127

int8_t spela_quantize_line(int32_t raw, const spela_line_t *line) {
    uint32_t x = raw <= line->low ? 0U : (uint32_t)raw - (uint32_t)line->low;
    x = x < line->width ? x : line->width;
    /* |x * slope| < 2^63; that the sum fits as well, the tool has checked. */
    int64_t value = (int64_t)((uint64_t)x * line->slope) + line->start;
    int32_t input = (int32_t)spela_shift_right_64(value, line->shift); /* |input| < 2^10 */
    return (int8_t)spela_clip(input, -INPUT_MAX, INPUT_MAX);
}

/** mantissa * 2^exponent: a binary32 with an unbounded exponent. 2^23 <= |mantissa| <= 2^24, or 0.
 *  No bounds are needed: what would overflow is clipped, what would underflow becomes 0. */
typedef struct {
    int32_t mantissa;
    int32_t exponent;
} real_t;

/** magnitude / 2^shift to the nearest integer, ties to even; shift in 1..63, magnitude < 2^63. */
static uint64_t divided(uint64_t magnitude, uint32_t shift) {
    uint64_t odd = (magnitude >> shift) & 1U;
    return (magnitude + ((UINT64_C(1) << (shift - 1U)) - 1U) + odd) >> shift;
}

/** exact * 2^exponent to binary32's precision; |exact| < 2^63. */
static real_t rounded(int64_t exact, int32_t exponent) {
    uint64_t magnitude = exact < 0 ? 0U - (uint64_t)exact : (uint64_t)exact;
    uint32_t high = (uint32_t)(magnitude >> 32);
    uint32_t bits = high != 0U ? 32U + spela_bits(high) : spela_bits((uint32_t)magnitude);
    if (bits > PRECISION) {
        magnitude = divided(magnitude, bits - PRECISION);
    } else {
        magnitude <<= PRECISION - bits;
    }
    int32_t mantissa = (int32_t)magnitude;
    real_t result = {exact < 0 ? -mantissa : mantissa,
                     exponent + (int32_t)bits - (int32_t)PRECISION};
    return result;
}

/** The value of a finite binary32, from its bits. */
static real_t real(uint32_t binary32) {
    int32_t fraction = (int32_t)(binary32 & 0x7FFFFFU);
    int32_t exponent = (int32_t)((binary32 >> 23) & 0xFFU);
    int32_t mantissa = exponent == 0 ? fraction : fraction + 0x800000;
    exponent = (exponent == 0 ? 1 : exponent) - 150;
    return rounded((binary32 >> 31) != 0U ? -mantissa : mantissa, exponent);
}

/** left - right. */
static real_t difference(real_t left, real_t right) {
    real_t opposite = {-right.mantissa, right.exponent};
    int32_t gap = left.exponent - right.exponent;
    /* Beyond 38 places the lesser is under an eighth of the greater's last place: it is lost. */
    if (right.mantissa == 0 || (gap > 38 && left.mantissa != 0)) {
        return left;
    }
    if (left.mantissa == 0 || gap < -38) {
        return opposite;
    }
    if (gap >= 0) { /* |exact| <= 2^62 + 2^24 */
        return rounded(left.mantissa * (INT64_C(1) << gap) - right.mantissa, right.exponent);
    }
    return rounded(left.mantissa - right.mantissa * (INT64_C(1) << -gap), left.exponent);
}

/** left * right; |exact| <= 2^48. */
static real_t product(real_t left, real_t right) {
    return rounded((int64_t)left.mantissa * right.mantissa, left.exponent + right.exponent);
}

int8_t spela_quantize(int32_t raw, const spela_scaling_t *scaling) {
    real_t centred = difference(rounded(raw, 0), real(scaling->offset));
    real_t scaled = product(centred, real(scaling->scale));
    real_t value = rounded((int64_t)scaled.mantissa * INPUT_MAX, scaled.exponent);
    if (value.mantissa == 0 || value.exponent < -25) { /* at most a quarter */
        return 0;
    }
    int32_t magnitude = INPUT_MAX;
    if (value.exponent < -16) { /* else at least 128 */
        uint32_t mantissa = (uint32_t)(value.mantissa < 0 ? -value.mantissa : value.mantissa);
        magnitude = (int32_t)divided(mantissa, (uint32_t)-value.exponent);
        magnitude = magnitude < INPUT_MAX ? magnitude : INPUT_MAX;
    }
    return (int8_t)(value.mantissa < 0 ? -magnitude : magnitude);
}
