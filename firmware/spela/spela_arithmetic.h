/**
 * The integer operations of docs/arithmetic.md, sections 1 to 4.
 *
 * Every function states the bounds under which it cannot overflow; callers keep them.
 */
#ifndef SPELA_ARITHMETIC_H
#define SPELA_ARITHMETIC_H

#include <stdint.h>

#define SPELA_ONE_Q14        16384
#define SPELA_LCG_MULTIPLIER UINT32_C(1664525)
#define SPELA_LCG_INCREMENT  UINT32_C(1013904223)

/* C99 leaves the right shift of a negative number to the compiler. Every compiler for a Cortex-M
 * shifts arithmetically; spela.c asserts it. The next two functions rely on it, and nothing else.
 */

/** floor(value / 2^shift), shift in 0..31. */
static inline int32_t spela_shift_right(int32_t value, uint32_t shift) {
    return value >> shift;
}

/** floor(value / 2^shift), shift in 0..63. */
static inline int64_t spela_shift_right_64(int64_t value, uint32_t shift) {
    return value >> shift;
}

/** value / 2^shift to the nearest integer, halves up. shift in 0..30, |value| <= 2^31 - 1 - 2^29
 *  (with shift <= 24, |value| <= 2^31 - 1 - 2^23). */
static inline int32_t spela_shift_right_rounded(int32_t value, uint32_t shift) {
    return shift == 0U ? value
                       : spela_shift_right(value + (int32_t)(UINT32_C(1) << (shift - 1U)), shift);
}

static inline int32_t spela_clip(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

/** The generator of random numbers; its upper 16 bits are used. */
static inline uint32_t spela_next(uint32_t state) {
    return state * SPELA_LCG_MULTIPLIER + SPELA_LCG_INCREMENT;
}

/** The reciprocal of a vector's length: 1/|x| = mantissa * 2^(exponent - 31). */
typedef struct {
    uint32_t mantissa; /**< in [2^15, 2^16] */
    uint32_t exponent; /**< in 0..15 */
} spela_inverse_norm_t;

/** floor(sqrt(value)). */
static inline uint32_t spela_square_root(uint32_t value) {
    uint32_t root = 0U;
    for (uint32_t bit = UINT32_C(1) << 30; bit != 0U; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

/** The reciprocal length of a vector whose squares sum to squared_norm >= 1. */
static inline spela_inverse_norm_t spela_inverse_norm(uint32_t squared_norm) {
    spela_inverse_norm_t inverse = {0U, 0U};
    while (squared_norm < (UINT32_C(1) << 30)) {
        squared_norm <<= 2;
        inverse.exponent++;
    }
    /* the root lies in [2^15, 2^16), hence the quotient in [2^15, 2^16] */
    inverse.mantissa = (UINT32_C(1) << 31) / spela_square_root(squared_norm);
    return inverse;
}

/** Cosine similarity, Q1.14, from a score. |score| * mantissa < 2^47, so that int64 holds it; the
 *  shift is at least 2 (docs/arithmetic.md, section 4). The result is within +-1.07. */
static inline int32_t spela_cosine(int32_t score, spela_inverse_norm_t inverse,
                                   uint32_t embedding_shift) {
    const uint32_t shift = 17U + embedding_shift - inverse.exponent;
    const int64_t product =
        (int64_t)score * (int64_t)inverse.mantissa + (INT64_C(1) << (shift - 1U));
    return (int32_t)spela_shift_right_64(product, shift);
}

#endif /* SPELA_ARITHMETIC_H */
