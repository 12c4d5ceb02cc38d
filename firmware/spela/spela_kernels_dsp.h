/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Several updates as one on cores with the DSP extension: what the lists of terms
 * (spela_kernels_dsp_terms.c) and the code that adds them up (spela_kernels_dsp_tiles.c) agree on.
 */
#ifndef SPELA_KERNELS_DSP_H
#define SPELA_KERNELS_DSP_H

#include "spela_kernels.h"

/* A list holds for each row its terms (multipliers, address of the pair), then {the row's offset in
 * bytes, where the next row's terms are added up}. That is one of these entries of the code: a
 * number of terms, at most SPELA_TERMS_MAX, or another. */
#ifdef __OPTIMIZE_SIZE__
#define SPELA_TERMS_MAX 4U
#else
#define SPELA_TERMS_MAX 8U
#endif
/* there is no other row */
#define SPELA_ENTRY_END 0U
/* four terms, then the next entry */
#define SPELA_ENTRY_MORE (SPELA_TERMS_MAX + 1U)
/* where the row's terms end, then the terms: their sum may be too large for the other entries */
#define SPELA_ENTRY_LARGE (SPELA_TERMS_MAX + 2U)

/** Rows whose lists are in the scratch, and what they are applied to. Assembly reads it. */
typedef struct {
    uint32_t columns;     /**< left */
    const int8_t *inputs; /**< of the block in hand */
    uint32_t input_bytes; /**< of a block */
    uint32_t *pairs; /**< where inputs are laid out: six pairs of four updates, one of a last two */
    uint32_t *pairs_end; /**< of the fours */
    const uint32_t *list;
    uint32_t entry; /**< of the first row */
    uint32_t has_two;
    uint32_t state;
    uint32_t multiplier;
    uint32_t increment;
    uint32_t greatest; /**< int16 weight, twice */
} spela_tile_t;

/** Adds up the lists. */
void spela_apply_tile_int8(int8_t *weights, spela_tile_t *tile);
void spela_apply_tile_int16(int16_t *weights, spela_tile_t *tile);

/** How far before itself the table's code has each entry, in bytes. */
extern const uint16_t spela_tile_entries_int8[SPELA_TERMS_MAX + 3U];
extern const uint16_t spela_tile_entries_int16[SPELA_TERMS_MAX + 3U];

#endif /* SPELA_KERNELS_DSP_H */
