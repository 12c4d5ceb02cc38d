/* SPDX-License-Identifier: Apache-2.0 */
/** One row of features, of the readings that the ring holds from read_at on. */
#ifndef SPELA_ROWS_H
#define SPELA_ROWS_H

#include "spela_front_end.h"

/** floor((sum + floor(count / 2)) / count): the mean, to the nearest integer, halves up. Each of
 *  the `count` values, 1 to 4096, is an int16, so sum + 32768 * count is in 0..2^28. */
static inline int32_t spela_mean(int32_t sum, uint32_t count) {
    const uint32_t lifted = (uint32_t)(sum + (int32_t)(count << 15)) + (count >> 1);
    return (int32_t)(lifted / count) - 32768;
}

/** Features of each axis: front_end->channels values. */
void spela_statistics_row(const spela_front_end_t *front_end, int8_t *row);
void spela_spectrum_row(const spela_front_end_t *front_end, int8_t *row);

/** The input that a feature of a channel becomes. */
static inline int8_t spela_channel(const spela_front_end_t *front_end, uint32_t channel,
                                   int32_t feature) {
    return spela_scaled(feature, &front_end->scales[front_end->scales_alike ? 0U : channel]);
}

/** Goes through an axis's readings in their order. */
typedef struct {
    const int16_t *at;
    const int16_t *end; /**< of the ring */
    uint32_t stride;
    uint32_t ring;
} spela_ring_walk_t;

static inline spela_ring_walk_t spela_walk(const spela_front_end_t *front_end, uint32_t axis) {
    const uint32_t axes = front_end->axes;
    const uint32_t ring = front_end->capacity * axes;
    const spela_ring_walk_t walk = {&front_end->ring[front_end->state->read_at * axes + axis],
                                    &front_end->ring[ring], axes, ring};
    return walk;
}

static inline int32_t spela_step(spela_ring_walk_t *walk) {
    const int32_t value = *walk->at;
    walk->at += walk->stride;
    if (walk->at >= walk->end) {
        walk->at -= walk->ring;
    }
    return value;
}

#endif /* SPELA_ROWS_H */
