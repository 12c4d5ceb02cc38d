/**
 * Dense product and update in portable C, for one weight width: spela_kernels.c includes this file
 * with SPELA_WEIGHT (the weight's type), SPELA_NAME(x) (the function's name for that type),
 * SPELA_UPDATE_SHIFT (fraction bits of an update) and SPELA_BITS(shape) defined.
 */

void SPELA_NAME(spela_dense)(const SPELA_WEIGHT *weights, const int8_t *inputs, spela_shape_t shape,
                             int16_t *scratch, int32_t *sums) {
    (void)scratch;
    for (uint32_t row = 0U; row < shape.rows; row += 4U) {
        int32_t sum0 = 0;
        int32_t sum1 = 0;
        int32_t sum2 = 0;
        int32_t sum3 = 0;
        for (uint32_t column = 0U; column < shape.columns; column += 4U) {
            const int32_t x0 = inputs[column];
            const int32_t x1 = inputs[column + 1U];
            const int32_t x2 = inputs[column + 2U];
            const int32_t x3 = inputs[column + 3U];
            sum0 += weights[0] * x0 + weights[1] * x1 + weights[2] * x2 + weights[3] * x3;
            sum1 += weights[4] * x0 + weights[5] * x1 + weights[6] * x2 + weights[7] * x3;
            sum2 += weights[8] * x0 + weights[9] * x1 + weights[10] * x2 + weights[11] * x3;
            sum3 += weights[12] * x0 + weights[13] * x1 + weights[14] * x2 + weights[15] * x3;
            weights += 16;
        }
        sums[row] = sum0;
        sums[row + 1U] = sum1;
        sums[row + 2U] = sum2;
        sums[row + 3U] = sum3;
    }
}

void SPELA_NAME(spela_update)(SPELA_WEIGHT *weights, const int8_t *inputs, spela_shape_t shape,
                              const spela_row_update_t *updates, uint32_t count,
                              spela_dither_t *dither) {
    const int32_t high = (int32_t)(UINT32_C(1) << (SPELA_BITS(shape) - 1U)) - 1;
    const int32_t low = -high - 1;
    uint32_t state = dither->state;
    for (uint32_t column = 0U; column < shape.columns; column += 4U) {
        int32_t noise[4];
        for (uint32_t k = 0U; k < 4U; k++) {
            state = state * dither->multiplier + dither->increment;
            noise[k] = (int32_t)(state >> (32U - SPELA_UPDATE_SHIFT));
        }
        const int8_t *const x = inputs + column;
        if ((x[0] | x[1] | x[2] | x[3]) == 0) {
            continue; /* the update of a zero input is its noise >> shift: zero */
        }
        SPELA_WEIGHT *const block = weights + 4U * column;
        for (uint32_t k = 0U; k < count; k++) {
            const int32_t multiplier =
                (int32_t)((updates[k].multiplier & 0xFFFFU) ^ 0x8000U) - 0x8000;
            SPELA_WEIGHT *const w = block + updates[k].offset;
            for (uint32_t i = 0U; i < 4U; i++) {
                /* |multiplier * x + noise| < 2^22 + 2^16 */
                const int32_t step =
                    spela_shift_right(multiplier * x[i] + noise[i], SPELA_UPDATE_SHIFT);
                w[i] = (SPELA_WEIGHT)spela_clip(w[i] + step, low, high);
            }
        }
    }
    dither->state = state;
}
