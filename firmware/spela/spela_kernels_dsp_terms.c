/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Several updates as one on cores with the DSP extension.
 *
 * A unit is active for about half of the samples, so half of a row's multipliers are zero. What is
 * left is taken in pairs: SMLAD multiplies two of a row's multipliers by the inputs of the same two
 * updates. Updates are taken in fours, since any two of four are one of six pairs, and all six are
 * laid out for each block of columns (spela_kernels_dsp_tiles.c): whichever are active, a row needs
 * half as many terms as it has multipliers, rounded up.
 *
 * So each row has a list of terms, made once, that holds for all blocks: the pair's place, and its
 * two multipliers. The list lies in the scratch, of as many rows at a time as fit.
 */
#include "spela_kernels_dsp.h"

#ifdef SPELA_DSP_KERNELS

/* Up to this sum of a row's |multipliers|, its sums of products lie, with the dither, within
 * 128 * 65024 + 65535 = 2^23 - 1: they fit 32 bits times 2^8, and a step of an int8 weight 8 bits.
 */
#define SPELA_SMALL 65024U

static uint32_t entry(const uint16_t *entries, uint32_t index) {
    return (uint32_t)(uintptr_t)entries - entries[index];
}

static uint32_t magnitudes(uint32_t two) {
    const int32_t low = (int16_t)two;
    const int32_t high = (int32_t)two >> 16;
    return (uint32_t)(low < 0 ? -low : low) + (uint32_t)(high < 0 ? -high : high);
}

/** A term: two updates' multipliers, and which of the pairs laid out has their inputs. */
static uint32_t *put_term(uint32_t *list, uint32_t multipliers, const uint32_t *pair) {
    list[0] = multipliers;
    list[1] = (uint32_t)(uintptr_t)pair;
    return list + 2;
}

/** The terms of a row of so many updates, from `list` on; returns their end. */
static uint32_t *put_terms(const int16_t *multipliers, uint32_t count, const uint32_t *pairs,
                           uint32_t *list, uint32_t *magnitude) {
    const uint32_t *twos = (const uint32_t *)(const void *)multipliers;
    for (; count > 2U; count = count > 4U ? count - 4U : 0U) {
        const uint32_t a = twos[0]; /* of the updates 0 and 1 */
        const uint32_t b = twos[1]; /* of 2 and 3 */
        twos += 2;
        if ((a | b) != 0U) {
            const uint32_t has_0 = (a & 0xFFFFU) != 0U;
            const uint32_t has_1 = a >> 16 != 0U;
            const uint32_t has_2 = (b & 0xFFFFU) != 0U;
            const uint32_t has_3 = b >> 16 != 0U;
            *magnitude += magnitudes(a) + magnitudes(b);
            if (has_0 + has_1 == 1U && has_2 + has_3 == 1U) {
                /* pairs 2 to 5: 0 and 2, 1 and 2, 0 and 3, 1 and 3 */
                const uint32_t low = has_0 != 0U ? a & 0xFFFFU : a >> 16;
                const uint32_t high = has_2 != 0U ? b << 16 : b & ~UINT32_C(0xFFFF);
                list = put_term(list, low | high, pairs + 4U * (2U + has_1 + 2U * has_3));
            } else {
                if (a != 0U) {
                    list = put_term(list, a, pairs);
                }
                if (b != 0U) {
                    list = put_term(list, b, pairs + 4);
                }
            }
        }
        pairs += 24;
    }
    if (count != 0U && twos[0] != 0U) {
        *magnitude += magnitudes(twos[0]);
        list = put_term(list, twos[0], pairs);
    }
    return list;
}

/** Puts entries into a row's list where one is not enough; moves the end, and returns the first. */
static uint32_t divide_terms(const uint16_t *entries, uint32_t *list, uint32_t **end,
                             bool is_large) {
    const uint32_t words = (uint32_t)(*end - list);
    if (is_large) {
        for (uint32_t i = words; i > 0U; i--) {
            list[i] = list[i - 1U];
        }
        *end += 1;
        list[0] = (uint32_t)(uintptr_t)*end;
        return entry(entries, SPELA_ENTRY_LARGE);
    }
    /* fours, until no more are left than the longest entry takes */
    const uint32_t terms = words / 2U;
    const uint32_t fours = terms > SPELA_TERMS_MAX ? (terms - SPELA_TERMS_MAX + 3U) / 4U : 0U;
    if (fours == 0U) {
        return entry(entries, terms);
    }
    for (uint32_t i = words; i > 0U; i--) {
        const uint32_t four = (i - 1U) / 8U;
        list[i - 1U + (four < fours ? four : fours)] = list[i - 1U];
    }
    for (uint32_t four = 1U; four <= fours; four++) {
        list[9U * four - 1U] = entry(entries, four < fours ? SPELA_ENTRY_MORE : terms - 4U * fours);
    }
    *end += fours;
    return entry(entries, SPELA_ENTRY_MORE);
}

/** Makes a tile of the rows from `row` on, of as many as there is room for; returns the first that
 *  is left out.
 *  @param weight_bytes  of one weight */
static uint32_t make_tile(const uint16_t *entries, uint32_t weight_bytes,
                          const spela_shape_t *shape, const spela_batch_t *batch, uint32_t row,
                          spela_tile_t *tile) {
    const uint32_t fours = (batch->count + 1U) / 4U; /* three are four with a zero */
    const uint32_t row_words = 5U * ((batch->count + 3U) / 4U) + 3U; /* at most */
    const uint32_t *const scratch_end = batch->scratch + batch->scratch_bytes / 4U;
    tile->columns = shape->columns;
    tile->inputs = batch->inputs;
    tile->input_bytes = 4U * batch->stride;
    tile->pairs = batch->scratch;
    tile->pairs_end = tile->pairs + 24U * fours;
    tile->has_two = batch->count % 4U == 1U || batch->count % 4U == 2U;
    tile->state = batch->state; /* all rows share the dither */
    tile->multiplier = batch->multiplier;
    tile->increment = batch->increment;
    tile->greatest = (UINT32_C(1) << (shape->weight_bits - 1U)) - 1U;
    tile->greatest |= tile->greatest << 16;
    uint32_t *list = tile->pairs_end + 4U * tile->has_two;
    uint32_t *previous = &tile->entry;
    tile->list = list;
    const int16_t *multipliers = batch->multipliers + row * batch->stride;
    while (row < shape->rows && scratch_end - list >= (int32_t)row_words) {
        uint32_t magnitude = 0U;
        uint32_t *end = put_terms(multipliers, batch->count, tile->pairs, list, &magnitude);
        if (end != list) {
            *previous = divide_terms(entries, list, &end, magnitude > SPELA_SMALL);
            end[0] = weight_bytes * spela_row_offset(row, shape->columns);
            previous = end + 1;
            list = end + 2;
        }
        multipliers += batch->stride;
        row++;
    }
    *previous = entry(entries, SPELA_ENTRY_END);
    return row;
}

void spela_apply_int8(int8_t *weights, const spela_shape_t *shape, spela_batch_t *batch) {
    spela_tile_t tile;
    uint32_t row = 0U;
    do {
        row = make_tile(spela_tile_entries_int8, 1U, shape, batch, row, &tile);
        spela_apply_tile_int8(weights, &tile);
    } while (row < shape->rows);
    batch->state = tile.state;
}

#ifndef SPELA_INT8_ONLY
void spela_apply_int16(int16_t *weights, const spela_shape_t *shape, spela_batch_t *batch) {
    spela_tile_t tile;
    uint32_t row = 0U;
    do {
        row = make_tile(spela_tile_entries_int16, 2U, shape, batch, row, &tile);
        spela_apply_tile_int16(weights, &tile);
    } while (row < shape->rows);
    batch->state = tile.state;
}
#endif

#endif /* SPELA_DSP_KERNELS */
