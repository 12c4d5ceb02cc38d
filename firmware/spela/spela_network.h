/** A network's instance and how the arena is laid out. Private to the runtime. */
#ifndef SPELA_NETWORK_H
#define SPELA_NETWORK_H

#include "spela.h"
#include "spela_arithmetic.h"
#include "spela_kernels.h"

/** What learning changes in a layer. Offsets are in bytes from the start of the arena. */
typedef struct {
    uint32_t weights_offset; /**< 0: the weights stay in flash */
    uint32_t activation_offset;
    uint32_t updates; /**< since the last scan for saturated weights */
    uint32_t halvings;
} spela_layer_state_t;

/** Offsets and a padded pointer instead of pointers: the arena has one size on every machine, and
 *  the state can be moved. */
struct spela {
    union {
        const spela_model_t *pointer;
        uint64_t padding;
    } model;
    uint32_t dither_state;
    uint32_t samples;
    uint32_t layer_updates;
    uint32_t multipliers_clipped;
    uint32_t halvings;
    uint32_t input_offset;   /**< int8 [inputs, padded] */
    uint32_t scores_offset;  /**< int32 [classes, padded] */
    uint32_t sums_offset;    /**< int32 [widest layer, padded] */
    uint32_t rows_offset;    /**< spela_row_update_t [widest layer, padded]; ends with the sums */
    uint32_t scratch_offset; /**< int16 [widest input, padded], for the kernels */
    spela_layer_state_t layers[]; /**< [layer_count] */
};

/** A layer's output for the sample in hand, besides its int8 activation. */
typedef struct {
    uint32_t shift;        /**< sums = activation * 2^shift */
    uint32_t squared_norm; /**< of the activation */
} spela_output_t;

static inline uint32_t spela_padded(uint32_t size) {
    return (size + 3U) & ~UINT32_C(3);
}

static inline void *spela_at(const spela_t *network, uint32_t offset) {
    return (uint8_t *)(uintptr_t)network + offset;
}

static inline const spela_layer_t *spela_layer(const spela_t *network, uint32_t index) {
    return &network->model.pointer->layers[index];
}

static inline bool spela_is_int16(const spela_t *network) {
    return (network->model.pointer->flags & (uint32_t)SPELA_FLAG_WEIGHTS_INT16) != 0U;
}

static inline spela_shape_t spela_weight_shape(const spela_layer_t *layer) {
    const spela_shape_t shape = {spela_padded(layer->units), spela_padded(layer->inputs),
                                 layer->weight_bits};
    return shape;
}

/** Class c's packed embedding; its elements lie spela_element(j) on. */
static inline const int8_t *spela_embedding(const spela_layer_t *layer, uint32_t c) {
    return layer->embeddings + (c / 4U) * 4U * spela_padded(layer->units) + (c % 4U) * 4U;
}

/** Where element j of a packed row lies, from the row's first. */
static inline uint32_t spela_element(uint32_t j) {
    return (j / 4U) * 16U + j % 4U;
}

/** A layer's weights: in the arena, or in flash when they are not learned. */
static inline const void *spela_weights(const spela_t *network, uint32_t index) {
    const uint32_t offset = network->layers[index].weights_offset;
    return offset == 0U ? spela_layer(network, index)->weights : spela_at(network, offset);
}

static inline const int8_t *spela_layer_input(const spela_t *network, uint32_t index) {
    return spela_at(network, index == 0U ? network->input_offset
                                         : network->layers[index - 1U].activation_offset);
}

/** SPELA_OK when the sample may be read. */
spela_status_t spela_check_sample(const spela_t *network, const int8_t *sample, size_t inputs);

/** Copies the sample into the arena, padded. */
void spela_take_sample(spela_t *network, const int8_t *sample);

/** Runs one layer: its sums and its activation. */
spela_output_t spela_run_layer(spela_t *network, uint32_t index);

/** Scores a layer's activation against every class's embedding. */
void spela_score(spela_t *network, uint32_t index);

/** The class with the greatest score but `other_than`; the lowest such class on a tie. */
uint16_t spela_best_class(const spela_t *network, uint32_t other_than);

/** What exit `index` says of the scores just made. */
spela_result_t spela_answer(const spela_t *network, uint32_t index, spela_output_t output);

#endif /* SPELA_NETWORK_H */
