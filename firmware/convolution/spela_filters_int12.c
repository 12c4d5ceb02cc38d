/* SPDX-License-Identifier: Apache-2.0 */
/** What is done to filters of 12 bits now and then, in portable C on every core. */
#include "spela_convolution.h"

#ifdef SPELA_WITH_INT12
#include "spela_int12.h"

bool spela_relieve_int12(int8_t *weights, const spela_shape_t *shape, uint32_t limit) {
    const uint32_t size = shape->rows * shape->columns;
    uint8_t *const residuals = spela_residuals(weights, shape);
    if (spela_saturated_int8((const uint32_t *)(const void *)weights, size / 4U) <= limit) {
        return false;
    }
    for (uint32_t i = 0U; i < size; i++) {
        const int32_t weight = spela_raised(weights, residuals, i) - SPELA_RAISED_BY;
        spela_set_raised(weights, residuals, i, spela_halve(weight) + SPELA_RAISED_BY);
    }
    return true;
}

#endif /* SPELA_WITH_INT12 */
