/* SPDX-License-Identifier: Apache-2.0 */
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
 * shifts arithmetically; spela_init.c asserts it. Only the next two functions rely on it. */

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
    return spela_shift_right(value + (int32_t)((UINT32_C(1) << shift) >> 1), shift);
}

/** value / 2 to the nearest integer, ties to even. value < 2^31 - 1. */
static inline int32_t spela_halve(int32_t value) {
    return spela_shift_right(value + (spela_shift_right(value, 1U) & 1), 1U);
}

static inline int32_t spela_clip(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

/** How many bits a number has; 0 for 0. */
static inline uint32_t spela_bits(uint32_t value) {
#ifdef __ARM_FEATURE_CLZ
    return value == 0U ? 0U : 32U - (uint32_t)__builtin_clz(value);
#else
    uint32_t bits = 0U;
    while (value != 0U) {
        value >>= 1;
        bits++;
    }
    return bits;
#endif
}

/** The generator of random numbers; its upper 16 bits are used. */
static inline uint32_t spela_next(uint32_t state) {
    return state * SPELA_LCG_MULTIPLIER + SPELA_LCG_INCREMENT;
}

/** The reciprocal of a vector's length: 1/|x| = mantissa * 2^(exponent - 31). One word. */
typedef struct {
    unsigned int mantissa : 24; /**< in [2^15, 2^16]; 0 for the zero vector */
    unsigned int exponent : 8;  /**< in 0..15 */
} spela_inverse_norm_t;

/** The reciprocal length of a vector whose squares sum to squared_norm. */
spela_inverse_norm_t spela_inverse_norm(uint32_t squared_norm);

/** Cosine similarity, Q1.14, from a score: within +-1.07. It is 0 for the zero vector. */
int32_t spela_cosine(int32_t score, spela_inverse_norm_t inverse, uint32_t embedding_shift);

#endif /* SPELA_ARITHMETIC_H */
