/* SPDX-License-Identifier: Apache-2.0 */
/** Lines of sums to outputs, for the operators with weights. */
#include "spela_requantize.h"

#if !defined(SPELA_NO_CONVOLUTION) || !defined(SPELA_NO_DEPTHWISE)

void spela_requantize(const spela_operator_t *op, const spela_line_t *line, const int32_t *sums,
                      int8_t *target) {
    const spela_channel_t *channel = line->channel;
#if defined(SPELA_THUMB_REQUANTIZE) || defined(SPELA_MVE_REQUANTIZE)
    if (op->is_narrowing != 0U) {
        spela_narrow(line, sums, target);
        const bool is_clamped = op->minimum > INT8_MIN || op->maximum < INT8_MAX;
        for (uint32_t i = 0U; is_clamped && i < line->count; i++) {
            target[i * line->step] = spela_clamped(target[i * line->step], op);
        }
        return;
    }
#endif
    for (uint32_t i = 0U; i < line->count; i++) {
        target[i * line->step] = spela_requantized(sums[i], channel, op);
        channel += line->channel_step;
    }
}

#endif
