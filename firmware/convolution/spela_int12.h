/* SPDX-License-Identifier: Apache-2.0 */
/** Filters of 12 bits: an int8 matrix, which answers, and behind it what each weight has beside it,
 *  its residual, two in a byte (docs/arithmetic-convolution.md, section 2). Private to the runtime.
 *
 *  A weight is 16 times its int8 part, and its residual, in -8 to 7. So the int8 part is the weight
 *  divided by 16, rounded, every 12 bits are a weight, and the residual's bits are the weight's
 *  lowest four. Raised by 8, a weight is -2048 to 2047, and the int8 part its upper eight bits. */
#ifndef SPELA_INT12_H
#define SPELA_INT12_H

#include "spela_network.h"

#define SPELA_RESIDUAL_BITS 4U
#define SPELA_RESIDUAL_MASK 15U
#define SPELA_RAISED_BY     8
#define SPELA_RAISED_MIN    (-2048)
#define SPELA_RAISED_MAX    2047

/** What lies behind an int8 matrix. */
static inline uint8_t *spela_residuals(void *weights, const spela_shape_t *shape) {
    return (uint8_t *)weights + shape->rows * shape->columns;
}

/** The element `at` of packed weights, raised. */
static inline int32_t spela_raised(const int8_t *weights, const uint8_t *residuals, uint32_t at) {
    const uint32_t shift = SPELA_RESIDUAL_BITS * (at % 2U);
    const uint32_t raised = (((uint32_t)residuals[at / 2U] >> shift) & SPELA_RESIDUAL_MASK) ^ 8U;
    return weights[at] * 16 + (int32_t)raised;
}

static inline void spela_set_raised(int8_t *weights, uint8_t *residuals, uint32_t at,
                                    int32_t raised) {
    const uint32_t shift = SPELA_RESIDUAL_BITS * (at % 2U);
    const uint32_t other = (uint32_t)residuals[at / 2U] & ~(SPELA_RESIDUAL_MASK << shift);
    const uint32_t residual = ((uint32_t)raised & SPELA_RESIDUAL_MASK) ^ 8U;
    weights[at] = (int8_t)spela_shift_right(raised, SPELA_RESIDUAL_BITS);
    residuals[at / 2U] = (uint8_t)(other | (residual << shift));
}

/** As spela_relieve_int8: what stands at an end of its range is the int8 part. */
bool spela_relieve_int12(int8_t *weights, const spela_shape_t *shape, uint32_t limit);

#endif /* SPELA_INT12_H */
