/* SPDX-License-Identifier: Apache-2.0 */
/** Channels of a depthwise convolution by 3 x 3 taps, on cores that have kernels for it. Private.
 */
#ifndef SPELA_DEPTHWISE_H
#define SPELA_DEPTHWISE_H

#include "spela_kernels.h"
#include "spela_operators.h"

#if defined(SPELA_DSP_KERNELS) && !defined(SPELA_NO_DEPTHWISE)
#define SPELA_DSP_DEPTHWISE

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

/** A channel's convolution. The kernels in assembly read it, in this order. */
typedef struct {
    int32_t bias;  /**< as in the channel's record, and so on; the operator is narrowing */
    uint32_t step; /**< from an output to the next one of its row */
    int32_t shift;
    const int16_t *groups_end; /**< first taps behind those of the first row's groups of outputs */
    int32_t multiplier;
    int32_t rounding;
    uint32_t target_skip; /**< from the end of a row of outputs to the next one */
    uint32_t row_step;    /**< from where groups end to where they end in the next row, in bytes */
    uint32_t row_skip;    /**< from the end of a row's pairs to the next row, in bytes */
    uint32_t rows;        /**< of outputs, at least one */
    uint32_t left_over;   /**< outputs that a row has more than groups */
    uint32_t weights[6];  /**< of each row of taps, twice its weights 0 and 1, and 1 and 2 */
} spela_plane_job_t;

void spela_take_plane(const int8_t *channel, int16_t *plane, const spela_take_job_t *job);

/** The outputs of a channel, clamped to int8, for steps of one or two values from an output to the
 *  next in a row, in groups of two. The plane is 4-aligned, as are its rows, `row_bytes` apart. */
void spela_convolve_plane_1(const int16_t *plane, uint32_t row_bytes, const spela_plane_job_t *job,
                            int8_t *target);
void spela_convolve_plane_2(const int16_t *plane, uint32_t row_bytes, const spela_plane_job_t *job,
                            int8_t *target);

/** The same in groups of four, right where sums are positive: (product + rounding) >> 10, of
 * weights and a bias that are scaled to that shift. Where they are not, no more than the least
 * output. */
void spela_rectify_plane_1(const int16_t *plane, uint32_t row_bytes, const spela_plane_job_t *job,
                           int8_t *target);
void spela_rectify_plane_2(const int16_t *plane, uint32_t row_bytes, const spela_plane_job_t *job,
                           int8_t *target);
#endif

#endif /* SPELA_DEPTHWISE_H */
