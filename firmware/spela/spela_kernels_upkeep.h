/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What is done to a weight matrix now and then, in portable C on every core. Included as
 * spela_kernels_body.h is.
 */

bool SPELA_NAME(spela_relieve)(SPELA_WEIGHT *weights, const spela_shape_t *shape, uint32_t limit) {
    const int32_t high = (int32_t)(UINT32_C(1) << (SPELA_BITS(shape) - 1U)) - 1;
    const uint32_t size = shape->rows * shape->columns;
    uint32_t saturated = 0U;
    for (uint32_t i = 0U; i < size; i++) {
        if (weights[i] == high || weights[i] == -high - 1) {
            saturated++;
        }
    }
    if (saturated <= limit) {
        return false;
    }
    for (uint32_t i = 0U; i < size; i++) {
        const int32_t weight = weights[i];
        const int32_t odd = spela_shift_right(weight, 1U) & 1;
        weights[i] = (SPELA_WEIGHT)spela_shift_right(weight + odd, 1U);
    }
    return true;
}
