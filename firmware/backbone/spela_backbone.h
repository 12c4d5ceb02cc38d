/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A frozen network in front of the layers that learn: int8 operators of TensorFlow Lite Micro, in
 * its arithmetic (docs/backbone-arithmetic.md), run from flash in an arena of the caller's.
 *
 * A feature map is int8 in the order rows, columns, channels. An operator reads maps and writes
 * one, at offsets in the arena; maps share memory where the generator's plan says so.
 */
#ifndef SPELA_BACKBONE_H
#define SPELA_BACKBONE_H

#include "spela_config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What an operator does. */
typedef enum {
    SPELA_OPERATOR_CONVOLUTION = 0,       /**< CONV_2D; FULLY_CONNECTED: its window is the input */
    SPELA_OPERATOR_DEPTHWISE = 1,         /**< DEPTHWISE_CONV_2D */
    SPELA_OPERATOR_AVERAGE_POOL = 2,      /**< AVERAGE_POOL_2D */
    SPELA_OPERATOR_MAX_POOL = 3,          /**< MAX_POOL_2D */
    SPELA_OPERATOR_MEAN = 4,              /**< MEAN over all positions */
    SPELA_OPERATOR_ADD = 5,               /**< ADD of two maps */
    SPELA_OPERATOR_ADD_CONSTANT = 6,      /**< ADD of a constant */
    SPELA_OPERATOR_MULTIPLY_CONSTANT = 7, /**< MUL by a constant */
    SPELA_OPERATOR_RESCALE = 8,           /**< QUANTIZE, RELU, RELU6 */
    SPELA_OPERATOR_PAD = 9,               /**< PAD, PADV2 */
    SPELA_OPERATOR_TAP = 10               /**< AVERAGE_POOL_2D over a whole map, for an exit */
} spela_operator_kind_t;

/** Stands for an offset: the caller's sample instead of a map in the arena. */
#define SPELA_SAMPLE UINT32_C(0xFFFFFFFF)

/** Rows, columns and channels. */
typedef struct {
    uint16_t height;
    uint16_t width;
    uint16_t channels;
} spela_map_t;

/** Something for rows and for columns. */
typedef struct {
    uint16_t height;
    uint16_t width;
} spela_pair_t;

/**
 * How a channel's sums become outputs: scaled(bias + sum) + the zero point, clamped, where scaled
 * multiplies by multiplier * 2^(shift - 31) and rounds as TensorFlow Lite Micro does.
 *
 * If the operator is narrowing, the same is stored so that it takes fewer instructions: twice the
 * bias; as rounding, (zero point << right) + (1 << (right - 1)); and as shift, right, which is
 * -shift and in [1, 22]. Otherwise rounding is the zero point.
 *
 * Of a summand of ADD, bias is minus its zero point, and there is no rounding. If the operator is
 * narrowing, the summand's shift to the left stands there, up to 22; doubling is part of it.
 */
typedef struct {
    int32_t bias;       /**< with the input's zero point in it */
    int32_t multiplier; /**< >= 0 */
    int32_t rounding;
    int32_t shift;
} spela_channel_t;

/** One operator: generated, constant. */
typedef struct {
    const void *constants;           /**< packed for its kind, 4-aligned, or NULL */
    const spela_channel_t *channels; /**< as many as its kind reads, or NULL */
    uint32_t source;                 /**< offset of the map that it reads */
    uint32_t other;                  /**< of the second, for ADD; otherwise the same */
    uint32_t target;                 /**< offset of the map that it writes */
    uint32_t scratch;                /**< offset of memory of its own while it runs */
    uint32_t constant_count;         /**< of a constant that is added or multiplied */
    spela_map_t input;
    spela_map_t output;
    spela_map_t padding; /**< in front of the input: rows, columns and, for PAD, channels */
    spela_pair_t window; /**< before dilation */
    spela_pair_t stride;
    spela_pair_t dilation;
    uint8_t kind;         /**< a spela_operator_kind_t */
    uint8_t is_narrowing; /**< how `channels` are stored */
    int8_t fill;          /**< what stands around the input: its zero point, or the value of PAD;
                               of a tap, the zero point of what it writes */
    int8_t minimum;       /**< of the output, */
    int8_t maximum;       /**< as the fused activation has it */
} spela_operator_t;

/** Kinds that this runtime was built for. A backbone refers to those that it needs. So if
 *  SPELA_NO_CONVOLUTION and the like have left one out of the runtime, the linker names it. */
extern const uint8_t spela_runtime_for_convolution;
extern const uint8_t spela_runtime_for_depthwise;
extern const uint8_t spela_runtime_for_pools;
extern const uint8_t spela_runtime_for_elementwise;
extern const uint8_t spela_runtime_for_padding;

/** A whole backbone: generated, constant. */
typedef struct {
    const spela_operator_t *operators; /**< in the order in which they run */
    const uint8_t *const *runtime;     /**< which of the above it needs; only the linker uses it */
    uint32_t arena_bytes;
    uint32_t inputs;          /**< size of a sample */
    uint32_t features;        /**< size of the last map */
    uint32_t features_offset; /**< of that map in the arena */
    uint32_t sample_offset;   /**< where in the arena a sample may lie until it is computed */
    uint16_t operator_count;
} spela_backbone_t;

/** Whether nothing that this build computes with the backbone can leave the sample, the arena or
 *  the constants, or overflow. What lies in the constants is not looked at, apart from shifts. */
bool spela_backbone_is_valid(const spela_backbone_t *backbone);

/**
 * Computes a sample's features, or a part of the way to them: from operator `first` to before
 * `end`. All from 0 to operator_count must run, in this order, and the arena stay as it is between.
 *
 * @param backbone  a valid one
 * @param sample    `inputs` values; only read, unless they lie in the arena at sample_offset
 * @param arena     `arena_bytes` bytes, 8-aligned; their content need not outlive the features
 * @param first     the first operator to run
 * @param end       the first not to run, at most operator_count
 * @return `features` values, in the arena; complete when the last operator has run
 */
const int8_t *spela_backbone_run(const spela_backbone_t *backbone, const int8_t *sample,
                                 void *arena, uint32_t first, uint32_t end);

#ifdef __cplusplus
}
#endif

#endif /* SPELA_BACKBONE_H */
