/* SPDX-License-Identifier: Apache-2.0 */
/** The network in its arena, and the arena's layout. Private to the runtime. */
#ifndef SPELA_NETWORK_H
#define SPELA_NETWORK_H

#include "spela.h"
#include "spela_arithmetic.h"
#include "spela_kernels.h"
#ifdef SPELA_WITH_CONTINUAL
#include "spela_continual.h"
#endif

#define SPELA_SCAN_INTERVAL 256U /**< updates of a layer between two scans of its weights */
#define SPELA_HALVINGS_MAX  15U  /**< of a layer's weights, unless the model has weight decay */

/** What learning changes in a layer. Offsets are in bytes from the start of the arena. */
typedef struct {
    uint32_t weights_offset; /**< 0: the weights stay in flash */
    uint32_t activation_offset;
    uint32_t halvings;
    uint16_t updates; /**< applied since the last scan for saturated weights */
    uint16_t pending; /**< not applied yet */
} spela_layer_state_t;

/** Offsets and a padded pointer instead of pointers: the arena has one size on every machine, and
 *  the state can be moved. */
struct spela {
    union {
        const spela_model_t *pointer;
        uint64_t padding;
    } model;
    uint32_t dither_state;
    spela_counters_t counters;
    /* in this order in the arena: the inputs of odd layers, the rows, the inputs of even layers */
    uint32_t scores_offset;   /**< int32 [classes, padded] */
    uint32_t sums_offset;     /**< int32 [widest layer, padded]; then act(sum) in their place */
    uint32_t rows_offset;     /**< spela_row_update_t [widest layer, padded], the sums its end */
    uint32_t features_offset; /**< int8 [features] of a frozen network in front of the layers. Its
                                   arena lies behind them: without taps, at wide_offset[1], since
                                   it has ended when the layers run. */
    uint32_t wide_offset[2];  /**< inputs of even and of odd layers, as spela_widen makes them; an
                                   activation is the input of its scores and of the next layer */
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

/** Bytes of a place for wide inputs. */
static inline uint32_t spela_wide_bytes(uint32_t inputs) {
    return (2U * inputs + 15U) & ~UINT32_C(15);
}

static inline void *spela_at(const spela_t *network, uint32_t offset) {
    return (uint8_t *)(uintptr_t)network + offset;
}

static inline const spela_layer_t *spela_layer(const spela_t *network, uint32_t index) {
    return &network->model.pointer->layers[index];
}

static inline bool spela_has_flag(const spela_model_t *model, uint32_t flag) {
    return (model->flags & flag) != 0U;
}

/** Whether weights are learned. A build that cannot learn refuses models that do, in spela_init. */
#ifdef SPELA_INFERENCE_ONLY
#define SPELA_LEARNS(model) false
#else
#define SPELA_LEARNS(model) (!spela_has_flag((model), (uint32_t)SPELA_FLAG_INFERENCE_ONLY))
#endif

/** Whether updates are summed before they are rounded; spela_init sees to it as well. */
#if defined(SPELA_INFERENCE_ONLY) || defined(SPELA_SINGLE_UPDATES)
#define SPELA_SUMS_UPDATES(model) false
#else
#define SPELA_SUMS_UPDATES(model) ((model)->batch > 1U)
#endif

/* Whether weights are int16: as the model says, or fixed in a build for one width (spela_init
 * checks that the model has it), so that no kernel of the other width is called at any
 * optimisation level. */
#if defined(SPELA_INT8_ONLY)
#define SPELA_IS_INT16(model)            false
#define SPELA_KERNEL(model, kernel, ...) kernel##_int8(__VA_ARGS__)
#elif defined(SPELA_INT16_ONLY)
#define SPELA_IS_INT16(model)            true
#define SPELA_KERNEL(model, kernel, ...) kernel##_int16(__VA_ARGS__)
#else
#define SPELA_IS_INT16(model) spela_has_flag((model), (uint32_t)SPELA_FLAG_WEIGHTS_INT16)
#define SPELA_KERNEL(model, kernel, ...)                                                           \
    (SPELA_IS_INT16(model) ? kernel##_int16(__VA_ARGS__) : kernel##_int8(__VA_ARGS__))
#endif

/** What a layer is. A build without the runtime of convolutions (firmware/convolution) refuses
 * models that have some, in spela_init. */
#ifdef SPELA_WITH_CONVOLUTION
#define SPELA_IS_CONVOLUTION(layer) ((layer)->kind == (uint8_t)SPELA_LAYER_CONVOLUTION)
#define SPELA_IS_READOUT(layer)     ((layer)->kind == (uint8_t)SPELA_LAYER_READOUT)
#else
#define SPELA_IS_CONVOLUTION(layer) false
#define SPELA_IS_READOUT(layer)     false
#endif

/** A build without SPELA_WITH_TAPS refuses models that have taps, in spela_init. */
#ifdef SPELA_WITH_TAPS
#define SPELA_IS_TAP(layer) ((layer)->kind == (uint8_t)SPELA_LAYER_TAP)
#else
#define SPELA_IS_TAP(layer) false
#endif

/** Whether a layer reads inputs of the network, and not what the layer before hands on. */
static inline bool spela_reads_inputs(const spela_model_t *model, uint32_t index) {
    (void)model;
    return index == 0U || SPELA_IS_TAP(&model->layers[index - 1U]);
}

/** Whether a layer's weights are int16: those of read-outs are always int8. */
#define SPELA_HAS_INT16(model, layer) (SPELA_IS_INT16(model) && !SPELA_IS_READOUT(layer))

/** Whether filters learn in 12 bits, of which the upper eight answer. A build without
 * SPELA_WITH_INT12 refuses models that have such, in spela_init. */
#ifdef SPELA_WITH_INT12
#define SPELA_HAS_INT12(model, layer)                                                              \
    ((layer)->weight_bits == 12U && SPELA_IS_CONVOLUTION(layer) && !SPELA_IS_INT16(model))
#else
#define SPELA_HAS_INT12(model, layer) false
#endif

/** Whether classes come and go. A build without the runtime for that (firmware/continual) is
 * refused by the linker. */
#ifdef SPELA_WITH_CONTINUAL
#define SPELA_IS_CONTINUAL(model) ((model)->continual != NULL)
#else
#define SPELA_IS_CONTINUAL(model) false
#endif

/** Whether what stands for a sample behind a frozen network is from the memory. */
#ifdef SPELA_WITH_CONTINUAL
#define SPELA_IS_KEPT(sample) ((sample) != NULL)
#else
#define SPELA_IS_KEPT(sample) false
#endif

/** Whether what is kept, of classes that come and go, are means and not samples. A build without
 * SPELA_WITH_MEANS refuses models that keep means, in spela_init, as the linker does. */
#ifdef SPELA_WITH_MEANS
#define SPELA_HAS_MEANS(model) ((model)->continual->keeps == (uint8_t)SPELA_KEEPS_MEANS)
#else
#define SPELA_HAS_MEANS(model) false
#endif

/** A build without SPELA_WITH_SOFTMAX refuses models that learn by that loss, in spela_init. */
#ifdef SPELA_WITH_SOFTMAX
#define SPELA_LOSSES 4U
#else
#define SPELA_LOSSES 3U
#endif

static inline spela_shape_t spela_weight_shape(const spela_layer_t *layer) {
    const spela_shape_t shape = {spela_padded(layer->units), spela_padded(layer->inputs),
                                 layer->weight_bits};
    return shape;
}

/** Bits of a layer's weights in its sums. */
static inline uint32_t spela_sum_bits(const spela_model_t *model, const spela_layer_t *layer) {
    (void)model;
    return SPELA_HAS_INT12(model, layer) ? 8U : layer->weight_bits;
}

/** Class c's packed embedding; element j lies spela_element(j) further on. */
static inline const int8_t *spela_embedding(const spela_layer_t *layer, uint32_t c) {
    return layer->exit.embeddings + (c / 4U) * 4U * spela_padded(layer->units) + (c % 4U) * 4U;
}

/** Where element j of a packed row lies, from the row's first. */
static inline uint32_t spela_element(uint32_t j) {
    return (j / 4U) * 16U + j % 4U;
}

/** A layer's weights: in the arena, or in flash when they are not learned. */
static inline const void *spela_weights(const spela_t *network, uint32_t index) {
    return SPELA_LEARNS(network->model.pointer)
               ? spela_at(network, network->layers[index].weights_offset)
               : spela_layer(network, index)->weights;
}

/** A layer's inputs, wide; for index = layer_count, the last layer's activation. */
static inline int16_t *spela_wide(const spela_t *network, uint32_t index) {
    return spela_at(network, network->wide_offset[index % 2U]);
}

/** A part of the arena. */
typedef struct {
    uint32_t offset;
    uint32_t bytes;
} spela_place_t;

/** Where a layer that has answered and found its multipliers may write: in the place of the sums
 *  and of its own inputs, but not in that of the next layer's. */
static inline spela_place_t spela_scratch(const spela_t *network, uint32_t index) {
    const bool is_last = index + 1U == network->model.pointer->layer_count;
    const bool is_even = index % 2U == 0U;
    const uint32_t start = is_even && !is_last ? network->rows_offset : network->wide_offset[1];
    const uint32_t end =
        is_even || is_last ? network->layers[0].activation_offset : network->wide_offset[0];
    const spela_place_t place = {start, end - start};
    return place;
}

/** Room for the updates of a batch, in pairs. */
static inline uint32_t spela_stride(const spela_model_t *model) {
    return (model->batch + 1U) & ~UINT32_C(1);
}

/** Bytes of a layer's weights, padding included. */
static inline uint32_t spela_weight_bytes(const spela_model_t *model, const spela_layer_t *layer) {
    (void)model;
    const uint32_t count = spela_padded(layer->units) * spela_padded(layer->inputs);
    if (SPELA_HAS_INT12(model, layer)) {
        return count + count / 2U;
    }
    return count * (SPELA_HAS_INT16(model, layer) ? 2U : 1U);
}

/** A layer's pending updates lie behind its weights: their multipliers int16 [units,
 * padded][stride], then what spela_keep keeps of their inputs, int8 [inputs, padded /
 * 4][stride][4]. */
static inline int16_t *spela_multipliers(const spela_t *network, uint32_t index) {
    const spela_model_t *const model = network->model.pointer;
    return spela_at(network, network->layers[index].weights_offset +
                                 spela_weight_bytes(model, spela_layer(network, index)));
}

static inline int8_t *spela_kept(const spela_t *network, uint32_t index) {
    const uint32_t units = spela_padded(spela_layer(network, index)->units);
    return (int8_t *)(spela_multipliers(network, index) +
                      units * spela_stride(network->model.pointer));
}

/** Whether a frozen network makes the first layer's inputs of a sample. A build without the runtime
 *  of such networks (firmware/backbone) refuses models that have one, in spela_init. */
#ifdef SPELA_WITH_BACKBONE
#define SPELA_HAS_FRONT(model) ((model)->front != NULL)
#else
#define SPELA_HAS_FRONT(model) false
#endif

/** Whether a call means the sample of the call before, whose features are still there. */
#define SPELA_IS_SAME_SAMPLE(model, inputs) (SPELA_HAS_FRONT(model) && (inputs) == 0U)

/** How many inputs the network has, without that of a bias; of a convolution, its map's. */
static inline uint32_t spela_layer_inputs(const spela_model_t *model) {
    if (SPELA_IS_CONVOLUTION(&model->layers[0])) {
        const spela_window_t *const window = model->layers[0].window;
        return (uint32_t)window->rows * window->columns * window->channels;
    }
    uint32_t inputs = model->layers[0].inputs;
#ifdef SPELA_WITH_TAPS
    for (uint32_t i = 1U; spela_reads_inputs(model, i); i++) {
        inputs += model->layers[i].inputs;
    }
#endif
    return inputs - (spela_has_flag(model, (uint32_t)SPELA_FLAG_BIAS) ? 1U : 0U);
}

/** What spela_front.c does, if it is part of the build. */

/** Whether the frozen network can be run in front of the layers. */
bool spela_front_is_valid(const spela_model_t *model);

/** How many values it takes. */
uint32_t spela_front_inputs(const spela_front_t *front);

/** Bytes of the arena in which it runs. */
uint32_t spela_front_bytes(const spela_front_t *front);

/** Computes a sample's features, out of the memory that the layers will use, and keeps them.
 *  @param sample  NULL: the one before, as far as its features are not there
 *  @param index   a layer: features that only later ones read are left out */
void spela_compute(const spela_t *network, const int8_t *sample, uint32_t index);

#ifdef SPELA_WITH_TAPS
/** Whether the features of the sample before are there, or can be: its maps are as they were left.
 */
bool spela_can_go_on(const spela_t *network);
#define SPELA_CAN_GO_ON(network) spela_can_go_on(network)
#else
#define SPELA_CAN_GO_ON(network) true
#endif

/** How far the frozen network has come, behind the layers' states in a network that has taps. Its
 *  maps then lie apart from what the layers use, so that it can go on. */
typedef struct {
    uint32_t left; /**< operators still to run for the sample in hand */
    uint32_t padding;
} spela_progress_t;

/** Makes kept features a layer's inputs, and zeros of their padding: `count` from `first` on. */
void spela_read_features(const spela_t *network, uint32_t index, uint32_t first, uint32_t count);

/** Writes the inputs that features are made, for the sample before. */
void spela_write_inputs(const spela_t *network, int8_t *inputs);

/** How many values a sample has. */
static inline uint32_t spela_sample_inputs(const spela_model_t *model) {
    return SPELA_HAS_FRONT(model) ? spela_front_inputs(model->front) : spela_layer_inputs(model);
}

/** What spela_convolution_layer.c does, if it is part of the build. */

/** Where the maps lie, and the exponents of the last one and of its cells. Behind the layers'
 * states, in a network that has convolutions. */
typedef struct {
    uint32_t map_offset[2]; /**< of even and of odd convolutions: int16, then int8 in their place */
    uint32_t places_offset; /**< where the maxima of the last map come from */
    uint32_t scratch_offset; /**< of one convolution; dense layers then use the same place */
    uint32_t end;            /**< of that scratch */
    uint32_t map_shift;
    uint32_t cell_shift;
    uint32_t padding;
} spela_maps_t;

static inline spela_maps_t *spela_maps(const spela_t *network) {
    return spela_at(network, (uint32_t)(sizeof(spela_t) + network->model.pointer->layer_count *
                                                              sizeof(spela_layer_state_t)));
}

/** Whether a model's layer is a convolution that can be run, with its read-out.
 *  @param inputs  values of its input map; 0: any */
bool spela_layer_convolution_is_valid(const spela_model_t *model, uint32_t index, uint32_t inputs);

/** Values of a valid convolution's map. */
uint32_t spela_map_inputs(const spela_layer_t *layer);

/** Decides where a model's maps lie, from `used` on; then `used` is where dense layers may begin.
 */
void spela_lay_out_maps(const spela_model_t *model, spela_maps_t *maps, uint32_t *used);

/** Runs a convolution's filters; returns its map.
 *  @param learns  whether the places of the maxima are wanted */
const int8_t *spela_run_layer_convolution(const spela_t *network, uint32_t index, const int8_t *map,
                                          bool learns);

/** Runs a convolution's read-out: its activation. */
spela_output_t spela_run_readout(const spela_t *network, uint32_t index, const int8_t *map);

/** A read-out's activation, wide. */
int16_t *spela_projection(const spela_t *network, uint32_t index);

/** What spela_continual.c and spela_memory.c do, if it is part of the build. */

#ifdef SPELA_WITH_CONTINUAL
/** The table of classes, [classes]; the memory is behind it. */
static inline spela_class_t *spela_classes(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    uint32_t offset =
        (uint32_t)(sizeof(spela_t) + model->layer_count * sizeof(spela_layer_state_t));
    offset += SPELA_IS_CONVOLUTION(&model->layers[0]) ? (uint32_t)sizeof(spela_maps_t) : 0U;
    offset += SPELA_IS_TAP(&model->layers[0]) ? (uint32_t)sizeof(spela_progress_t) : 0U;
    return spela_at(network, offset);
}

/** Whether limits of what is unknown follow what is taught. */
static inline bool spela_follows(const spela_model_t *model) {
    return SPELA_IS_CONTINUAL(model) &&
           model->continual->unknown_by != (uint8_t)SPELA_UNKNOWN_BY_NOTHING;
}
#endif

/** Whether the memory's samples are in flash, and not in the arena. */
#ifdef SPELA_WITH_MEMORY_IN_FLASH
#define SPELA_KEEPS_IN_FLASH(model) ((model)->continual->flash != NULL)
#else
#define SPELA_KEEPS_IN_FLASH(model) false
#endif

/** Whether nothing that is computed with a model's classes can leave its memory. */
bool spela_continual_is_valid(const spela_model_t *model);

/** Bytes of the memory's part for so many classes. */
uint32_t spela_memory_bytes(const spela_model_t *model, uint32_t classes);

/** Bytes of one slot: a sample or a mean; and of the deviations, if there are any. */
uint32_t spela_slot_bytes(const spela_model_t *model);
uint32_t spela_deviation_bytes(const spela_model_t *model);

/** Bytes of the table and the memory. */
uint32_t spela_continual_bytes(const spela_model_t *model);

/** Classes and memory as they are at the start. */
void spela_restart_classes(const spela_t *network);

/** SPELA_OK when the classes of a network may change. */
spela_status_t spela_check_changeable(const spela_t *network);

/** Limits below which an exit's answer is unknown, Q1.14 times 2^16, [exits]; and their bytes. */
int32_t *spela_limits(const spela_t *network);
uint32_t spela_limit_bytes(const spela_model_t *model);

/** Whether an answer is below its exit's limit, if there are limits. */
bool spela_is_unknown(const spela_t *network, const spela_result_t *result);

/** Has an exit's limit follow an answer that was right. */
void spela_follow(const spela_t *network, const spela_result_t *result);

/** As spela_best_class, of the active classes; SPELA_UNKNOWN if there is none. */
uint16_t spela_best_active(const spela_t *network, uint32_t other_than);

/** A slot of a class in the memory, int8 or int16 [inputs, padded], and how many are filled. The
 *  first is where the memory begins. */
void *spela_slot(const spela_t *network, uint32_t label, uint32_t slot);
uint32_t spela_kept_count(const spela_t *network, uint32_t label);

/** The deviations of samples from means, [inputs, padded], and the place of the sample that is
 * drawn, if the memory keeps means; or that is read from flash, or about to be written there. */
uint16_t *spela_deviations(const spela_t *network);
int8_t *spela_drawn(const spela_t *network);

/** What a slot has to rehearse; near a mean it is drawn. NULL if flash does not give it. */
const int8_t *spela_recall_kept(spela_t *network, uint16_t label, uint32_t slot);

/** Makes a class spare, and its slots zero. */
void spela_drop_class(const spela_t *network, uint32_t label);

/** How many samples of all classes were seen. */
uint64_t spela_seen_in_all(const spela_t *network);

/** Draws a sample to rehearse: first its class, which is not `except`. NULL if there is none, or
 *  flash does not give it. */
const int8_t *spela_draw_kept(spela_t *network, uint32_t except, uint16_t *label);

/** Counts the sample that was taught; the memory takes it, or not, so that it holds a fair choice
 * of the class's samples, or their mean.
 *  @param sample  not used behind a frozen network, which has the features */
void spela_keep_sample(spela_t *network, const int8_t *sample, uint16_t label);

#ifdef SPELA_WITH_MEMORY_IN_FLASH
/** What spela_memory_flash.c and spela_memory_ring.c do, of networks whose samples are in flash. */

/** Whether the region of flash has room for the memory, and its units and blocks make sense. */
bool spela_memory_flash_is_valid(const spela_model_t *model);

/** Bytes of the arena: what is known of the ring, a sample, and where each slot's sample lies. */
uint32_t spela_memory_flash_bytes(const spela_model_t *model);

/** The place of a sample in the arena. */
int8_t *spela_flash_sample(const spela_t *network);

/** The memory as it is at the start, by the table of classes. Nothing is erased or programmed. */
void spela_restart_memory_flash(const spela_t *network);

/** A filled slot's sample, [inputs, padded], in the arena or in the model's tables; NULL: flash
 *  does not give it. */
const int8_t *spela_read_slot(const spela_t *network, uint32_t label, uint32_t slot);

/** Writes the sample in spela_drawn to a slot.
 *  @return false: flash did not take it, and the slot is as it was */
bool spela_write_slot(const spela_t *network, uint32_t label, uint32_t slot);

/** The same of a state that is loaded: what lies in flash already is not written again. */
bool spela_load_slot(const spela_t *network, uint32_t label, uint32_t slot);

/** Sees to it that a later start knows the last record as one that was written to its end. */
void spela_seal_memory_flash(const spela_t *network);

/** Empties a class's slots; what they held stays in flash. */
void spela_clear_slots(const spela_t *network, uint32_t label);

/** Erases all that is in flash and in no slot.
 *  @return false: flash refuses, and some of it may be there still */
bool spela_sweep_memory_flash(const spela_t *network);

/** Notes that flash refused during a call, for the call to say so; and takes the note. */
void spela_note_failure(const spela_t *network);
spela_status_t spela_take_failure(const spela_t *network);
#endif

/** A layer's number among the exits. */
static inline uint32_t spela_exit_number(const spela_model_t *model, uint32_t index) {
    uint32_t number = index;
    (void)model;
#ifdef SPELA_WITH_CONVOLUTION
    for (uint32_t i = 0U; i < index; i++) {
        number -= SPELA_IS_CONVOLUTION(&model->layers[i]) ? 1U : 0U;
    }
#endif
    return number;
}

/** Makes a map the inputs of the dense layer behind it. */
static inline void spela_read_map(const spela_t *network, uint32_t index, const int8_t *map) {
    if (index > 0U && SPELA_IS_READOUT(spela_layer(network, index - 1U))) {
        spela_widen(map, spela_layer(network, index)->inputs, spela_wide(network, index));
    }
}

/** Applies all pending updates. */
void spela_apply_pending(spela_t *network);

/** SPELA_OK when the sample may be read. */
spela_status_t spela_check_sample(const spela_t *network, const int8_t *sample, size_t inputs);

/** Makes a sample, or the part of it that a layer reads, that layer's inputs, with the constant of
 *  the bias if there is one.
 *  @param sample  with a frozen network, NULL: its features, which are computed already; or inputs
 *                 that the memory has kept */
void spela_read_sample(const spela_t *network, uint32_t index, const int8_t *sample);

/** Runs one layer: its sums, and its activation, which becomes the next layer's input. */
spela_output_t spela_run_layer(spela_t *network, uint32_t index);

/** Runs a layer that is an exit.
 *  @param map  of the convolutions before it, if there are any */
static inline spela_output_t spela_run_exit(spela_t *network, uint32_t index, const int8_t *map) {
#ifdef SPELA_WITH_CONVOLUTION
    if (SPELA_IS_READOUT(spela_layer(network, index))) {
        return spela_run_readout(network, index, map);
    }
    spela_read_map(network, index, map);
#endif
    (void)map;
#ifdef SPELA_WITH_TAPS
    if (index > 0U && spela_reads_inputs(network->model.pointer, index)) {
        spela_read_sample(network, index, map);
    }
#endif
    return spela_run_layer(network, index);
}

/** Scores a layer's activation against every class's embedding. */
void spela_score(spela_t *network, uint32_t index);

/** The class with the greatest score, `other_than` excepted; the lowest such class on a tie. Where
 *  classes come and go, only active ones count; SPELA_UNKNOWN if there is none. */
uint16_t spela_best_class(const spela_t *network, uint32_t other_than);

/** What exit `index` answers by the scores just made, given its activation's length. */
void spela_answer(const spela_t *network, uint32_t index, spela_inverse_norm_t inverse,
                  spela_result_t *result);

/** Continues a CRC-32 (IEEE 802.3) over bytes, or over those of a word, lowest first. It starts
 *  from all ones, and in the end all its bits are inverted. */
uint32_t spela_crc_bytes(uint32_t crc, const void *data, size_t count);
uint32_t spela_crc_word(uint32_t crc, uint32_t word);
uint32_t spela_crc_words(uint32_t crc, uint32_t first, uint32_t second);

#endif /* SPELA_NETWORK_H */
