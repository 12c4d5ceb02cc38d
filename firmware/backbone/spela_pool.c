/* SPDX-License-Identifier: Apache-2.0 */
/** Pools and the mean over all positions. */
#include "spela_operators.h"
#include "spela_requantize.h"

#ifndef SPELA_NO_POOL

/** Taps of a window that lie in the input: from the first to before the last. */
typedef struct {
    uint32_t first;
    uint32_t last;
} span_t;

/** Rows, or columns, of the input that the window of an output covers. */
static span_t span_of(uint32_t at, uint32_t stride, uint32_t padding, uint32_t window,
                      uint32_t size) {
    const int32_t from = (int32_t)(at * stride) - (int32_t)padding;
    const int32_t to = from + (int32_t)window;
    const span_t span = {from < 0 ? 0U : (uint32_t)from,
                         to < 0 ? 0U : ((uint32_t)to < size ? (uint32_t)to : size)};
    return span;
}

/** Whether the windows of the first and of the last output, and so of all, meet the input. */
static bool windows_meet(uint32_t count, uint32_t stride, uint32_t padding, uint32_t window,
                         uint32_t size) {
    return padding < window && (count - 1U) * stride < size + padding;
}

bool spela_pool_is_valid(const spela_operator_t *op) {
    if (op->input.channels != op->output.channels) {
        return false;
    }
    if (op->kind == (uint8_t)SPELA_OPERATOR_MEAN) {
        return op->output.height == 1U && op->output.width == 1U;
    }
    if (op->kind == (uint8_t)SPELA_OPERATOR_TAP &&
        (op->output.height != 1U || op->output.width != 1U)) {
        return false;
    }
    return op->dilation.height == 1U && op->dilation.width == 1U &&
           windows_meet(op->output.height, op->stride.height, op->padding.height, op->window.height,
                        op->input.height) &&
           windows_meet(op->output.width, op->stride.width, op->padding.width, op->window.width,
                        op->input.width);
}

/** The sum, or the maximum, of a channel over part of the input. |sum| <= 2^24 * 2^7. */
static int32_t pooled(const spela_operator_t *op, const int8_t *channel, span_t rows,
                      span_t columns) {
    const bool is_max = op->kind == (uint8_t)SPELA_OPERATOR_MAX_POOL;
    int32_t result = is_max ? INT8_MIN : 0;
    for (uint32_t y = rows.first; y < rows.last; y++) {
        const int8_t *from = &channel[(y * op->input.width + columns.first) * op->input.channels];
        for (uint32_t x = columns.first; x < columns.last; x++) {
            result = !is_max ? result + *from : (*from > result ? *from : result);
            from += op->input.channels;
        }
    }
    return result;
}

/** sum / count to the nearest integer, ties away from zero. */
static int32_t mean_of(int32_t sum, uint32_t count) {
    const uint32_t magnitude = sum < 0 ? 0U - (uint32_t)sum : (uint32_t)sum;
    const int32_t mean = (int32_t)((magnitude + count / 2U) / count);
    return sum < 0 ? -mean : mean;
}

static void run_mean(const spela_operator_t *op, const spela_maps_t *maps) {
    const span_t rows = {0U, op->input.height};
    const span_t columns = {0U, op->input.width};
    for (uint32_t c = 0U; c < op->input.channels; c++) {
        maps->target[c] =
            spela_requantized(pooled(op, &maps->sources[0][c], rows, columns), op->channels, op);
    }
}

void spela_run_pool(const spela_operator_t *op, const spela_maps_t *maps) {
    if (op->kind == (uint8_t)SPELA_OPERATOR_MEAN) {
        run_mean(op, maps);
        return;
    }
    int8_t *target = maps->target;
    for (uint32_t y = 0U; y < op->output.height; y++) {
        const span_t rows =
            span_of(y, op->stride.height, op->padding.height, op->window.height, op->input.height);
        for (uint32_t x = 0U; x < op->output.width; x++) {
            const span_t columns =
                span_of(x, op->stride.width, op->padding.width, op->window.width, op->input.width);
            const uint32_t count = (rows.last - rows.first) * (columns.last - columns.first);
            for (uint32_t c = 0U; c < op->output.channels; c++) {
                const int32_t value = pooled(op, &maps->sources[0][c], rows, columns);
                *target++ = spela_clamped(
                    op->kind == (uint8_t)SPELA_OPERATOR_MAX_POOL ? value : mean_of(value, count),
                    op);
            }
        }
    }
}

#endif
