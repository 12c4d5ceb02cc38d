/* SPDX-License-Identifier: Apache-2.0 */
/** A convolution, forward and learning, in portable C but for the kernels of dense layers. */
#include "spela_convolution.h"
#ifdef SPELA_WITH_INT12
#include "spela_int12.h"
#endif

/** The part of a patch's rows that lies in the map. */
typedef struct {
    uint32_t first; /**< of a row's values, those from here */
    uint32_t last;  /**< to before here */
    uint32_t start; /**< where the first lies in the map's row */
} spela_span_t;

static uint32_t patch_width(const spela_window_t *window) {
    return (uint32_t)window->kernel.columns * window->channels;
}

static spela_span_t span(const spela_window_t *window, uint32_t middle) {
    const uint32_t half = window->kernel.columns / 2U;
    const uint32_t under = half > middle ? half - middle : 0U;
    const uint32_t end = middle + half + 1U;
    const uint32_t over = end > window->columns ? end - window->columns : 0U;
    const spela_span_t found = {under * window->channels,
                                (window->kernel.columns - over) * window->channels,
                                (middle + under - half) * window->channels};
    return found;
}

/** A row of the input map; NULL outside of it. */
static const int8_t *map_row(const spela_window_t *window, const int8_t *map, uint32_t middle,
                             uint32_t kernel_row) {
    const uint32_t row = middle + kernel_row - window->kernel.rows / 2U; /* wraps above the map */
    return row < window->rows ? map + row * window->columns * window->channels : NULL;
}

/** A position of the map before pooling, as the position of the input map in the middle. */
typedef struct {
    uint32_t row;
    uint32_t column;
} spela_middle_t;

static spela_middle_t middle_of(const spela_window_t *window, uint32_t row, uint32_t column,
                                uint32_t place) {
    const uint32_t y = row * window->pool.rows + (place >> SPELA_PLACE_BITS);
    const uint32_t x = column * window->pool.columns + (place & SPELA_PLACE_COLUMN);
    const spela_middle_t middle = {y * window->stride.rows, x * window->stride.columns};
    return middle;
}

static void clear(int8_t *values, uint32_t count) {
    for (uint32_t i = 0U; i < count; i++) {
        values[i] = 0;
    }
}

static void copy(const int8_t *from, uint32_t count, int8_t *to) {
    uint32_t i = 0U;
#ifdef __ARM_FEATURE_UNALIGNED
    for (; i + 4U <= count; i += 4U) {
        __builtin_memcpy(to + i, from + i, 4U); /* one load and one store */
    }
#endif
    for (; i < count; i++) {
        to[i] = from[i];
    }
}

/** Copies what a filter sees with its middle at a position of the input map. */
static void gather(const spela_window_t *window, const int8_t *map, spela_middle_t middle,
                   int8_t *patch) {
    const spela_span_t inside = span(window, middle.column);
    const uint32_t width = patch_width(window);
    for (uint32_t k = 0U; k < window->kernel.rows; k++) {
        const int8_t *const values = map_row(window, map, middle.row, k);
        if (values == NULL) {
            clear(patch, width);
        } else {
            clear(patch, inside.first);
            copy(values + inside.start, inside.last - inside.first, patch + inside.first);
            clear(patch + inside.last, width - inside.last);
        }
        patch += width;
    }
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

/** A block's maxima before any of its positions: what is not above zero becomes zero. */
static void begin_block(uint32_t filters, int16_t *pooled, uint8_t *places) {
    for (uint32_t j = 0U; j < filters; j++) {
        pooled[j] = 0;
    }
    for (uint32_t j = 0U; places != NULL && j < filters; j++) {
        places[j] = 0U;
    }
}

/** Takes a position's sums into its block's maxima. */
static void keep_greatest(const int32_t *sums, uint32_t filters, uint32_t sum_shift, uint32_t place,
                          int16_t *pooled, uint8_t *places) {
    for (uint32_t j = 0U; j < filters; j++) {
        const int32_t exact = spela_shift_right_rounded(sums[j], sum_shift); /* <= 2^15 */
        if (exact > pooled[j] && pooled[j] < INT16_MAX) {
            pooled[j] = (int16_t)(exact > INT16_MAX ? INT16_MAX : exact);
            if (places != NULL) {
                places[j] = (uint8_t)place;
            }
        }
    }
}

void spela_convolve(const spela_model_t *model, const spela_layer_t *layer, const void *weights,
                    const int8_t *map, const spela_position_t *room, int16_t *pooled,
                    uint8_t *places) {
    (void)model;
    const spela_window_t *const window = layer->window;
    const uint32_t filters = layer->units;
    const uint32_t sum_shift = spela_sum_shift(model, layer);
    const spela_shape_t shape = spela_weight_shape(layer);
    const uint32_t rows = spela_pooled_rows(window);
    const uint32_t columns = spela_pooled_columns(window);
    for (uint32_t row = 0U; row < rows; row++) {
        for (uint32_t column = 0U; column < columns; column++) {
            begin_block(filters, pooled, places);
            for (uint32_t i = 0U; i < window->pool.rows; i++) {
                for (uint32_t k = 0U; k < window->pool.columns; k++) {
                    const uint32_t place = i << SPELA_PLACE_BITS | k;
                    gather(window, map, middle_of(window, row, column, place), room->patch);
                    spela_widen(room->patch, layer->inputs, room->wide);
                    SPELA_KERNEL(model, spela_dense, weights, room->wide, &shape, room->sums);
                    keep_greatest(room->sums, filters, sum_shift, place, pooled, places);
                }
            }
            pooled += filters;
            if (places != NULL) {
                places += filters;
            }
        }
    }
}

uint32_t spela_narrow(int16_t *map, uint32_t count) {
    uint32_t bits = 0U; /* of all values, ORed: as many as the largest has */
    for (uint32_t i = 0U; i < count; i++) {
        bits |= (uint32_t)map[i];
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

/** Adds a factor times what a filter saw, with its middle at a position, to its sums. */
static void add_patch(const spela_window_t *window, const int8_t *map, spela_middle_t middle,
                      int32_t factor, int32_t *sums) {
    const spela_span_t inside = span(window, middle.column);
    const uint32_t half = window->kernel.rows / 2U;
    const uint32_t above = half > middle.row ? half - middle.row : 0U;
    const uint32_t end = middle.row + half + 1U;
    const uint32_t below = end > window->rows ? end - window->rows : 0U;
    const spela_runs_t runs = {window->kernel.rows - above - below, inside.last - inside.first,
                               (uint32_t)window->columns * window->channels, patch_width(window)};
    spela_add_runs(map + (middle.row + above - half) * runs.pitch + inside.start,
                   sums + above * runs.width + inside.first, factor, &runs);
}

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
                add_patch(window, update->map, middle_of(window, row, column, update->places[at]),
                          *factor, update->sums);
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
