/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The application of several updates in portable C, for one weight width; included as
 * spela_kernels_body.h is.
 */

void SPELA_NAME(spela_apply)(SPELA_WEIGHT *weights, const spela_shape_t *shape,
                             spela_batch_t *batch) {
    const int32_t greatest = (int32_t)(UINT32_C(1) << (SPELA_BITS(shape) - 1U)) - 1;
    const int32_t least = -greatest - 1;
    const int8_t *inputs = batch->inputs;
    uint16_t *const rows = (uint16_t *)(void *)batch->scratch;
    const uint32_t listed = spela_list_rows(batch, shape->rows, rows);
    for (uint32_t column = 0U; column < shape->columns; column += 4U) {
        int32_t noise[4];
        for (uint32_t i = 0U; i < 4U; i++) {
            batch->state = batch->state * batch->multiplier + batch->increment;
            noise[i] = (int32_t)(batch->state >> (32U - SPELA_UPDATE_SHIFT));
        }
        int32_t nonzero = 0;
        for (uint32_t i = 0U; i < 4U * batch->count; i++) {
            nonzero |= inputs[i];
        }
        SPELA_WEIGHT *const block = weights + 4U * column;
        /* the update of inputs that are all zero is their noise >> shift: zero */
        for (uint32_t r = nonzero == 0 ? listed : 0U; r < listed; r++) {
            SPELA_WEIGHT *const w = block + spela_row_offset(rows[r], shape->columns);
            const int16_t *const multipliers = batch->multipliers + rows[r] * batch->stride;
            int32_t sums[4] = {noise[0], noise[1], noise[2], noise[3]};
            for (uint32_t k = 0U; k < batch->count; k++) {
                const int32_t multiplier = multipliers[k];
                const int8_t *const x = inputs + 4U * k;
                /* |multiplier * input| <= 2^22; |sum| < 2^28 + 2^16 */
                sums[0] += multiplier * x[0];
                sums[1] += multiplier * x[1];
                sums[2] += multiplier * x[2];
                sums[3] += multiplier * x[3];
            }
            for (uint32_t i = 0U; i < 4U; i++) {
                const int32_t step = spela_shift_right(sums[i], SPELA_UPDATE_SHIFT);
                w[i] = (SPELA_WEIGHT)spela_clip(w[i] + step, least, greatest);
            }
        }
        inputs += 4U * batch->stride;
    }
}
