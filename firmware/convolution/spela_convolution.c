/* SPDX-License-Identifier: Apache-2.0 */
/** A convolution forward, in portable C but for the kernels of dense layers. */
#include "spela_convolution.h"

#include <stddef.h>

#include "spela_arithmetic.h"
#include "spela_kernels.h"

/** Copies what a filter sees with its middle at a position of the input map. */
static void gather(const spela_window_t *window, const int8_t *map, int32_t middle_row,
                   int32_t middle_column, int8_t *patch) {
    const uint32_t channels = window->channels;
    const uint32_t width = window->kernel.columns * channels;
    const int32_t top = middle_row - window->kernel.rows / 2;
    const int32_t left = middle_column - window->kernel.columns / 2;
    const int32_t over = left + window->kernel.columns - window->columns;
    /* of a row's values, those from `first` to before `last` lie in the map */
    const uint32_t first = left < 0 ? (uint32_t)-left * channels : 0U;
    const uint32_t last = over > 0 ? width - (uint32_t)over * channels : width;
    for (int32_t row = top; row < top + window->kernel.rows; row++) {
        if (row < 0 || row >= window->rows) {
            for (uint32_t i = 0U; i < width; i++) {
                patch[i] = 0;
            }
        } else {
            const int32_t start = (row * window->columns + left) * window->channels;
            const int8_t *const values = map + (start + (int32_t)first);
            for (uint32_t i = 0U; i < first; i++) {
                patch[i] = 0;
            }
            for (uint32_t i = first; i < last; i++) {
                patch[i] = values[i - first];
            }
            for (uint32_t i = last; i < width; i++) {
                patch[i] = 0;
            }
        }
        patch += width;
    }
}

void spela_convolve(const spela_window_t *window, const int8_t *weights, const int8_t *map,
                    const spela_position_t *room, int16_t *pooled, uint8_t *places) {
    const uint32_t patch = spela_patch(window);
    const uint32_t filters = window->filters;
    const spela_shape_t shape = {(filters + 3U) & ~UINT32_C(3), (patch + 3U) & ~UINT32_C(3), 8U};
    const uint32_t rows = spela_pooled_rows(window);
    const uint32_t columns = spela_pooled_columns(window);
    const uint32_t block = (uint32_t)window->pool.rows * window->pool.columns;
    for (uint32_t row = 0U; row < rows; row++) {
        for (uint32_t column = 0U; column < columns; column++) {
            for (uint32_t place = 0U; place < block; place++) {
                const uint32_t y = row * window->pool.rows + place / window->pool.columns;
                const uint32_t x = column * window->pool.columns + place % window->pool.columns;
                gather(window, map, (int32_t)(y * window->stride.rows),
                       (int32_t)(x * window->stride.columns), room->patch);
                spela_widen(room->patch, patch, room->wide);
                spela_dense_int8(weights, room->wide, &shape, room->sums);
                for (uint32_t j = 0U; j < filters; j++) {
                    const int32_t sum = room->sums[j] > 0 ? room->sums[j] : 0;
                    const int32_t exact = spela_shift_right_rounded(sum, window->sum_shift);
                    const int16_t output = (int16_t)(exact > INT16_MAX ? INT16_MAX : exact);
                    if (place == 0U || output > pooled[j]) {
                        pooled[j] = output;
                        if (places != NULL) {
                            places[j] = (uint8_t)place;
                        }
                    }
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

void spela_sum_cells(const spela_window_t *window, const int8_t *map, int32_t *sums) {
    const uint32_t filters = window->filters;
    const uint32_t rows = spela_pooled_rows(window);
    const uint32_t columns = spela_pooled_columns(window);
    const uint32_t count = (uint32_t)window->grid.rows * window->grid.columns * filters;
    for (uint32_t i = 0U; i < count; i++) {
        sums[i] = 0;
    }
    for (uint32_t row = 0U; row < rows; row++) {
        const uint32_t first = row * window->grid.rows / rows * window->grid.columns;
        for (uint32_t column = 0U; column < columns; column++) {
            int32_t *const cell =
                sums + (first + column * window->grid.columns / columns) * filters;
            for (uint32_t j = 0U; j < filters; j++) {
                cell[j] += map[j];
            }
            map += filters;
        }
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
