/* SPDX-License-Identifier: Apache-2.0 */
/** A convolution that learns: its map, what its read-out sees of it, and what its filters learn.
 *  Private to the runtime.
 *
 *  A map is int8 [rows][columns][channels]. spela_init sees to it that a map, a patch and the cells
 *  have at most 65,535 values. */
#ifndef SPELA_CONVOLUTION_H
#define SPELA_CONVOLUTION_H

#include "spela_network.h"

/** Room for one position. */
typedef struct {
    int16_t *wide; /**< the patch as spela_widen makes it, 8-aligned, in units of 16 bytes */
    int32_t *sums; /**< [filters, padded] */
} spela_position_t;

/** Where a block's maximum stands: its row in the upper bits, its column in the lower. */
#define SPELA_PLACE_BITS   4U
#define SPELA_PLACE_COLUMN 15U

/** The runs of a map's values that a filter sees: one for each of the filter's rows in the map. The
 *  kernels in assembly read it. */
typedef struct {
    uint32_t count;  /**< of runs, at least 1 */
    uint32_t length; /**< of a run, at least 1 */
    uint32_t pitch;  /**< from one run to the next, in values of the map */
    uint32_t width;  /**< and in values of the patch, or sums of the filter */
} spela_runs_t;

/** The maxima of a block of positions. The kernels in assembly read it. */
typedef struct {
    int16_t *pooled; /**< [filters], 0 to 2^15 - 1 */
    uint8_t *places; /**< [filters], of the first position with the maximum; NULL: not wanted */
    uint32_t filters;
    uint32_t sum_shift; /**< brings sums below 2^15, and rounded to at most that */
    uint32_t place;     /**< of the position in hand */
} spela_maxima_t;

#if defined(SPELA_DSP_KERNELS) || defined(SPELA_MVE_KERNELS)
#define SPELA_MAP_KERNELS /* spela_copy_runs and spela_keep_greatest in assembly */
#endif
#ifdef SPELA_MVE_KERNELS
#define SPELA_NARROW_KERNEL /* and spela_narrow */
#endif

#if !defined(SPELA_PORTABLE_KERNELS) && !defined(SPELA_SSE2_KERNELS)
#define SPELA_PATCH_KERNEL /* spela_add_runs in assembly */
#endif

/** What a convolution's filters learn from one sample. */
typedef struct {
    const int8_t *map;      /**< the input map */
    const int8_t *pooled;   /**< the pooled map as spela_narrow made it: zeros learn nothing */
    const uint8_t *places;  /**< where its maxima come from */
    const int16_t *factors; /**< [cells][filters]; |sum of factor * input| <= 2^30 */
    int32_t *sums;          /**< [patch], scratch */
    uint32_t state;         /**< of the dither, as in spela_update_t; it advances */
    uint32_t multiplier;
    uint32_t increment;
} spela_filter_update_t;

/** Where one convolution's scratch has what, in bytes from its start. What stands in one place is
 *  never needed at once. */
typedef struct {
    uint32_t wide_patch; /**< for the map */
    uint32_t sums;
    uint32_t cells;      /**< int32 [cells][filters]: their sums; then the error */
    uint32_t wide_cells; /**< the read-out's inputs */
    uint32_t factors;    /**< int16 [cells][filters] */
    uint32_t rows;       /**< spela_row_update_t [units, padded] */
    uint32_t tangent;    /**< int32 [units, padded]: the read-out's sums, then its tangent */
    uint32_t wide_projection;
    uint32_t filter_sums; /**< int32 [patch] */
    uint32_t bytes;       /**< of all of it */
} spela_places_t;

spela_places_t spela_places(const spela_layer_t *filters, const spela_layer_t *readout);

/** Values that a filter sees at once. */
static inline uint32_t spela_patch(const spela_window_t *window) {
    return (uint32_t)window->kernel.rows * window->kernel.columns * window->channels;
}

static inline uint32_t spela_pooled_rows(const spela_window_t *window) {
    const uint32_t stride = window->stride.rows;
    return (window->rows + stride - 1U) / stride / window->pool.rows;
}

static inline uint32_t spela_pooled_columns(const spela_window_t *window) {
    const uint32_t stride = window->stride.columns;
    return (window->columns + stride - 1U) / stride / window->pool.columns;
}

/** Positions of the pooled map. */
static inline uint32_t spela_positions(const spela_window_t *window) {
    return spela_pooled_rows(window) * spela_pooled_columns(window);
}

/** Values that its read-out sees. */
static inline uint32_t spela_cell_values(const spela_layer_t *layer) {
    return (uint32_t)layer->window->grid.rows * layer->window->grid.columns * layer->units;
}

/** Brings the greatest possible sum of a filter below 2^15. */
static inline uint32_t spela_sum_shift(const spela_model_t *model, const spela_layer_t *layer) {
    const uint32_t bits = spela_bits((uint32_t)layer->inputs
                                     << (7U + spela_sum_bits(model, layer) - 1U)); /* <= 2^30 */
    return bits > 15U ? bits - 15U : 0U;
}

/** Fraction bits of a filter's update: 8 to 24. The more factors add up, the finer they are. */
static inline uint32_t spela_filter_shift(const spela_layer_t *layer) {
    return 24U - layer->weight_bits + (spela_bits(spela_positions(layer->window) - 1U) >> 1);
}

/**
 * The pooled map of an input map.
 *
 * @param model    tells the width of the weights
 * @param layer    the filters
 * @param weights  theirs, packed [filters][patch]
 * @param map      the input map
 * @param pooled   [map values], 0 to 2^15 - 1
 * @param places   [map values], the place of each maximum in its block; the first of equal ones
 *                 row by row. NULL: not wanted
 */
void spela_convolve(const spela_model_t *model, const spela_layer_t *layer, const void *weights,
                    const int8_t *map, const spela_position_t *room, int16_t *pooled,
                    uint8_t *places);

/** Copies runs of a map into a patch.
 *  @param patch  where the first value goes: a spela_wide_t; with the DSP extension a byte, which
 *                is widened later */
void spela_copy_runs(const int8_t *values, void *patch, const spela_runs_t *runs);

#ifdef SPELA_MAP_KERNELS
/** Takes a position's sums into its block's maxima; returns how many filters, the first ones, it
 *  has done. */
uint32_t spela_keep_greatest(const int32_t *sums, const spela_maxima_t *maxima);
#else
#define spela_keep_greatest(sums, maxima) 0U
#endif

/** Brings a map to int8 with one exponent, in place; returns the exponent. */
uint32_t spela_narrow(int16_t *map, uint32_t count);

/** Sums a pooled map over the grid's cells: sums [cells][filters], below 2^23. */
void spela_sum_cells(const spela_layer_t *layer, const int8_t *map, int32_t *sums);

/** Brings numbers to int8 with one exponent, which it returns. |number| <= 2^30. */
uint32_t spela_block(const int32_t *numbers, uint32_t count, int8_t *values);

/** error[columns] = transposed weights * tangent. |error| < 2^30: at most 64 rows.
 *  @param weights  packed; its rows and columns are counted with their padding
 *  @param tangent  [rows], below 2^17; 0 in rows of padding */
void spela_send_back(const int8_t *weights, uint32_t rows, uint32_t columns, const int32_t *tangent,
                     int32_t *error);

/** Adds a factor, within int16, times each value of the runs to its sum. */
void spela_add_runs(const int8_t *values, int32_t *sums, int32_t factor, const spela_runs_t *runs);

/** Adds each filter's rounded update, a sum over the positions of its maxima, saturating. The
 *  filters share one draw for each of a patch's values and of its padding. */
void spela_learn_filters(const spela_model_t *model, const spela_layer_t *layer, void *weights,
                         spela_filter_update_t *update);

#endif /* SPELA_CONVOLUTION_H */
