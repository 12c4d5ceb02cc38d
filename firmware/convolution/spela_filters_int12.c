/* SPDX-License-Identifier: Apache-2.0 */
/** What is done to filters of 12 bits now and then, in portable C on every core. */
#include "spela_convolution.h"

#ifdef SPELA_WITH_INT12
#include "spela_int12.h"

bool spela_relieve_int12(int8_t *weights, const spela_shape_t *shape, uint32_t limit) {
    const uint32_t size = shape->rows * shape->columns;
    uint8_t *const residuals = spela_residuals(weights, shape);
    uint32_t saturated = 0U;
    for (uint32_t i = 0U; i < size; i++) {
        if (weights[i] == INT8_MAX || weights[i] == INT8_MIN) {
            saturated++;
        }
    }
    if (saturated <= limit) {
        return false;
    }
    for (uint32_t i = 0U; i < size; i++) {
        const int32_t weight = spela_raised(weights, residuals, i) - SPELA_RAISED_BY;
        const int32_t odd = spela_shift_right(weight, 1U) & 1;
        const int32_t half = spela_shift_right(weight + odd, 1U);
        spela_set_raised(weights, residuals, i, half + SPELA_RAISED_BY);
    }
    return true;
}

#endif /* SPELA_WITH_INT12 */
