/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Dense product and update in portable C, for one weight width: spela_kernels.c includes this file
 * with SPELA_WEIGHT (the weight's type), SPELA_NAME(x) (the function's name for that type),
 * SPELA_UPDATE_SHIFT (fraction bits of an update) and SPELA_BITS(shape) defined.
 */

#ifndef SPELA_SSE2_KERNELS /* which have this product for both widths */
void SPELA_NAME(spela_dense)(const SPELA_WEIGHT *weights, const int16_t *wide,
                             const spela_shape_t *shape, int32_t *sums) {
    const uint32_t columns = shape->columns;
    for (uint32_t row = 0U; row < shape->rows; row += 4U) {
        int32_t sum0 = 0;
        int32_t sum1 = 0;
        int32_t sum2 = 0;
        int32_t sum3 = 0;
        for (uint32_t column = 0U; column < columns; column += 4U) {
            const int32_t x0 = spela_input(wide, column);
            const int32_t x1 = spela_input(wide, column + 1U);
            const int32_t x2 = spela_input(wide, column + 2U);
            const int32_t x3 = spela_input(wide, column + 3U);
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
#endif

void SPELA_NAME(spela_update)(SPELA_WEIGHT *weights, const spela_shape_t *shape,
                              spela_update_t *update) {
    const int32_t high = (int32_t)(UINT32_C(1) << (SPELA_BITS(shape) - 1U)) - 1;
    const int32_t low = -high - 1;
    for (uint32_t column = 0U; column < shape->columns; column += 4U) {
        int32_t inputs[4];
        int32_t noise[4];
        int32_t any = 0;
        for (uint32_t i = 0U; i < 4U; i++) {
            inputs[i] = spela_input(update->wide, column + i);
            any |= inputs[i];
            update->state = update->state * update->multiplier + update->increment;
            noise[i] = (int32_t)(update->state >> (32U - SPELA_UPDATE_SHIFT));
        }
        if (any == 0) {
            continue; /* the update of a zero input is its noise >> shift: zero */
        }
        SPELA_WEIGHT *const block = weights + 4U * column;
        for (const spela_row_update_t *row = update->rows; row != update->rows_end; row++) {
            SPELA_WEIGHT *const w = block + row->offset;
            for (uint32_t i = 0U; i < 4U; i++) {
                /* |multiplier * input + noise| < 2^22 + 2^16 */
                const int32_t step =
                    spela_shift_right(row->multiplier * inputs[i] + noise[i], SPELA_UPDATE_SHIFT);
                w[i] = (SPELA_WEIGHT)spela_clip(w[i] + step, low, high);
            }
        }
    }
}
