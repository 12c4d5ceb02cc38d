/* SPDX-License-Identifier: Apache-2.0 */
/** Reciprocal length and cosine (docs/arithmetic.md, section 4). */
#include "spela_arithmetic.h"

/** floor(sqrt(value)). */
static uint32_t square_root(uint32_t value) {
    uint32_t root = 0U;
    for (uint32_t bit = UINT32_C(1) << 30; bit != 0U; bit >>= 2) {
        const uint32_t trial = root + bit;
        root >>= 1;
        if (value >= trial) {
            value -= trial;
            root += bit;
        }
    }
    return root;
}

spela_inverse_norm_t spela_inverse_norm(uint32_t squared_norm) {
    spela_inverse_norm_t inverse = {0U, 0U};
    if (squared_norm != 0U) {
        const uint32_t exponent = (32U - spela_bits(squared_norm)) >> 1;
        const uint32_t root = square_root(squared_norm << (2U * exponent));
        /* The root lies in [2^15, 2^16), hence the quotient in [2^15, 2^16]. */
        inverse.mantissa = ((UINT32_C(1) << 31) / root) & UINT32_C(0x1FFFF);
        inverse.exponent = exponent & 15U;
    }
    return inverse;
}

int32_t spela_cosine(int32_t score, spela_inverse_norm_t inverse, uint32_t embedding_shift) {
    /* |score| * mantissa < 2^47, so that int64 holds it; the shift is at least 2. */
    const uint32_t shift = 17U + embedding_shift - inverse.exponent;
    const int64_t product =
        (int64_t)score * (int64_t)inverse.mantissa + (int64_t)(UINT32_C(1) << (shift - 1U));
    return (int32_t)spela_shift_right_64(product, shift);
}
