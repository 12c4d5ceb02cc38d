/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The int8 kernels and the product of int16 weights for x86-64, for learning in the chip's
 * arithmetic on a host: SSE2 is part of every such processor. Inputs are int16, as those of the
 * portable kernels.
 */
#include "spela_kernels.h"

#ifdef SPELA_SSE2_KERNELS

#include <emmintrin.h>

/** Eight int8, in the vector's lower or upper half, as int16. */
#define LOW_TO_INT16(v)  _mm_srai_epi16(_mm_unpacklo_epi8((v), (v)), 8)
#define HIGH_TO_INT16(v) _mm_srai_epi16(_mm_unpackhi_epi8((v), (v)), 8)

/** Four inputs. */
static __m128i load_inputs(const int16_t *wide) {
    return _mm_loadl_epi64((const __m128i *)(const void *)wide);
}

/** A row's four weights in a block. */
static __m128i load_row(const int8_t *weights) {
    int32_t word;
    __builtin_memcpy(&word, weights, sizeof word);
    return _mm_cvtsi32_si128(word);
}

static void store_row(int8_t *weights, __m128i row) {
    const int32_t word = _mm_cvtsi128_si32(row);
    __builtin_memcpy(weights, &word, sizeof word);
}

/** Sums of adjacent elements: (a0 + a1, a2 + a3, b0 + b1, b2 + b3). */
static __m128i add_pairs(__m128i a, __m128i b) {
    const __m128i even = _mm_castps_si128(
        _mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), _MM_SHUFFLE(2, 0, 2, 0)));
    const __m128i odd = _mm_castps_si128(
        _mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), _MM_SHUFFLE(3, 1, 3, 1)));
    return _mm_add_epi32(even, odd);
}

void spela_dense_int8(const int8_t *weights, const int16_t *wide, const spela_shape_t *shape,
                      int32_t *sums) {
    for (uint32_t row = 0U; row < shape->rows; row += 4U) {
        __m128i sums01 = _mm_setzero_si128(); /* two of row 0, two of row 1 */
        __m128i sums23 = _mm_setzero_si128();
        for (uint32_t column = 0U; column < shape->columns; column += 4U) {
            const __m128i four = load_inputs(wide + column);
            const __m128i inputs = _mm_unpacklo_epi64(four, four);
            const __m128i block = _mm_loadu_si128((const __m128i *)(const void *)weights);
            sums01 = _mm_add_epi32(sums01, _mm_madd_epi16(LOW_TO_INT16(block), inputs));
            sums23 = _mm_add_epi32(sums23, _mm_madd_epi16(HIGH_TO_INT16(block), inputs));
            weights += 16;
        }
        _mm_storeu_si128((__m128i *)(void *)(sums + row), add_pairs(sums01, sums23));
    }
}

void spela_dense_int16(const int16_t *weights, const int16_t *wide, const spela_shape_t *shape,
                       int32_t *sums) {
    for (uint32_t row = 0U; row < shape->rows; row += 4U) {
        __m128i sums01 = _mm_setzero_si128();
        __m128i sums23 = _mm_setzero_si128();
        for (uint32_t column = 0U; column < shape->columns; column += 4U) {
            const __m128i four = load_inputs(wide + column);
            const __m128i inputs = _mm_unpacklo_epi64(four, four);
            const __m128i rows01 = _mm_loadu_si128((const __m128i *)(const void *)weights);
            const __m128i rows23 = _mm_loadu_si128((const __m128i *)(const void *)(weights + 8));
            sums01 = _mm_add_epi32(sums01, _mm_madd_epi16(rows01, inputs));
            sums23 = _mm_add_epi32(sums23, _mm_madd_epi16(rows23, inputs));
            weights += 16;
        }
        _mm_storeu_si128((__m128i *)(void *)(sums + row), add_pairs(sums01, sums23));
    }
}

/** Four int32 (multiplier * input + noise) >> 16; the noise is given less 2^15, to fit an int16. */
static __m128i steps(int32_t multiplier, __m128i inputs_and_noise) {
    const __m128i factors = _mm_set1_epi32((int32_t)((uint32_t)multiplier & 0xFFFFU) | 0x10000);
    const __m128i products = _mm_madd_epi16(factors, inputs_and_noise);
    return _mm_srai_epi32(_mm_add_epi32(products, _mm_set1_epi32(0x8000)), 16);
}

void spela_update_int8(int8_t *weights, const spela_shape_t *shape, spela_update_t *update) {
    for (uint32_t column = 0U; column < shape->columns; column += 4U) {
        uint32_t noise[4];
        for (uint32_t i = 0U; i < 4U; i++) {
            update->state = update->state * update->multiplier + update->increment;
            noise[i] = update->state;
        }
        const __m128i inputs = load_inputs(update->wide + column);
        if (_mm_movemask_epi8(_mm_cmpeq_epi16(inputs, _mm_setzero_si128())) == 0xFFFF) {
            continue; /* the update of a zero input is its noise >> 16: zero */
        }
        /* the upper halves less 2^15: the top bit inverted */
        const __m128i drawn = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)noise),
                                            _mm_set1_epi32(INT32_MIN));
        const __m128i upper = _mm_srai_epi32(drawn, 16);
        const __m128i inputs_and_noise = _mm_unpacklo_epi16(inputs, _mm_packs_epi32(upper, upper));
        int8_t *const block = weights + 4U * column;
        for (const spela_row_update_t *row = update->rows; row != update->rows_end; row += 2) {
            int8_t *const w0 = block + row[0].offset;
            int8_t *const w1 = block + row[1].offset;
            const __m128i both = _mm_packs_epi32(steps(row[0].multiplier, inputs_and_noise),
                                                 steps(row[1].multiplier, inputs_and_noise));
            /* |step| <= 2^6 */
            const __m128i sum = _mm_adds_epi8(_mm_unpacklo_epi32(load_row(w0), load_row(w1)),
                                              _mm_packs_epi16(both, both));
            /* in this order: a second row that only fills up the pair may be the same row */
            store_row(w1, _mm_srli_epi64(sum, 32));
            store_row(w0, sum);
        }
    }
}

/** Two updates' inputs to four columns, side by side: eight int16. */
static __m128i pair_inputs(const int8_t *kept) {
    const __m128i both = _mm_unpacklo_epi8(load_row(kept), load_row(kept + 4));
    return LOW_TO_INT16(both);
}

/** Four int32 (sum of multiplier * input + noise) >> 16. |sum| <= 2^28. */
static __m128i batch_steps(const int16_t *multipliers, const __m128i *pairs, uint32_t count,
                           __m128i noise) {
    __m128i sums = noise;
    for (uint32_t k = 0U; k < count; k += 2U) {
        int32_t two;
        __builtin_memcpy(&two, multipliers + k, sizeof two);
        const __m128i products = _mm_madd_epi16(_mm_set1_epi32(two), _mm_loadu_si128(pairs));
        sums = _mm_add_epi32(sums, products);
        pairs++;
    }
    return _mm_srai_epi32(sums, 16);
}

void spela_apply_int8(int8_t *weights, const spela_shape_t *shape, spela_batch_t *batch) {
    const int8_t *inputs = batch->inputs;
    __m128i *const pairs = (__m128i *)(void *)batch->scratch;
    uint16_t *const rows = (uint16_t *)(pairs + batch->stride / 2U);
    const uint32_t listed = spela_list_rows(batch, shape->rows, rows);
    if (listed % 2U != 0U) {
        rows[listed] = rows[listed - 1U]; /* the same twice is as good as once */
    }
    for (uint32_t column = 0U; column < shape->columns; column += 4U) {
        int32_t noise[4];
        for (uint32_t i = 0U; i < 4U; i++) {
            batch->state = batch->state * batch->multiplier + batch->increment;
            noise[i] = (int32_t)(batch->state >> 16);
        }
        const __m128i noises = _mm_loadu_si128((const __m128i *)(const void *)noise);
        __m128i any = _mm_setzero_si128();
        for (uint32_t k = 0U; k < batch->count; k += 2U) {
            const __m128i pair = pair_inputs(inputs + 4U * k);
            _mm_storeu_si128(pairs + k / 2U, pair);
            any = _mm_or_si128(any, pair);
        }
        inputs += 4U * batch->stride;
        if (_mm_movemask_epi8(_mm_cmpeq_epi16(any, _mm_setzero_si128())) == 0xFFFF) {
            continue; /* the update of inputs that are all zero is their noise >> 16: zero */
        }
        int8_t *const block = weights + 4U * column;
        for (uint32_t r = 0U; r < listed; r += 2U) {
            int8_t *const w0 = block + spela_row_offset(rows[r], shape->columns);
            int8_t *const w1 = block + spela_row_offset(rows[r + 1U], shape->columns);
            const int16_t *const m0 = batch->multipliers + rows[r] * batch->stride;
            const int16_t *const m1 = batch->multipliers + rows[r + 1U] * batch->stride;
            const __m128i moves = _mm_packs_epi32(batch_steps(m0, pairs, batch->count, noises),
                                                  batch_steps(m1, pairs, batch->count, noises));
            const __m128i both = _mm_unpacklo_epi32(load_row(w0), load_row(w1));
            /* |step| <= 2^12 */
            const __m128i moved = _mm_add_epi16(LOW_TO_INT16(both), moves);
            const __m128i clipped = _mm_packs_epi16(moved, moved);
            store_row(w0, clipped);
            store_row(w1, _mm_srli_epi64(clipped, 32));
        }
    }
}

#endif /* SPELA_SSE2_KERNELS */
