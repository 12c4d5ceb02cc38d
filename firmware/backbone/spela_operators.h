/* SPDX-License-Identifier: Apache-2.0 */
/** The kinds of operators: their checks, their scratch, their forward passes. Private. */
#ifndef SPELA_OPERATORS_H
#define SPELA_OPERATORS_H

#include "spela_backbone.h"

/** An operator's maps and scratch, found. */
typedef struct {
    const int8_t *sources[2];
    int8_t *target;
    void *scratch; /**< 8-aligned */
} spela_maps_t;

/** Largest size of a map, of a window, and of the weights of an output. The last keeps a sum below
 *  2^30: 2^16 * 2^7 * 2^7. */
#define SPELA_MAP_MAX  (UINT32_C(1) << 24)
#define SPELA_TAPS_MAX (UINT32_C(1) << 16)

static inline uint32_t spela_rounded_up(uint32_t size, uint32_t unit) {
    return (size + unit - 1U) & ~(unit - 1U);
}

/** Elements of a map whose size spela_backbone_is_valid has checked. */
static inline uint32_t spela_map_size(const spela_map_t *map) {
    return (uint32_t)map->height * map->width * map->channels;
}

/** Rows, or columns, that the windows cover: from the first tap of the first to the last of the
 *  last. Less than 2^33 / 2 by the check of the window. */
static inline uint32_t spela_covered(uint32_t count, uint32_t stride, uint32_t window,
                                     uint32_t dilation) {
    return (count - 1U) * stride + (window - 1U) * dilation + 1U;
}

/* Of each kind: whether its sizes fit each other, given that maps and windows have sane sizes and
 * that there are as many channels as it reads; how many of them; bytes of scratch. */
bool spela_convolution_is_valid(const spela_operator_t *op);
uint32_t spela_convolution_scratch(const spela_operator_t *op);
void spela_run_convolution(const spela_operator_t *op, const spela_maps_t *maps);

bool spela_depthwise_is_valid(const spela_operator_t *op);
uint32_t spela_depthwise_scratch(const spela_operator_t *op);
void spela_run_depthwise(const spela_operator_t *op, const spela_maps_t *maps);

bool spela_pool_is_valid(const spela_operator_t *op);
void spela_run_pool(const spela_operator_t *op, const spela_maps_t *maps);

bool spela_elementwise_is_valid(const spela_operator_t *op);
void spela_run_elementwise(const spela_operator_t *op, const spela_maps_t *maps);

bool spela_pad_is_valid(const spela_operator_t *op);
void spela_run_pad(const spela_operator_t *op, const spela_maps_t *maps);

#endif /* SPELA_OPERATORS_H */
