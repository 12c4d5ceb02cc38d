/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Depthwise convolutions by 3 x 3 taps, channel by channel, for cores that have kernels for a
 * channel's plane.
 */
#include "spela_depthwise.h"
#include "spela_requantize.h"

#ifdef SPELA_PLANE_DEPTHWISE

/** Weights of 3 x 3 taps: those of a row of the plane lie `row` apart, of a column `column`. */
typedef struct {
    const int8_t *first;
    uint32_t row;
    uint32_t column;
} weights_t;

/** What the outputs of all channels have in common. */
typedef struct {
    const int16_t *taps; /**< the plane */
    uint32_t row_bytes;
    uint32_t columns; /**< of outputs */
    uint32_t stride;
} outputs_t;

static spela_plane_t turned(const spela_plane_t *plane) {
    const spela_plane_t result = {plane->columns - 2U, spela_rounded_up(plane->rows + 2U, 2U)};
    return result;
}

/** Takes part of a map, whose values lie `step` and `row_step` apart. Nothing is one empty row. */
static spela_take_job_t taking(uint32_t rows, uint32_t columns, uint32_t step, uint32_t row_step,
                               uint32_t row_bytes) {
    const uint32_t width = rows == 0U ? 0U : columns;
    const uint32_t pairs = width / 2U;
    spela_take_job_t job;
    job.step = step;
    job.row_skip = row_step - width * step;
    job.pair_bytes = 4U * pairs - width % 2U;
    job.rows = rows == 0U ? 1U : rows;
    job.plane_skip = row_bytes - 2U * width;
    job.entry = pairs == 0U ? 4U : (0U - pairs) % 4U;
    return job;
}

static inline void set_groups(spela_plane_job_t *job, const outputs_t *outputs, uint32_t group) {
    job->left_over = outputs->columns % group;
    job->groups_end = &outputs->taps[(outputs->columns - job->left_over) * outputs->stride];
}

#ifdef SPELA_DSP_DEPTHWISE

#define ROW_ENDS_AT(columns) ((columns) / 2U * 2U) /* for the kernels */

#define RECTIFIED_SHIFT     10U /* of the kernels */
#define RECTIFIED_SHIFT_MIN 3U  /* weights times 2^(10 + 1 - 3) fit in int16 */
#define RECTIFIED_SHIFT_MAX 9U  /* one more, and the rounding would be a half */
#define RECTIFIED_BIAS_MAX  (INT32_C(1) << 22)

/** Whether a channel can be rectified: its outputs are the least where sums are negative, so that
 *  it does not matter how those are rounded, and weights and bias can be scaled to the shift. */
static bool is_rectified(const spela_operator_t *op, const spela_channel_t *channel) {
    return channel->rounding >> channel->shift <= op->minimum &&
           (uint32_t)channel->shift - RECTIFIED_SHIFT_MIN <=
               RECTIFIED_SHIFT_MAX - RECTIFIED_SHIFT_MIN &&
           channel->bias >= -RECTIFIED_BIAS_MAX && channel->bias <= RECTIFIED_BIAS_MAX;
}

/** A row of weights times a factor, as a kernel reads them. */
static inline void set_row(uint32_t *pairs, const int8_t *weights, uint32_t step, int32_t factor) {
    const int32_t second = weights[step] * factor;
    pairs[0] = (uint32_t)(uint16_t)(weights[0] * factor) | (uint32_t)second << 16;
    pairs[1] = (uint32_t)(uint16_t)second | (uint32_t)(weights[2U * step] * factor) << 16;
}

/** The outputs of a channel.
 *
 *  A rectified channel takes 2^scale instead of 2 times the sum, and rounds once: there floor((h +
 *  rounding) / 2^shift), with h = floor(product / 2^32 + 1/2), is floor((product / 2^32 + 1/2 +
 *  rounding) / 2^shift), and that is computed. */
static void convolve(const spela_operator_t *op, const outputs_t *outputs,
                     const spela_channel_t *channel, const weights_t *weights,
                     spela_plane_job_t *job, int8_t *target) {
    const bool rectified = is_rectified(op, channel);
    const uint32_t scale = rectified ? RECTIFIED_SHIFT - (uint32_t)channel->shift + 1U : 1U;
    const int32_t factor = INT32_C(1) << scale;
    job->multiplier = channel->multiplier;
    job->rounding = rectified ? (int32_t)(((uint32_t)channel->rounding << (scale - 1U)) +
                                          (UINT32_C(1) << (scale - 2U)))
                              : channel->rounding;
    job->shift = channel->shift;
    job->bias = (int32_t)((uint32_t)channel->bias << (scale - 1U));
    set_row(&job->weights[0], weights->first, weights->column, factor);
    set_row(&job->weights[2], &weights->first[weights->row], weights->column, factor);
    set_row(&job->weights[4], &weights->first[2U * weights->row], weights->column, factor);
    set_groups(job, outputs, rectified ? 4U : 2U);
    if (rectified && outputs->stride == 1U) {
        spela_rectify_plane_1(outputs->taps, outputs->row_bytes, job, target);
    } else if (rectified) {
        spela_rectify_plane_2(outputs->taps, outputs->row_bytes, job, target);
    } else if (outputs->stride == 1U) {
        spela_convolve_plane_1(outputs->taps, outputs->row_bytes, job, target);
    } else {
        spela_convolve_plane_2(outputs->taps, outputs->row_bytes, job, target);
    }
}

#else

#define ROW_ENDS_AT(columns) (columns)

/** The outputs of a channel. */
static void convolve(const spela_operator_t *op, const outputs_t *outputs,
                     const spela_channel_t *channel, const weights_t *weights,
                     spela_plane_job_t *job, int8_t *target) {
    (void)op;
    job->multiplier = channel->multiplier;
    job->rounding = channel->rounding;
    job->shift = channel->shift;
    job->bias = channel->bias;
    for (uint32_t i = 0U; i < 3U; i++) {
        for (uint32_t j = 0U; j < 3U; j++) {
            job->weights[3U * i + j] = 2 * weights->first[i * weights->row + j * weights->column];
        }
    }
    set_groups(job, outputs, 4U);
    if (outputs->stride == 1U) {
        spela_convolve_plane_1(outputs->taps, outputs->row_bytes, job, target);
    } else {
        spela_convolve_plane_2(outputs->taps, outputs->row_bytes, job, target);
    }
}

#endif

/** What is a row of the plane is a column of the map if maps are higher than wide: longer rows take
 *  fewer instructions. */
void spela_run_planes(const spela_operator_t *op, const spela_maps_t *maps) {
    const spela_plane_t plane = spela_plane_of(op);
    const spela_plane_t other = turned(&plane);
    const bool is_turned = op->output.height > op->output.width && op->stride.height <= 2U &&
                           other.rows * other.columns <= plane.rows * plane.columns;
    const spela_plane_t own = is_turned ? other : plane;
    const spela_pair_t inside = spela_inside_of(op, &plane);
    const uint32_t channels = op->input.channels;
    const uint32_t in_row = (uint32_t)op->input.width * channels;
    const uint32_t out_row = (uint32_t)op->output.width * channels;
    int16_t *const taps = maps->scratch;
    int16_t *const first = &taps[is_turned ? op->padding.width * own.columns + op->padding.height
                                           : op->padding.height * own.columns + op->padding.width];
    const outputs_t outputs = {taps, 2U * own.columns,
                               is_turned ? op->output.height : op->output.width,
                               is_turned ? op->stride.height : op->stride.width};
    const spela_take_job_t take =
        is_turned ? taking(inside.width, inside.height, in_row, channels, outputs.row_bytes)
                  : taking(inside.height, inside.width, channels, in_row, outputs.row_bytes);
    weights_t weights = {op->constants, is_turned ? 1U : 4U, is_turned ? 4U : 1U};
    spela_plane_job_t job;
    job.step = is_turned ? out_row : channels;
    job.row_step = (is_turned ? op->stride.width : op->stride.height) * outputs.row_bytes;
    job.row_skip = job.row_step - 2U * ROW_ENDS_AT(outputs.columns) * outputs.stride;
    job.target_skip = (is_turned ? channels : out_row) - outputs.columns * job.step;
    spela_fill_plane(&own, op->fill, taps);
    for (uint32_t c = 0U; c < channels; c++) {
        spela_take_plane(&maps->sources[0][c], first, &take);
        job.rows = is_turned ? op->output.width : op->output.height;
        convolve(op, &outputs, &op->channels[c], &weights, &job, &maps->target[c]);
        weights.first += 12;
    }
    spela_clamp(op, maps->target, spela_map_size(&op->output));
}

bool spela_has_plane_kernel(const spela_operator_t *op) {
    return op->is_narrowing != 0U && op->output.channels == op->input.channels &&
           op->window.height == 3U && op->window.width == 3U && op->dilation.height == 1U &&
           op->dilation.width == 1U && op->stride.width <= 2U;
}

#endif
