/* SPDX-License-Identifier: Apache-2.0 */
/** Planes of a depthwise convolution's channels, and kernels for those of 3 x 3 taps on cores that
 *  have them. Private. */
#ifndef SPELA_DEPTHWISE_H
#define SPELA_DEPTHWISE_H

#include "spela_kernels.h"
#include "spela_operators.h"

#ifndef SPELA_NO_DEPTHWISE
#if defined(SPELA_DSP_KERNELS)
#define SPELA_DSP_DEPTHWISE
#define SPELA_PLANE_DEPTHWISE
#elif defined(SPELA_THUMB_KERNELS) && __ARM_ARCH_ISA_THUMB == 2
#define SPELA_THUMB_DEPTHWISE
#define SPELA_PLANE_DEPTHWISE
#elif defined(SPELA_MVE_KERNELS)
#define SPELA_MVE_DEPTHWISE
#endif
#endif

/** The part of the padded input that the windows cover, as it lies in the scratch. */
typedef struct {
    uint32_t rows;
    uint32_t columns; /**< even, two of them to spare */
} spela_plane_t;

static inline spela_plane_t spela_plane_of(const spela_operator_t *op) {
    const spela_plane_t plane = {
        spela_covered(op->output.height, op->stride.height, op->window.height, op->dilation.height),
        spela_rounded_up(spela_covered(op->output.width, op->stride.width, op->window.width,
                                       op->dilation.width) +
                             2U,
                         2U),
    };
    return plane;
}

/** The part of the plane that comes from the input: its rows and columns. */
static inline spela_pair_t spela_inside_of(const spela_operator_t *op, const spela_plane_t *plane) {
    const uint32_t rows = plane->rows > op->padding.height ? plane->rows - op->padding.height : 0U;
    const uint32_t columns =
        plane->columns - 2U > op->padding.width ? plane->columns - 2U - op->padding.width : 0U;
    const spela_pair_t inside = {
        rows < op->input.height ? (uint16_t)rows : op->input.height,
        columns < op->input.width ? (uint16_t)columns : op->input.width,
    };
    return inside;
}

static inline void spela_fill_plane(const spela_plane_t *plane, int16_t value, int16_t *to) {
    const uint32_t pair = (uint32_t)(uint16_t)value * UINT32_C(0x10001);
    for (uint32_t i = 0U; i < plane->rows * plane->columns; i += 2U) {
        __builtin_memcpy(&to[i], &pair, sizeof pair);
    }
}

/** What the sum of a window is made with, at hand. A kernel in assembly reads it, in this order. */
typedef struct {
    uint32_t rows;
    uint32_t columns;
    uint32_t step;     /**< from a tap to the next one of its row */
    uint32_t row_step; /**< from a row of taps to the next one */
    uint32_t skipped;  /**< padding of a row of weights */
} spela_window_t;

#ifdef SPELA_MVE_DEPTHWISE
/** The sums of four windows, `apart` from each other. */
void spela_sum_four(const spela_window_t *window, const int16_t *taps, uint32_t apart,
                    const int8_t *weights, int32_t *sums);
#endif

#ifdef SPELA_PLANE_DEPTHWISE

/** How a channel's plane is taken from a map. The kernel in assembly reads it, in this order. */
typedef struct {
    uint32_t step;     /**< from a value to the next one of its row, in the map */
    uint32_t row_skip; /**< from the end of a row to the next one, in the map */
    uint32_t
        pair_bytes; /**< of the pairs of values of a row in the plane, less one if one is over */
    uint32_t rows;  /**< at least one */
    uint32_t plane_skip; /**< from the end of a row to the next one in the plane, in bytes */
    uint32_t entry;      /**< minus the number of pairs, modulo 4; 4 if there is none */
} spela_take_job_t;

/** A channel's convolution. The kernels in assembly read it, in this order, and may change it. */
typedef struct {
    int32_t bias;  /**< as in the channel's record, and so on; the operator is narrowing */
    uint32_t step; /**< from an output to the next one of its row */
    int32_t shift;
    const int16_t *groups_end; /**< first taps behind those of the first row's groups of outputs */
    int32_t multiplier;
    int32_t rounding;
    uint32_t target_skip; /**< from the end of a row of outputs to the next one */
    uint32_t row_step;    /**< from where groups end to where they end in the next row, in bytes */
    uint32_t row_skip;    /**< from the end of a row to the next row, in bytes; of outputs in
                               twos, from the end of its pairs */
    uint32_t rows;        /**< of outputs, at least one */
    uint32_t left_over;   /**< outputs that a row has more than groups */
#ifdef SPELA_DSP_DEPTHWISE
    uint32_t weights[6]; /**< of each row of taps, twice its weights 0 and 1, and 1 and 2 */
#else
    int32_t weights[9]; /**< twice those of each row of taps */
#endif
} spela_plane_job_t;

/** Whether the kernels can run an operator. */
bool spela_has_plane_kernel(const spela_operator_t *op);
void spela_run_planes(const spela_operator_t *op, const spela_maps_t *maps);

void spela_take_plane(const int8_t *channel, int16_t *plane, const spela_take_job_t *job);

/** The outputs of a channel, clamped to int8, for steps of one or two values from an output to the
 *  next in a row, in groups of SPELA_PLANE_GROUP. The plane is 4-aligned, as are its rows,
 *  `row_bytes` apart. */
void spela_convolve_plane_1(const int16_t *plane, uint32_t row_bytes, spela_plane_job_t *job,
                            int8_t *target);
void spela_convolve_plane_2(const int16_t *plane, uint32_t row_bytes, spela_plane_job_t *job,
                            int8_t *target);

#ifdef SPELA_DSP_DEPTHWISE
#define SPELA_PLANE_GROUP 2U

/** The same in groups of four, right where sums are positive: (product + rounding) >> 10, of
 * weights and a bias that are scaled to that shift. Where they are not, no more than the least
 * output. */
void spela_rectify_plane_1(const int16_t *plane, uint32_t row_bytes, spela_plane_job_t *job,
                           int8_t *target);
void spela_rectify_plane_2(const int16_t *plane, uint32_t row_bytes, spela_plane_job_t *job,
                           int8_t *target);
#else
#define SPELA_PLANE_GROUP 4U
#endif
#endif

#endif /* SPELA_DEPTHWISE_H */
