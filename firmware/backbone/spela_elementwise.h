/* SPDX-License-Identifier: Apache-2.0 */
/** The sum of two maps, on cores that have a kernel for it. Private. */
#ifndef SPELA_ELEMENTWISE_H
#define SPELA_ELEMENTWISE_H

#include "spela_kernels.h"
#include "spela_operators.h"

#if defined(SPELA_DSP_KERNELS) && !defined(SPELA_NO_ELEMENTWISE)
#define SPELA_DSP_ADD

/** A sum that is narrowing. The kernel in assembly reads it, in this order. */
typedef struct {
    struct {
        int32_t factor; /**< 2^(shift to the left) */
        int32_t bias;   /**< times the factor */
        int32_t multiplier;
        int32_t rounding; /**< 2^(shift - 1) */
        int32_t shift;
    } addends[2];
    int32_t multiplier; /**< as in the record of the sum */
    int32_t rounding;
    int32_t shift;
    const int8_t *end; /**< of the first summand */
} spela_add_job_t;

/** Sums of fours, at least one, clamped to int8. */
void spela_add_fours(const int8_t *first, const int8_t *second, const spela_add_job_t *job,
                     int8_t *target);
#endif

#endif /* SPELA_ELEMENTWISE_H */
