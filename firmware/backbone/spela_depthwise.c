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
    const uint32_t pair = (uint32_t)(uint16_t)value * UINT32_C(0x10001);
    for (uint32_t i = 0U; i < plane->rows * plane->columns; i += 2U) {
        __builtin_memcpy(&to[i], &pair, sizeof pair);
    }
}

#ifdef SPELA_DSP_DEPTHWISE
#define RECTIFIED_SHIFT     10U /* of the kernels */
#define RECTIFIED_SHIFT_MIN 3U  /* weights times 2^(10 + 1 - 3) fit in int16 */
#define RECTIFIED_SHIFT_MAX 9U  /* one more, and the rounding would be a half */
#define RECTIFIED_BIAS_MAX  (INT32_C(1) << 22)

static plane_t turned(const plane_t *plane) {
    const plane_t result = {plane->columns - 2U, spela_rounded_up(plane->rows + 2U, 2U)};
    return result;
}

/** Takes part of a map, whose values lie `step` and `row_step` apart. */
static spela_take_job_t taking(const spela_pair_t *part, uint32_t step, uint32_t row_step,
                               uint32_t row_bytes) {
    const uint32_t pairs = part->width / 2U;
    const spela_take_job_t job = {
        step,         row_step - part->width * step, 4U * pairs - part->width % 2U,
        part->height, row_bytes - 2U * part->width,  pairs == 0U ? 4U : (0U - pairs) % 4U,
    };
    return job;
}

/** A row of weights times a factor, as a kernel reads them. */
static inline void set_weights(uint32_t *pairs, const int8_t *weights, uint32_t step,
                               int32_t factor) {
    const int32_t second = weights[step] * factor;
    pairs[0] = (uint32_t)(uint16_t)(weights[0] * factor) | (uint32_t)second << 16;
    pairs[1] = (uint32_t)(uint16_t)second | (uint32_t)(weights[2U * step] * factor) << 16;
}

/** Whether a channel can be rectified: its outputs are the least where sums are negative, so that
 *  it does not matter how those are rounded, and weights and bias can be scaled to the shift. */
static bool is_rectified(const spela_operator_t *op, const spela_channel_t *channel) {
    return channel->rounding >> channel->shift <= op->minimum &&
           (uint32_t)channel->shift - RECTIFIED_SHIFT_MIN <=
               RECTIFIED_SHIFT_MAX - RECTIFIED_SHIFT_MIN &&
           channel->bias >= -RECTIFIED_BIAS_MAX && channel->bias <= RECTIFIED_BIAS_MAX;
}

/** What a kernel reads of a channel and its weights, `row` and `column` apart.
 *
 *  A rectified channel takes 2^scale instead of 2 times the sum, and rounds once: there floor((h +
 *  rounding) / 2^shift), with h = floor(product / 2^32 + 1/2), is floor((product / 2^32 + 1/2 +
 *  rounding) / 2^shift), and that is computed. */
static void set_channel(spela_plane_job_t *job, const spela_channel_t *channel,
                        const int8_t *weights, uint32_t row, uint32_t column, bool rectified) {
    const uint32_t scale = rectified ? RECTIFIED_SHIFT - (uint32_t)channel->shift + 1U : 1U;
    job->multiplier = channel->multiplier;
    job->rounding = rectified ? (int32_t)(((uint32_t)channel->rounding << (scale - 1U)) +
                                          (UINT32_C(1) << (scale - 2U)))
                              : channel->rounding;
    job->shift = channel->shift;
    job->bias = (int32_t)((uint32_t)channel->bias << (scale - 1U));
    const int32_t factor = INT32_C(1) << scale;
    set_weights(&job->weights[0], &weights[0], column, factor);
    set_weights(&job->weights[2], &weights[row], column, factor);
    set_weights(&job->weights[4], &weights[2U * row], column, factor);
}

/** Convolves a channel's plane in groups of 2 or 4, by `stride` values from output to output. */
static void convolve(spela_plane_job_t *job, const int16_t *taps, uint32_t row_bytes,
                     uint32_t columns, uint32_t stride, bool rectified, int8_t *target) {
    const uint32_t group = rectified ? 4U : 2U;
    job->left_over = columns % group;
    job->groups_end = &taps[(columns - job->left_over) * stride];
    if (rectified && stride == 1U) {
        spela_rectify_plane_1(taps, row_bytes, job, target);
    } else if (rectified) {
        spela_rectify_plane_2(taps, row_bytes, job, target);
    } else if (stride == 1U) {
        spela_convolve_plane_1(taps, row_bytes, job, target);
    } else {
        spela_convolve_plane_2(taps, row_bytes, job, target);
    }
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
    const spela_pair_t inside_turned = {inside.width, inside.height};
    const uint32_t channels = op->input.channels;
    const uint32_t row_bytes = 2U * own.columns;
    const uint32_t in_row = (uint32_t)op->input.width * channels;
    const uint32_t out_row = (uint32_t)op->output.width * channels;
    const spela_take_job_t take = is_turned ? taking(&inside_turned, in_row, channels, row_bytes)
                                            : taking(&inside, channels, in_row, row_bytes);
    const bool has_inside = inside.height != 0U && inside.width != 0U;
    const uint32_t stride = is_turned ? op->stride.height : op->stride.width;
    const uint32_t row_stride = is_turned ? op->stride.width : op->stride.height;
    const uint32_t columns = is_turned ? op->output.height : op->output.width;
    int16_t *const taps = maps->scratch;
    int16_t *const first = &taps[is_turned ? op->padding.width * own.columns + op->padding.height
                                           : op->padding.height * own.columns + op->padding.width];
    const int8_t *weights = op->constants;
    spela_plane_job_t job;
    job.step = is_turned ? out_row : channels;
    job.row_step = row_stride * row_bytes;
    job.row_skip = job.row_step - 4U * (columns / 2U) * stride;
    job.target_skip = (is_turned ? channels : out_row) - columns * job.step;
    job.rows = is_turned ? op->output.width : op->output.height;
    fill_plane(&own, op->fill, taps);
    for (uint32_t c = 0U; c < channels; c++) {
        const spela_channel_t *const channel = &op->channels[c];
        const bool rectified = is_rectified(op, channel);
        set_channel(&job, channel, weights, is_turned ? 1U : 4U, is_turned ? 4U : 1U, rectified);
        weights += 12;
        if (has_inside) {
            spela_take_plane(&maps->sources[0][c], first, &take);
        }
        convolve(&job, taps, row_bytes, columns, stride, rectified, &maps->target[c]);
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
