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

bool spela_depthwise_is_valid(const spela_operator_t *op) {
    const spela_plane_t plane = spela_plane_of(op);
    return op->constants != NULL && plane.columns <= SPELA_MAP_MAX &&
           plane.rows <= SPELA_MAP_MAX / plane.columns &&
           op->output.channels % op->input.channels == 0U;
}

uint32_t spela_depthwise_scratch(const spela_operator_t *op) {
    const spela_plane_t plane = spela_plane_of(op);
    return spela_rounded_up(2U * plane.rows * plane.columns, 16U);
}

/** Copies a channel of the input into the plane. */
static void take_plane(const spela_operator_t *op, const spela_plane_t *plane,
                       const int8_t *channel, int16_t *taps) {
    const spela_pair_t inside = spela_inside_of(op, plane);
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

/** The sum of a window whose first tap is given. */
static int32_t sum_of(const spela_window_t *window, const int16_t *taps, const int8_t *weights) {
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

#ifndef SPELA_MVE_DEPTHWISE
/** The sums of four windows, `apart` from each other. */
static void spela_sum_four(const spela_window_t *window, const int16_t *taps, uint32_t apart,
                           const int8_t *weights, int32_t *sums) {
    int32_t sum_0 = 0;
    int32_t sum_1 = 0;
    int32_t sum_2 = 0;
    int32_t sum_3 = 0;
    uint32_t row = 0U;
    for (uint32_t i = window->rows; i > 0U; i--) {
        const int16_t *const taps_0 = &taps[row];
        const int16_t *const taps_1 = &taps_0[apart];
        const int16_t *const taps_2 = &taps_1[apart];
        const int16_t *const taps_3 = &taps_2[apart];
        if (window->columns == 3U && window->step == 1U) {
            const int32_t left = weights[0];
            const int32_t middle = weights[1];
            const int32_t right = weights[2];
            sum_0 += taps_0[0] * left + taps_0[1] * middle + taps_0[2] * right;
            sum_1 += taps_1[0] * left + taps_1[1] * middle + taps_1[2] * right;
            sum_2 += taps_2[0] * left + taps_2[1] * middle + taps_2[2] * right;
            sum_3 += taps_3[0] * left + taps_3[1] * middle + taps_3[2] * right;
            weights += 3;
        } else {
            uint32_t at = 0U;
            for (uint32_t j = window->columns; j > 0U; j--) {
                const int32_t weight = *weights++;
                sum_0 += taps_0[at] * weight;
                sum_1 += taps_1[at] * weight;
                sum_2 += taps_2[at] * weight;
                sum_3 += taps_3[at] * weight;
                at += window->step;
            }
        }
        row += window->row_step;
        weights += window->skipped;
    }
    sums[0] = sum_0;
    sums[1] = sum_1;
    sums[2] = sum_2;
    sums[3] = sum_3;
}
#endif

/** Where outputs and their windows lie along rows, or along columns. */
typedef struct {
    uint32_t count;
    uint32_t apart; /**< from a window to the next one, in the plane */
    uint32_t step;  /**< from an output to the next one */
} line_t;

/** The outputs of a channel, four at a time along the longer side. */
static void convolve_plane(const spela_operator_t *op, const spela_plane_t *plane,
                           const spela_window_t *window, const spela_channel_t *channel,
                           const int8_t *weights, const int16_t *taps, int8_t *target) {
    const line_t down = {op->output.height, op->stride.height * plane->columns,
                         (uint32_t)op->output.width * op->output.channels};
    const line_t across = {op->output.width, op->stride.width, op->output.channels};
    const line_t line = down.count > across.count ? down : across;
    const line_t lines = down.count > across.count ? across : down;
    const uint32_t in_fours = line.count & ~UINT32_C(3);
    const spela_line_t outputs = {channel, 0U, 4U, line.step};
    for (uint32_t i = 0U; i < lines.count; i++) {
        const int16_t *const first = &taps[i * lines.apart];
        int8_t *const to = &target[i * lines.step];
        uint32_t k = 0U;
        for (; k < in_fours; k += 4U) {
            int32_t sums[4];
            spela_sum_four(window, &first[k * line.apart], line.apart, weights, sums);
            spela_requantize(op, &outputs, sums, &to[k * line.step]);
        }
        for (; k < line.count; k++) {
            const int32_t sum = sum_of(window, &first[k * line.apart], weights);
            to[k * line.step] = spela_requantized(sum, channel, op);
        }
    }
}

void spela_run_depthwise(const spela_operator_t *op, const spela_maps_t *maps) {
#ifdef SPELA_PLANE_DEPTHWISE
    if (spela_has_plane_kernel(op)) {
        spela_run_planes(op, maps);
        return;
    }
#endif
    const spela_plane_t plane = spela_plane_of(op);
    const uint32_t channels = op->output.channels;
    const uint32_t copies = channels / op->input.channels;
    const uint32_t padded = spela_rounded_up(op->window.width, 4U);
    const spela_window_t window = {op->window.height, op->window.width, op->dilation.width,
                                   op->dilation.height * plane.columns, padded - op->window.width};
    const int8_t *weights = op->constants;
    int16_t *const taps = maps->scratch;
    spela_fill_plane(&plane, op->fill, taps);
    for (uint32_t c = 0U; c < channels; c++) {
        const spela_channel_t channel = op->channels[c];
        if (c % copies == 0U) {
            take_plane(op, &plane, &maps->sources[0][c / copies], taps);
        }
        convolve_plane(op, &plane, &window, &channel, weights, taps, &maps->target[c]);
        weights += op->window.height * padded;
    }
}

#endif
