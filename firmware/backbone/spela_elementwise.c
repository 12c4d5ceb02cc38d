/* SPDX-License-Identifier: Apache-2.0 */
/** Sums of maps, and what happens to each value by itself. */
#include "spela_operators.h"
#include "spela_requantize.h"

#ifndef SPELA_NO_ELEMENTWISE

#define ADDEND_SHIFT 20U /* to the left, before a summand is scaled */

bool spela_elementwise_is_valid(const spela_operator_t *op) {
    const uint32_t size = spela_map_size(&op->input);
    const bool has_constant = op->kind == (uint8_t)SPELA_OPERATOR_ADD_CONSTANT ||
                              op->kind == (uint8_t)SPELA_OPERATOR_MULTIPLY_CONSTANT;
    return size == spela_map_size(&op->output) && op->is_narrowing == 0U &&
           (!has_constant || (op->constants != NULL && op->constant_count >= 1U));
}

/** A summand in the scale of the sum; less than 2^28 in magnitude. */
static inline int32_t addend(int8_t value, const spela_channel_t *channel) {
    return spela_scaled((int32_t)((uint32_t)(value + channel->bias) << ADDEND_SHIFT),
                        channel->multiplier, channel->shift);
}

/** Element by element; a constant begins anew when it ends. */
void spela_run_elementwise(const spela_operator_t *op, const spela_maps_t *maps) {
    const spela_channel_t *const channels = op->channels;
    const uint32_t size = spela_map_size(&op->output);
    uint32_t k = 0U;
    for (uint32_t i = 0U; i < size; i++) {
        const int8_t value = maps->sources[0][i];
        int8_t result;
        switch (op->kind) {
        case SPELA_OPERATOR_ADD:
            result = spela_requantized(addend(value, &channels[0]) +
                                           addend(maps->sources[1][i], &channels[1]),
                                       &channels[2], op);
            break;
        case SPELA_OPERATOR_ADD_CONSTANT:
            result =
                spela_requantized(addend(value, &channels[0]) + ((const int32_t *)op->constants)[k],
                                  &channels[1], op);
            break;
        case SPELA_OPERATOR_MULTIPLY_CONSTANT:
            /* the bias is added before the product, so it is not in the sum */
            result = spela_clamped(
                spela_scaled((value + channels[0].bias) * ((const int16_t *)op->constants)[k],
                             channels[0].multiplier, channels[0].shift) +
                    channels[0].rounding,
                op);
            break;
        default: /* SPELA_OPERATOR_RESCALE */
            result = spela_requantized(value, &channels[0], op);
            break;
        }
        maps->target[i] = result;
        k = k + 1U < op->constant_count ? k + 1U : 0U;
    }
}

#endif
