/**
 * What is done to a weight matrix now and then: counting and halving. Included as
 * spela_kernels_body.h is, on every core.
 */

uint32_t SPELA_NAME(spela_saturated)(const SPELA_WEIGHT *weights, spela_shape_t shape) {
    const int32_t high = (int32_t)(UINT32_C(1) << (SPELA_BITS(shape) - 1U)) - 1;
    uint32_t count = 0U;
    for (uint32_t i = 0U; i < shape.rows * shape.columns; i++) {
        if (weights[i] == high || weights[i] == -high - 1) {
            count++;
        }
    }
    return count;
}

void SPELA_NAME(spela_halve)(SPELA_WEIGHT *weights, spela_shape_t shape) {
    for (uint32_t i = 0U; i < shape.rows * shape.columns; i++) {
        const int32_t weight = weights[i];
        const int32_t odd = spela_shift_right(weight, 1U) & 1;
        weights[i] = (SPELA_WEIGHT)spela_shift_right(weight + odd, 1U);
    }
}
