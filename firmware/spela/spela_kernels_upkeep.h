/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What is done to a weight matrix now and then, in portable C on every core.
 */

bool spela_relieve_int8(int8_t *weights, const spela_shape_t *shape, uint32_t limit) {
    uint32_t *const fours = (uint32_t *)(void *)weights;
    const uint32_t size = shape->rows * shape->columns / 4U;
    const uint32_t ones = UINT32_C(0x01010101);
    const bool is_due = spela_saturated_int8(fours, size) > limit;
    for (uint32_t i = is_due ? 0U : size; i < size; i++) {
        const uint32_t raised = fours[i] ^ ones << 7; /* by 128: 0 to 255 */
        const uint32_t halves = raised >> 1 & ones * 127U;
        const uint32_t odd = raised & halves & ones;
        fours[i] = (halves + odd + (ones << 6)) ^ ones << 7; /* raised by 64, and by 128 again */
    }
    return is_due;
}

#ifndef SPELA_INT8_ONLY
bool spela_relieve_int16(int16_t *weights, const spela_shape_t *shape, uint32_t limit) {
    const int32_t high = (int32_t)(UINT32_C(1) << (shape->weight_bits - 1U)) - 1;
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
        weights[i] = (int16_t)spela_halve(weights[i]);
    }
    return true;
}
#endif
