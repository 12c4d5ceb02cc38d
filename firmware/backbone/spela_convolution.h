/* SPDX-License-Identifier: Apache-2.0 */
/** Two positions of a convolution at once, on cores that have kernels for it. Private. */
#ifndef SPELA_CONVOLUTION_H
#define SPELA_CONVOLUTION_H

#include "spela_kernels.h"
#include "spela_operators.h"

#if defined(SPELA_DSP_KERNELS) && !defined(SPELA_NO_CONVOLUTION)
#define SPELA_DSP_CONVOLUTION

#define SPELA_PAIR_CONVOLUTION
#define SPELA_PAIR_WORDS 2U /* of each position, for four inputs */

/** What is the same for every pair of positions. The kernel in assembly reads it. */
typedef struct {
    uint32_t columns;               /**< taps, a multiple of 4 */
    const spela_channel_t *records; /**< of a narrowing operator */
    uint32_t channels;              /**< of the output, an even number */
    uint32_t step;                  /**< from a position's outputs to the next one's */
} spela_pair_job_t;

/** Brings inputs of one of two positions into the form that spela_convolve_pair reads, padded with
 *  zeros to a whole block: eight bytes for every four, and eight left out.
 *  @return where the next block goes */
uint32_t *spela_widen_apart(const int8_t *inputs, uint32_t count, uint32_t *pairs);

/** The outputs of two positions, clamped to int8. |sum| <= 2^30, and twice with the bias it fits
 *  in int32. */
void spela_convolve_pair(const int8_t *weights, const uint32_t *pairs, const spela_pair_job_t *job,
                         int8_t *target);

#elif defined(SPELA_THUMB_KERNELS) && __ARM_ARCH_ISA_THUMB == 2 && !defined(SPELA_NO_CONVOLUTION)
#define SPELA_THUMB_CONVOLUTION
#define SPELA_PAIR_CONVOLUTION
#define SPELA_PAIR_WORDS 1U

/** sums[2][4] of two positions, of four rows of weights.
 *  @param pairs    inputs of each position, four by four in turn
 *  @param columns  a multiple of 4 */
void spela_sum_pair(const int8_t *weights, const uint32_t *pairs, uint32_t columns, int32_t *sums);
#endif

#endif /* SPELA_CONVOLUTION_H */
