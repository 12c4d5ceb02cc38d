/* SPDX-License-Identifier: Apache-2.0 */
/** A map with a margin around it. */
#include "spela_operators.h"

#ifndef SPELA_NO_PAD

static bool fits(uint32_t before, uint32_t inside, uint32_t outside) {
    return before <= outside && inside <= outside - before;
}

bool spela_pad_is_valid(const spela_operator_t *op) {
    return fits(op->padding.height, op->input.height, op->output.height) &&
           fits(op->padding.width, op->input.width, op->output.width) &&
           fits(op->padding.channels, op->input.channels, op->output.channels);
}

void spela_run_pad(const spela_operator_t *op, const spela_maps_t *maps) {
    const int8_t *source = maps->sources[0];
    int8_t *target = maps->target;
    for (uint32_t y = 0U; y < op->output.height; y++) {
        const uint32_t row = y - op->padding.height; /* wraps in front of the input */
        for (uint32_t x = 0U; x < op->output.width; x++) {
            const uint32_t column = x - op->padding.width;
            for (uint32_t c = 0U; c < op->output.channels; c++) {
                const bool is_inside = row < op->input.height && column < op->input.width &&
                                       c - op->padding.channels < op->input.channels;
                *target++ = is_inside ? *source++ : op->fill;
            }
        }
    }
}

#endif
