/* SPDX-License-Identifier: Apache-2.0 */
/** A convolution, forward and learning, in portable C but for the kernels of dense layers, and
 *  for those that a core has of its own (spela_map_<set>.c, spela_filters_<set>.c). */
#include "spela_convolution.h"
#ifdef SPELA_WITH_INT12
#include "spela_int12.h"
#endif

/** What a filter sees of its input map. What else its patch has is zero. */
typedef struct {
    const int8_t *values; /**< the first run */
    uint32_t first;       /**< where that begins in the patch */
    spela_runs_t runs;
} spela_view_t;

/** The part of a kernel's side that lies in the map. */
typedef struct {
    uint32_t under; /**< before it */
    uint32_t count; /**< at least 1: the middle lies in the map */
} spela_span_t;

static spela_span_t span(uint32_t length, uint32_t kernel, uint32_t middle) {
    const uint32_t half = kernel / 2U;
    const uint32_t under = half > middle ? half - middle : 0U;
    const uint32_t end = middle + half + 1U;
    const uint32_t over = end > length ? end - length : 0U;
    const spela_span_t found = {under, kernel - under - over};
    return found;
}

/** The rows that a filter sees with its middle in a row of the map before pooling. */
static spela_view_t see_row(const spela_window_t *window, const int8_t *map, uint32_t row) {
    const uint32_t middle = row * window->stride.rows;
    const spela_span_t down = span(window->rows, window->kernel.rows, middle);
    const uint32_t pitch = (uint32_t)window->columns * window->channels;
    const uint32_t width = (uint32_t)window->kernel.columns * window->channels;
    const spela_view_t rows = {map + (middle + down.under - window->kernel.rows / 2U) * pitch,
                               down.under * width,
                               {down.count, 0U, pitch, width}};
    return rows;
}

/** The part of these rows that it sees from a column. */
static spela_view_t see(const spela_window_t *window, const spela_view_t *rows, uint32_t column) {
    const uint32_t middle = column * window->stride.columns;
    const spela_span_t along = span(window->columns, window->kernel.columns, middle);
    spela_view_t seen = *rows;
    seen.values += (middle + along.under - window->kernel.columns / 2U) * window->channels;
    seen.first += along.under * window->channels;
    seen.runs.length = along.count * window->channels;
    return seen;
}

#ifndef SPELA_MAP_KERNELS
void spela_copy_runs(const int8_t *values, void *patch, const spela_runs_t *runs) {
    spela_wide_t *inputs = patch;
    for (uint32_t k = 0U; k < runs->count; k++) {
        for (uint32_t i = 0U; i < runs->length; i++) {
            inputs[i] = values[i];
        }
        values += runs->pitch;
        inputs += runs->width;
    }
}
#endif

/** A word of memory, whatever type lies there. */
typedef uint32_t __attribute__((may_alias)) spela_word_t;

static void clear(void *place, uint32_t bytes) {
    spela_word_t *const words = place;
    for (uint32_t i = 0U; i < bytes / 4U; i++) {
        words[i] = 0U;
    }
}

/** Gathers a patch as spela_widen makes it, where that of another position stands. */
static void gather(const spela_window_t *window, const spela_view_t *seen, uint32_t columns,
                   int16_t *wide) {
    if (seen->runs.count < window->kernel.rows || seen->runs.length < seen->runs.width) {
        clear(wide, columns * sizeof(spela_wide_t));
    }
#ifdef SPELA_DSP_KERNELS
    if (window->channels % 4U == 0U) {
        const int8_t *values = seen->values;
        wide += seen->first;
        for (uint32_t k = 0U; k < seen->runs.count; k++) {
            spela_widen(values, seen->runs.length, wide);
            values += seen->runs.pitch;
            wide += seen->runs.width;
        }
    } else {
        /* a patch of bytes, in the place's upper half: what is widened lies behind what is read */
        int8_t *const patch = (int8_t *)wide + columns;
        clear(patch + columns - 4U, 4U);
        spela_copy_runs(seen->values, patch + seen->first, &seen->runs);
        spela_widen(patch, columns, wide);
    }
#else
    spela_copy_runs(seen->values, (spela_wide_t *)wide + seen->first, &seen->runs);
#endif
}

/** Walks along an axis of a pooled map, and the cells that it is divided into. */
typedef struct {
    uint32_t cells; /**< along the axis, at most as many as positions */
    uint32_t positions;
    uint32_t done; /**< cells * position - cell * positions: below positions */
} spela_walk_t;

/** Goes one position on; whether the next cell begins there. */
static bool walk(spela_walk_t *walk) {
    walk->done += walk->cells;
    const bool is_next = walk->done >= walk->positions;
    walk->done -= is_next ? walk->positions : 0U;
    return is_next;
}

/** Takes a position's sums into its block's maxima. */
static void keep_greatest(const int32_t *sums, const spela_maxima_t *maxima) {
    const spela_maxima_t block = *maxima;
    for (uint32_t j = spela_keep_greatest(sums, maxima); j < block.filters; j++) {
        const int32_t exact = spela_shift_right_rounded(sums[j], block.sum_shift); /* <= 2^15 */
        if (exact > block.pooled[j] && block.pooled[j] < INT16_MAX) {
            block.pooled[j] = (int16_t)(exact > INT16_MAX ? INT16_MAX : exact);
            if (block.places != NULL) {
                block.places[j] = (uint8_t)block.place;
            }
        }
    }
}

/** Maxima before any position: what is not above zero becomes zero. */
static void begin_maxima(int16_t *pooled, uint8_t *places, uint32_t count) {
    for (uint32_t j = 0U; j < count; j++) {
        pooled[j] = 0;
    }
    for (uint32_t j = 0U; places != NULL && j < count; j++) {
        places[j] = 0U;
    }
}

/** Takes a row of positions into the maxima of a row of blocks. */
static void convolve_row(const spela_model_t *model, const spela_layer_t *layer,
                         const void *weights, const spela_view_t *rows,
                         const spela_position_t *room, spela_maxima_t maxima) {
    (void)model;
    const spela_window_t *const window = layer->window;
    const spela_shape_t shape = spela_weight_shape(layer);
    const uint32_t columns = spela_pooled_columns(window) * window->pool.columns;
    const uint32_t half = window->kernel.columns / 2U;
    const uint32_t first = maxima.place;
    spela_view_t seen = *rows;
    bool was_whole = false;
    for (uint32_t column = 0U; column < columns; column++) {
        const uint32_t middle = column * window->stride.columns;
        const bool is_whole = middle >= half && middle + half < window->columns;
        if (is_whole && was_whole) {
            seen.values += (uint32_t)window->stride.columns * window->channels;
        } else {
            seen = see(window, rows, column);
        }
        was_whole = is_whole;
        gather(window, &seen, shape.columns, room->wide);
        SPELA_KERNEL(model, spela_dense, weights, room->wide, &shape, room->sums);
        keep_greatest(room->sums, &maxima);
        maxima.place++;
        if (maxima.place - first == window->pool.columns) {
            maxima.place = first;
            maxima.pooled += maxima.filters;
            if (maxima.places != NULL) {
                maxima.places += maxima.filters;
            }
        }
    }
}

void spela_convolve(const spela_model_t *model, const spela_layer_t *layer, const void *weights,
                    const int8_t *map, const spela_position_t *room, int16_t *pooled,
                    uint8_t *places) {
    const spela_window_t *const window = layer->window;
    const uint32_t rows = spela_pooled_rows(window);
    const uint32_t count = spela_pooled_columns(window) * layer->units;
    spela_maxima_t maxima = {pooled, places, layer->units, spela_sum_shift(model, layer), 0U};
    begin_maxima(pooled, places, rows * count);
    clear(room->wide, spela_padded(layer->inputs) * sizeof(spela_wide_t));
    for (uint32_t row = 0U; row < rows; row++) {
        for (uint32_t i = 0U; i < window->pool.rows; i++) {
            const spela_view_t seen = see_row(window, map, row * window->pool.rows + i);
            maxima.place = i << SPELA_PLACE_BITS;
            convolve_row(model, layer, weights, &seen, room, maxima);
        }
        maxima.pooled += count;
        if (places != NULL) {
            maxima.places += count;
        }
    }
}

#ifndef SPELA_NARROW_KERNEL
uint32_t spela_narrow(int16_t *map, uint32_t count) {
    uint32_t bits = 0U; /* of all values, ORed: as many as the largest has */
    for (uint32_t i = 0U; i < count; i++) {
        const int32_t value = map[i];
        bits |= (uint32_t)value;
    }
    bits = spela_bits(bits);
    const uint32_t shift = bits > 7U ? bits - 7U : 0U;
    int8_t *const values = (int8_t *)map; /* value i lies before the number i + 1 */
    for (uint32_t i = 0U; i < count; i++) {
        const int32_t value = spela_shift_right_rounded(map[i], shift);
        values[i] = (int8_t)(value > INT8_MAX ? INT8_MAX : value);
    }
    return shift;
}
#endif

void spela_sum_cells(const spela_layer_t *layer, const int8_t *map, int32_t *sums) {
    const spela_window_t *const window = layer->window;
    const uint32_t filters = layer->units;
    const uint32_t rows = spela_pooled_rows(window);
    const uint32_t columns = spela_pooled_columns(window);
    for (uint32_t i = 0U; i < spela_cell_values(layer); i++) {
        sums[i] = 0;
    }
    spela_walk_t down = {window->grid.rows, rows, 0U};
    for (uint32_t row = 0U; row < rows; row++) {
        spela_walk_t along = {window->grid.columns, columns, 0U};
        int32_t *cell = sums;
        for (uint32_t column = 0U; column < columns; column++) {
            for (uint32_t j = 0U; j < filters; j++) {
                cell[j] += map[j];
            }
            map += filters;
            cell += walk(&along) ? filters : 0U;
        }
        sums += walk(&down) ? window->grid.columns * filters : 0U;
    }
}

uint32_t spela_block(const int32_t *numbers, uint32_t count, int8_t *values) {
    uint32_t bits = 0U;
    for (uint32_t i = 0U; i < count; i++) {
        bits |= (uint32_t)(numbers[i] < 0 ? -numbers[i] : numbers[i]);
    }
    bits = spela_bits(bits);
    const uint32_t shift = bits > 7U ? bits - 7U : 0U;
    for (uint32_t i = 0U; i < count; i++) {
        const int32_t value = spela_shift_right_rounded(numbers[i], shift);
        values[i] = (int8_t)(value > INT8_MAX ? INT8_MAX : value); /* >= -128 by the shift */
    }
    return shift;
}

void spela_send_back(const int8_t *weights, uint32_t rows, uint32_t columns, const int32_t *tangent,
                     int32_t *error) {
    for (uint32_t column = 0U; column < columns; column++) {
        error[column] = 0;
    }
    for (uint32_t row = 0U; row < rows; row += 4U) {
        for (uint32_t column = 0U; column < columns; column += 4U) {
            for (uint32_t i = 0U; i < 4U; i++) {
                error[column + i] +=
                    weights[i] * tangent[row] + weights[4U + i] * tangent[row + 1U] +
                    weights[8U + i] * tangent[row + 2U] + weights[12U + i] * tangent[row + 3U];
            }
            weights += 16;
        }
    }
}

#ifndef SPELA_PATCH_KERNEL
void spela_add_runs(const int8_t *values, int32_t *sums, int32_t factor, const spela_runs_t *runs) {
    for (uint32_t k = 0U; k < runs->count; k++) {
        for (uint32_t i = 0U; i < runs->length; i++) {
            sums[i] += factor * values[i];
        }
        values += runs->pitch;
        sums += runs->width;
    }
}
#endif

/** The sums of one filter's update; whether anything was added. */
static bool sum_filter(const spela_layer_t *layer, const spela_filter_update_t *update,
                       uint32_t filter) {
    const spela_window_t *const window = layer->window;
    const uint32_t rows = spela_pooled_rows(window);
    const uint32_t columns = spela_pooled_columns(window);
    const uint32_t filters = layer->units;
    bool any = false;
    uint32_t at = filter;
    for (uint32_t i = 0U; i < layer->inputs; i++) {
        update->sums[i] = 0;
    }
    const int16_t *factors = update->factors + filter;
    spela_walk_t down = {window->grid.rows, rows, 0U};
    for (uint32_t row = 0U; row < rows; row++) {
        spela_walk_t along = {window->grid.columns, columns, 0U};
        const int16_t *factor = factors;
        for (uint32_t column = 0U; column < columns; column++) {
            if (update->pooled[at] > 0 && *factor != 0) {
                const uint32_t place = update->places[at];
                const spela_view_t rows_seen = see_row(
                    window, update->map, row * window->pool.rows + (place >> SPELA_PLACE_BITS));
                const spela_view_t seen =
                    see(window, &rows_seen,
                        column * window->pool.columns + (place & SPELA_PLACE_COLUMN));
                spela_add_runs(seen.values, update->sums + seen.first, *factor, &seen.runs);
                any = true;
            }
            at += filters;
            factor += walk(&along) ? filters : 0U;
        }
        factors += walk(&down) ? window->grid.columns * filters : 0U;
    }
    return any;
}

void spela_learn_filters(const spela_model_t *model, const spela_layer_t *layer, void *weights,
                         spela_filter_update_t *update) {
    (void)model;
    const spela_shape_t shape = spela_weight_shape(layer);
    const uint32_t update_shift = spela_filter_shift(layer);
    const int32_t greatest = (int32_t)(UINT32_C(1) << (shape.weight_bits - 1U)) - 1;
#ifdef SPELA_WITH_INT12
    const bool is_int12 = SPELA_HAS_INT12(model, layer);
    uint8_t *const residuals = spela_residuals(weights, &shape);
#endif
    uint32_t state = update->state;
    for (uint32_t i = 0U; i < shape.columns; i++) {
        state = state * update->multiplier + update->increment;
    }
    for (uint32_t filter = 0U; filter < layer->units; filter++) {
        if (!sum_filter(layer, update, filter)) {
            continue; /* the update of nothing is its noise >> shift: zero */
        }
        const uint32_t row = spela_row_offset(filter, shape.columns);
        uint32_t noise = update->state;
        for (uint32_t i = 0U; i < layer->inputs; i++) {
            noise = noise * update->multiplier + update->increment;
            /* |sum + noise| <= 2^30 + 2^24 */
            const int32_t sum = update->sums[i] + (int32_t)(noise >> (32U - update_shift));
            const int32_t step = spela_shift_right(sum, update_shift);
            const uint32_t at = row + spela_element(i);
            if (SPELA_IS_INT16(model)) {
                int16_t *const weight = (int16_t *)weights + at;
                *weight = (int16_t)spela_clip(*weight + step, -greatest - 1, greatest);
#ifdef SPELA_WITH_INT12
            } else if (is_int12) {
                const int32_t moved = spela_raised(weights, residuals, at) + step;
                spela_set_raised(weights, residuals, at,
                                 spela_clip(moved, SPELA_RAISED_MIN, SPELA_RAISED_MAX));
#endif
            } else {
                int8_t *const weight = (int8_t *)weights + at;
                *weight = (int8_t)spela_clip(*weight + step, -greatest - 1, greatest);
            }
        }
    }
    update->state = state;
}
