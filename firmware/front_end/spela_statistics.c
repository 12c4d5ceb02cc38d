/* SPDX-License-Identifier: Apache-2.0 */
/** Statistics of the readings of a row, axis by axis. */
#include "spela_rows.h"

#ifndef SPELA_NO_STATISTICS

void spela_statistics_row(const spela_front_end_t *front_end, int8_t *row) {
    const uint32_t span = front_end->span;
    const uint32_t wanted = front_end->statistics;
    uint32_t channel = 0U;
    for (uint32_t axis = 0U; axis < front_end->axes; axis++) {
        spela_ring_walk_t walk = spela_walk(front_end, axis);
        int32_t sum = 0; /* |sum| <= 2^27 */
        int32_t low = INT16_MAX;
        int32_t high = INT16_MIN;
        for (uint32_t i = 0U; i < span; i++) {
            const int32_t value = spela_step(&walk);
            sum += value;
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
        const int32_t mean = spela_mean(sum, span);
        walk = spela_walk(front_end, axis);
        uint32_t deviations = 0U; /* <= 2^28 */
        uint32_t crossings = 0U;
        bool was_above = *walk.at >= mean;
        for (uint32_t i = 0U; i < span; i++) {
            const int32_t value = spela_step(&walk);
            const bool is_above = value >= mean;
            deviations += (uint32_t)(is_above ? value - mean : mean - value);
            crossings += is_above == was_above ? 0U : 1U;
            was_above = is_above;
        }
        const int32_t features[] = {mean, (int32_t)((deviations + (span >> 1)) / span), low, high,
                                    (int32_t)crossings};
        for (uint32_t i = 0U; i < sizeof features / sizeof features[0]; i++) {
            if ((wanted >> i & 1U) != 0U) {
                row[channel] = spela_channel(front_end, channel, features[i]);
                channel++;
            }
        }
    }
}

#endif
