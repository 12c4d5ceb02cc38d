/* SPDX-License-Identifier: Apache-2.0 */
/** A convolution that learns: its map, and what its read-out sees of it. Private to the runtime.
 *
 * A map is int8 [rows][columns][channels]. Maps and weights are bounded as the generator and
 * spela_init see to it: at most 65,535 values in a map, a patch or the cells. */
#ifndef SPELA_CONVOLUTION_H
#define SPELA_CONVOLUTION_H

#include <stdint.h>

/** Sizes along rows and along columns; 1 along an axis where the map has the length 1. */
typedef struct {
    uint8_t rows;
    uint8_t columns;
} spela_sides_t;

/** How a convolution walks over its input map. */
typedef struct {
    uint16_t rows; /**< of the input map */
    uint16_t columns;
    uint16_t channels;
    uint16_t filters;
    spela_sides_t kernel; /**< odd; outside of the map there are zeros */
    spela_sides_t stride;
    spela_sides_t pool; /**< each such block leaves its maximum */
    spela_sides_t grid; /**< of cells over which the pooled map is summed */
    uint8_t sum_shift;  /**< brings the greatest possible sum below 2^15 */
} spela_window_t;

/** Room for one position. */
typedef struct {
    int8_t *patch; /**< [patch] */
    int16_t *wide; /**< the patch as spela_widen makes it, 8-aligned, in units of 16 bytes */
    int32_t *sums; /**< [filters, padded] */
} spela_position_t;

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

/** Values of the pooled map. */
static inline uint32_t spela_pooled(const spela_window_t *window) {
    return spela_pooled_rows(window) * spela_pooled_columns(window) * window->filters;
}

/**
 * The pooled map of an input map.
 *
 * @param weights  packed [filters][patch]
 * @param map      the input map
 * @param pooled   [pooled], 0 to 2^15 - 1
 * @param places   [pooled], the place of each maximum in its block, counted row by row; the first
 *                 of equal ones. NULL: not wanted
 */
void spela_convolve(const spela_window_t *window, const int8_t *weights, const int8_t *map,
                    const spela_position_t *room, int16_t *pooled, uint8_t *places);

/** Brings a map to int8 with one exponent, in place; returns the exponent. */
uint32_t spela_narrow(int16_t *map, uint32_t count);

/** Sums a pooled map over the grid's cells: sums [cells][filters], below 2^23. */
void spela_sum_cells(const spela_window_t *window, const int8_t *map, int32_t *sums);

/** Brings numbers to int8 with one exponent, which it returns. |number| <= 2^30. */
uint32_t spela_block(const int32_t *numbers, uint32_t count, int8_t *values);

/** error[columns] = transposed weights * tangent. |error| < 2^30: at most 64 rows.
 *  @param weights  packed; its rows and columns are counted with their padding
 *  @param tangent  [rows], below 2^17; 0 in rows of padding */
void spela_send_back(const int8_t *weights, uint32_t rows, uint32_t columns, const int32_t *tangent,
                     int32_t *error);

/** Adds each filter's rounded update, a sum over the positions of its maxima, saturating. The
 *  filters share one draw for each of a patch's values and of its padding. */
void spela_learn_filters(const spela_window_t *window, int8_t *weights,
                         spela_filter_update_t *update);

#endif /* SPELA_CONVOLUTION_H */
