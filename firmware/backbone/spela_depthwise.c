/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Convolutions of each channel by itself.
 *
 * A channel's plane is copied into the scratch, with the zero point around it; then its outputs
 * may take the place of its inputs, and its taps are neighbours. Weights lie output channel by
 * output channel, then row by row; each row is padded to a multiple of four.
 */
#include "spela_depthwise.h"
#include "spela_operators.h"
#include "spela_requantize.h"

#ifndef SPELA_NO_DEPTHWISE

/** The part of the padded input that the windows cover, as it lies in the scratch. */
typedef struct {
    uint32_t rows;
    uint32_t columns; /**< even, two of them to spare */
} plane_t;

static plane_t plane_of(const spela_operator_t *op) {
    const plane_t plane = {
        spela_covered(op->output.height, op->stride.height, op->window.height, op->dilation.height),
        spela_rounded_up(spela_covered(op->output.width, op->stride.width, op->window.width,
                                       op->dilation.width) +
                             2U,
                         2U),
    };
    return plane;
}

bool spela_depthwise_is_valid(const spela_operator_t *op) {
    const plane_t plane = plane_of(op);
    return op->constants != NULL && plane.columns <= SPELA_MAP_MAX &&
           plane.rows <= SPELA_MAP_MAX / plane.columns &&
           op->output.channels % op->input.channels == 0U;
}

uint32_t spela_depthwise_scratch(const spela_operator_t *op) {
    const plane_t plane = plane_of(op);
    return spela_rounded_up(2U * plane.rows * plane.columns, 16U);
}

/** The part of the plane that comes from the input: its rows and columns. */
static spela_pair_t inside_of(const spela_operator_t *op, const plane_t *plane) {
    const uint32_t rows = plane->rows > op->padding.height ? plane->rows - op->padding.height : 0U;
    const uint32_t columns =
        plane->columns - 2U > op->padding.width ? plane->columns - 2U - op->padding.width : 0U;
    const spela_pair_t inside = {
        rows < op->input.height ? (uint16_t)rows : op->input.height,
        columns < op->input.width ? (uint16_t)columns : op->input.width,
    };
    return inside;
}

static void fill_plane(const plane_t *plane, int16_t value, int16_t *to) {
    for (uint32_t i = 0U; i < plane->rows * plane->columns; i++) {
        to[i] = value;
    }
}

#ifdef SPELA_DSP_DEPTHWISE
static plane_t turned(const plane_t *plane) {
    const plane_t result = {plane->columns - 2U, spela_rounded_up(plane->rows + 2U, 2U)};
    return result;
}

/** Twice two weights, as a kernel reads them. */
static uint32_t doubled(int8_t low, int8_t high) {
    return ((uint32_t)low << 1 & UINT32_C(0xFFFF)) | (uint32_t)high << 17;
}

/** Runs an operator with 3 x 3 taps. What is a row of the plane is a column of the map if maps are
 *  higher than wide: longer rows take fewer instructions. */
static void run_3_by_3(const spela_operator_t *op, const spela_maps_t *maps) {
    const plane_t plane = plane_of(op);
    const plane_t other = turned(&plane);
    const bool is_turned = op->output.height > op->output.width && op->stride.height <= 2U &&
                           other.rows * other.columns <= plane.rows * plane.columns;
    const plane_t own = is_turned ? other : plane;
    const spela_pair_t inside = inside_of(op, &plane);
    const uint32_t channels = op->input.channels;
    const uint32_t row_bytes = 2U * own.columns;
    const uint32_t in_row = (uint32_t)op->input.width * channels;
    const uint32_t out_row = (uint32_t)op->output.width * channels;
    const spela_take_job_t take = {is_turned ? in_row : channels, is_turned ? channels : in_row,
                                   is_turned ? inside.height : inside.width,
                                   is_turned ? inside.width : inside.height, row_bytes};
    const uint32_t stride = is_turned ? op->stride.height : op->stride.width;
    const uint32_t row_stride = is_turned ? op->stride.width : op->stride.height;
    const uint32_t columns = is_turned ? op->output.height : op->output.width;
    const uint32_t pairs = columns / 2U * 2U * stride;
    int16_t *const taps = maps->scratch;
    int16_t *const first = &taps[is_turned ? op->padding.width * own.columns + op->padding.height
                                           : op->padding.height * own.columns + op->padding.width];
    const int8_t *weights = op->constants;
    spela_plane_job_t job;
    job.step = is_turned ? out_row : channels;
    job.pairs_end = &taps[pairs];
    job.row_step = row_stride * row_bytes;
    job.row_skip = job.row_step - 2U * pairs;
    job.target_skip = (is_turned ? channels : out_row) - columns * job.step;
    job.rows = is_turned ? op->output.width : op->output.height;
    job.is_odd = columns % 2U;
    fill_plane(&own, op->fill, taps);
    for (uint32_t c = 0U; c < channels; c++) {
        const spela_channel_t *const channel = &op->channels[c];
        const uint32_t row = is_turned ? 1U : 4U; /* from weight to weight, by the plane */
        const uint32_t column = is_turned ? 4U : 1U;
        job.multiplier = channel->multiplier;
        job.rounding = channel->rounding;
        job.shift = channel->shift;
        job.bias = channel->bias;
        for (uint32_t i = 0U; i < 3U; i++) {
            const int8_t *const of_row = &weights[i * row];
            job.weights[2U * i] = doubled(of_row[0], of_row[column]);
            job.weights[2U * i + 1U] = doubled(of_row[column], of_row[2U * column]);
        }
        weights += 12;
        if (take.rows != 0U && take.columns != 0U) {
            spela_take_plane(&maps->sources[0][c], first, &take);
        }
        if (stride == 1U) {
            spela_convolve_plane_1(taps, row_bytes, &job, &maps->target[c]);
        } else {
            spela_convolve_plane_2(taps, row_bytes, &job, &maps->target[c]);
        }
    }
    spela_clamp(op, maps->target, spela_map_size(&op->output));
}

static bool has_kernel(const spela_operator_t *op) {
    return op->is_narrowing != 0U && op->output.channels == op->input.channels &&
           op->window.height == 3U && op->window.width == 3U && op->dilation.height == 1U &&
           op->dilation.width == 1U && op->stride.width <= 2U;
}
#endif

/** Copies a channel of the input into the plane. */
static void take_plane(const spela_operator_t *op, const plane_t *plane, const int8_t *channel,
                       int16_t *taps) {
    const spela_pair_t inside = inside_of(op, plane);
    const uint32_t step = op->input.channels;
    for (uint32_t i = 0U; i < inside.height; i++) {
        const int8_t *from = &channel[i * op->input.width * step];
        int16_t *const to = &taps[(i + op->padding.height) * plane->columns + op->padding.width];
        for (uint32_t j = 0U; j < inside.width; j++) {
            to[j] = *from;
            from += step;
        }
    }
}

/** What the sum of a window is made with, at hand. */
typedef struct {
    uint32_t rows;
    uint32_t columns;
    uint32_t step;     /**< from a tap to the next one of its row */
    uint32_t row_step; /**< from a row of taps to the next one */
    uint32_t skipped;  /**< padding of a row of weights */
} window_t;

/** The sum of a window whose first tap is given. */
static int32_t sum_of(const window_t *window, const int16_t *taps, const int8_t *weights) {
    int32_t sum = 0;
    uint32_t row = 0U;
    for (uint32_t i = window->rows; i > 0U; i--) {
        uint32_t at = row; /* an index, since what lies behind the last tap may be far away */
        for (uint32_t j = window->columns; j > 0U; j--) {
            sum += taps[at] * *weights++;
            at += window->step;
        }
        row += window->row_step;
        weights += window->skipped;
    }
    return sum;
}

void spela_run_depthwise(const spela_operator_t *op, const spela_maps_t *maps) {
#ifdef SPELA_DSP_DEPTHWISE
    if (has_kernel(op)) {
        run_3_by_3(op, maps);
        return;
    }
#endif
    const plane_t plane = plane_of(op);
    const uint32_t channels = op->output.channels;
    const uint32_t copies = channels / op->input.channels;
    const uint32_t padded = spela_rounded_up(op->window.width, 4U);
    const window_t window = {op->window.height, op->window.width, op->dilation.width,
                             op->dilation.height * plane.columns, padded - op->window.width};
    const int8_t *weights = op->constants;
    int16_t *const taps = maps->scratch;
    fill_plane(&plane, op->fill, taps);
    for (uint32_t c = 0U; c < channels; c++) {
        const spela_channel_t channel = op->channels[c];
        if (c % copies == 0U) {
            take_plane(op, &plane, &maps->sources[0][c / copies], taps);
        }
        int8_t *target = &maps->target[c];
        for (uint32_t y = 0U; y < op->output.height; y++) {
            const int16_t *row = &taps[y * op->stride.height * plane.columns];
            for (uint32_t x = op->output.width; x > 0U; x--) {
                *target = spela_requantized(sum_of(&window, row, weights), &channel, op);
                row += op->stride.width;
                target += channels;
            }
        }
        weights += op->window.height * padded;
    }
}

#endif
