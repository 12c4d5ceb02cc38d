/* SPDX-License-Identifier: Apache-2.0 */
/** The network in its arena: which models are accepted, how it is laid out, where it starts. */
#include "spela.h"

#include "spela_network.h"
#ifdef SPELA_WITH_INT12
#include "spela_int12.h"
#endif

/* The arena has one layout on every machine; the generator computes with these sizes. */
/* cppcheck-suppress shiftNegativeLHS ; that is what is asserted */
SPELA_STATIC_ASSERT((-1 >> 1) == -1, "right shifts of negative numbers must be arithmetic");
SPELA_STATIC_ASSERT(sizeof(spela_t) == 56U, "the generator computes arenas with this size");
SPELA_STATIC_ASSERT(sizeof(spela_layer_state_t) == 16U, "and with this one");
SPELA_STATIC_ASSERT(sizeof(spela_row_update_t) == 8U, "and with this one");
SPELA_STATIC_ASSERT(sizeof(spela_maps_t) == 32U, "and with this one");
SPELA_STATIC_ASSERT(sizeof(spela_progress_t) == 8U, "and with this one");

/* What spela_init accepts. The first two keep an arena below 2^30 bytes: at most 2^29 for the first
 * layer's weights, and 2^25 for each other layer's. */
#define SPELA_LAYERS_MAX          16U
#define SPELA_UNITS_MAX           4096U
#define SPELA_EMBEDDING_SHIFT_MAX 14U
#define SPELA_LEAK_SHIFT_MAX      30U
#ifdef SPELA_SINGLE_UPDATES
#define SPELA_BATCH_MAX 1U
#else
#define SPELA_BATCH_MAX 64U
#endif

/* Flags that a model may have, and those that it must have, in this build. */
#ifdef SPELA_INT8_ONLY
#define SPELA_WIDTH_FLAGS 0U
#else
#define SPELA_WIDTH_FLAGS (uint32_t)SPELA_FLAG_WEIGHTS_INT16
#endif
#define SPELA_FLAGS                                                                                \
    (SPELA_WIDTH_FLAGS | (uint32_t)SPELA_FLAG_ROUND_NEAREST |                                      \
     (uint32_t)SPELA_FLAG_INFERENCE_ONLY | (uint32_t)SPELA_FLAG_BIAS |                             \
     (uint32_t)SPELA_FLAG_WEIGHT_DECAY)
#ifdef SPELA_INT16_ONLY
#define SPELA_WIDTH_DEMANDED SPELA_WIDTH_FLAGS
#else
#define SPELA_WIDTH_DEMANDED 0U
#endif
#ifdef SPELA_INFERENCE_ONLY
#define SPELA_FLAGS_DEMANDED (SPELA_WIDTH_DEMANDED | (uint32_t)SPELA_FLAG_INFERENCE_ONLY)
#else
#define SPELA_FLAGS_DEMANDED SPELA_WIDTH_DEMANDED
#endif

/* In the file of spela_init, so that the linker refuses two runtimes in one program. */
#ifndef SPELA_INT16_ONLY
const uint8_t spela_runtime_for_int8_inference = 1U;
#ifndef SPELA_INFERENCE_ONLY
const uint8_t spela_runtime_for_int8_learning = 1U;
#ifndef SPELA_SINGLE_UPDATES
const uint8_t spela_runtime_for_int8_batches = 1U;
#endif
#endif
#endif
#ifndef SPELA_INT8_ONLY
const uint8_t spela_runtime_for_int16_inference = 1U;
#ifndef SPELA_INFERENCE_ONLY
const uint8_t spela_runtime_for_int16_learning = 1U;
#ifndef SPELA_SINGLE_UPDATES
const uint8_t spela_runtime_for_int16_batches = 1U;
#endif
#endif
#endif

/** Whether every embedding is at most sqrt(9/8) long: cosines and directions are bounded by it. */
static bool embeddings_are_valid(const spela_layer_t *layer, uint32_t classes) {
    const uint32_t one = UINT32_C(1) << (2U * layer->exit.embedding_shift);
    for (uint32_t c = 0U; c < classes; c++) {
        const int8_t *const embedding = spela_embedding(layer, c);
        uint32_t squared_norm = 0U; /* <= 4096 * 2^14 */
        for (uint32_t j = 0U; j < layer->units; j++) {
            const int32_t element = embedding[spela_element(j)];
            squared_norm += (uint32_t)(element * element);
        }
        if (squared_norm > one + one / 8U) {
            return false;
        }
    }
    return true;
}

#ifndef SPELA_INT8_ONLY
/** Whether given int16 weights lie in their range, which bounds the sums. int8 weights always do.
 */
static bool weights_are_valid(const spela_layer_t *layer) {
    const int16_t *const weights = layer->weights;
    if (weights != NULL) {
        const spela_shape_t shape = spela_weight_shape(layer);
        const int32_t half = (int32_t)(UINT32_C(1) << (shape.weight_bits - 1U));
        for (uint32_t i = 0U; i < shape.rows * shape.columns; i++) {
            if (weights[i] < -half || weights[i] >= half) {
                return false;
            }
        }
    }
    return true;
}
#endif

/** Whether this build can run what stands in front of the layers, if anything does. */
static bool front_is_valid(const spela_model_t *model) {
    return SPELA_HAS_FRONT(model) ? spela_front_is_valid(model) : model->front == NULL;
}

/** Whether a layer is what it may be in its place. */
static bool kind_is_valid(const spela_model_t *model, uint32_t index, uint32_t inputs) {
    const spela_layer_t *const layer = &model->layers[index];
#ifdef SPELA_WITH_CONVOLUTION
    if (SPELA_IS_CONVOLUTION(layer)) {
        return spela_layer_convolution_is_valid(model, index, inputs);
    }
    if (SPELA_IS_READOUT(layer)) { /* its inputs are checked with its filters */
        return index > 0U && SPELA_IS_CONVOLUTION(layer - 1) && layer->weight_bits == 8U;
    }
#else
    (void)index;
#endif
    if (SPELA_IS_TAP(layer)) { /* after taps alone, and before another layer */
        return (index == 0U || SPELA_IS_TAP(layer - 1)) && index + 1U < model->layer_count &&
               !spela_has_flag(model, (uint32_t)SPELA_FLAG_BIAS);
    }
    return layer->kind == (uint8_t)SPELA_LAYER_DENSE && (inputs == 0U || layer->inputs == inputs);
}

/** Whether a layer with `inputs` inputs (0: of any width) keeps the bounds of docs/arithmetic.md,
 *  section 1. */
static bool layer_is_valid(const spela_model_t *model, uint32_t index, uint32_t inputs) {
    const spela_layer_t *const layer = &model->layers[index];
    const uint32_t bits = spela_sum_bits(model, layer);
    /* inputs << bits <= 2^24 means |sum| <= inputs * 2^7 * 2^(bits-1) <= 2^30 */
    return layer->inputs >= 1U && layer->units >= 2U && layer->units <= SPELA_UNITS_MAX &&
           layer->leak_shift <= SPELA_LEAK_SHIFT_MAX && bits >= 8U &&
           bits <= (SPELA_IS_INT16(model) ? 16U : 8U) &&
           ((uint32_t)layer->inputs << bits) <= UINT32_C(1) << 24 &&
           kind_is_valid(model, index, inputs) &&
           (SPELA_IS_CONVOLUTION(layer) ||
            (layer->exit.embedding_shift <= SPELA_EMBEDDING_SHIFT_MAX &&
             layer->exit.embeddings != NULL && embeddings_are_valid(layer, model->classes)));
}

/** How many inputs the layer behind one has; a read-out hands on what it was given, and behind a
 *  tap it is any number (0). */
static uint32_t inputs_behind(const spela_layer_t *layer, uint32_t inputs) {
#ifdef SPELA_WITH_CONVOLUTION
    if (SPELA_IS_CONVOLUTION(layer)) {
        return spela_map_inputs(layer);
    }
    if (SPELA_IS_READOUT(layer)) {
        return inputs;
    }
#else
    (void)inputs;
#endif
    return SPELA_IS_TAP(layer) ? 0U : layer->units;
}

/** Whether nothing that this build computes with the model can overflow or leave its memory. */
static bool model_is_valid(const spela_model_t *model) {
    const uint32_t flags = model->flags;
    if (model->layers == NULL || model->layer_count == 0U ||
        model->layer_count > SPELA_LAYERS_MAX || model->classes < 2U ||
        model->loss >= SPELA_LOSSES || model->batch < 1U || model->batch > SPELA_BATCH_MAX ||
        (flags & ~SPELA_FLAGS) != 0U || (flags & SPELA_FLAGS_DEMANDED) != SPELA_FLAGS_DEMANDED) {
        return false;
    }
    uint32_t inputs = 0U;
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        const spela_layer_t *const layer = &model->layers[i];
        if (!layer_is_valid(model, i, inputs)) {
            return false;
        }
        if (layer->weights == NULL && !SPELA_LEARNS(model)) {
            return false;
        }
#ifndef SPELA_INT8_ONLY
        if (SPELA_HAS_INT16(model, layer) && !weights_are_valid(layer)) {
            return false;
        }
#endif
        inputs = inputs_behind(layer, inputs);
    }
#ifdef SPELA_WITH_CONTINUAL
    if (SPELA_IS_CONTINUAL(model) && !spela_continual_is_valid(model)) {
        return false;
    }
#endif
    return spela_layer_inputs(model) >= 1U && front_is_valid(model);
}

#ifndef SPELA_INFERENCE_ONLY
/** Draws a layer's initial weights, row by row; padding is and stays zero. */
static void draw_weights(const spela_model_t *model, const spela_layer_t *layer, void *weights) {
    (void)model;
    const spela_shape_t shape = spela_weight_shape(layer);
    uint32_t state = layer->seed;
    for (uint32_t row = 0U; row < layer->units; row++) {
        const uint32_t first = spela_row_offset(row, shape.columns);
        for (uint32_t column = 0U; column < layer->inputs; column++) {
            state = spela_next(state);
            /* the upper weight_bits bits, as a two's complement number */
            const uint32_t half = UINT32_C(1) << (shape.weight_bits - 1U);
            const uint32_t top = state >> (32U - shape.weight_bits);
            const int32_t weight = (int32_t)(top ^ half) - (int32_t)half;
            const uint32_t at = first + spela_element(column);
            if (SPELA_HAS_INT16(model, layer)) {
                ((int16_t *)weights)[at] = (int16_t)weight;
#ifdef SPELA_WITH_INT12
            } else if (SPELA_HAS_INT12(model, layer)) {
                spela_set_raised(weights, spela_residuals(weights, &shape), at, weight);
#endif
            } else {
                ((int8_t *)weights)[at] = (int8_t)weight;
            }
        }
    }
}
#endif

/** Gives every layer its initial weights and clears all that was learned. */
static void restart(spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    network->dither_state = model->seed;
#ifdef SPELA_WITH_CONTINUAL
    if (SPELA_IS_CONTINUAL(model)) {
        spela_restart_classes(network);
    }
#endif
#ifndef SPELA_INFERENCE_ONLY /* otherwise nothing was learned, so there is nothing to clear */
    const spela_counters_t none = {0U, 0U, 0U, 0U, 0U};
    network->counters = none;
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        const spela_layer_t *const layer = &model->layers[i];
        spela_layer_state_t *const state = &network->layers[i];
        uint8_t *const weights = spela_at(network, state->weights_offset);
        state->updates = 0U;
        state->halvings = 0U;
        state->pending = 0U;
        if (!SPELA_LEARNS(model)) {
            continue;
        }
        if (layer->weights == NULL) {
            draw_weights(model, layer, weights);
        } else {
            const uint8_t *const initial = layer->weights;
            for (uint32_t k = 0U; k < spela_weight_bytes(model, layer); k++) {
                weights[k] = initial[k];
            }
        }
    }
#endif
}

/** Takes `bytes` from the arena, 8-aligned; returns their offset. */
static uint32_t take(uint32_t *used, uint32_t bytes) {
    const uint32_t offset = *used;
    *used += (bytes + 7U) & ~UINT32_C(7);
    return offset;
}

/**
 * Decides what lies where; returns how many bytes the arena needs.
 *
 * @param head    its offsets are set
 * @param states  the layers' states: their offsets are set as well, unless it is NULL
 */
static uint32_t lay_out(const spela_model_t *model, spela_t *head, spela_layer_state_t *states) {
    uint32_t widest = 0U; /* of the dense layers */
    uint32_t inputs = 0U; /* of those that read the network's, the most */
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        if (!SPELA_IS_CONVOLUTION(&model->layers[i]) && !SPELA_IS_READOUT(&model->layers[i])) {
            const uint32_t units = spela_padded(model->layers[i].units);
            const uint32_t read = spela_padded(model->layers[i].inputs);
            const bool is_wider = i > 0U && SPELA_IS_TAP(&model->layers[i - 1U]) && read > inputs;
            inputs = inputs == 0U || is_wider ? read : inputs;
            widest = units > widest ? units : widest;
        }
    }
    const uint32_t kept =
        SPELA_LEARNS(model) && SPELA_SUMS_UPDATES(model) ? spela_stride(model) : 0U;
    uint32_t used =
        (uint32_t)sizeof(spela_t) + model->layer_count * (uint32_t)sizeof(spela_layer_state_t);
    const bool has_taps = SPELA_IS_TAP(&model->layers[0]);
    used += has_taps ? (uint32_t)sizeof(spela_progress_t) : 0U;
    const bool has_maps = SPELA_IS_CONVOLUTION(&model->layers[0]);
    used += has_maps ? (uint32_t)sizeof(spela_maps_t) : 0U;
#ifdef SPELA_WITH_CONTINUAL
    used += SPELA_IS_CONTINUAL(model) ? spela_continual_bytes(model) : 0U;
#endif
    head->scores_offset = take(&used, 4U * spela_padded(model->classes));
    uint32_t front_end = 0U; /* what runs before dense layers has ended when they run */
    if (SPELA_HAS_FRONT(model)) {
        head->features_offset = take(&used, spela_layer_inputs(model));
        front_end = used;
        (void)take(&front_end, spela_front_bytes(model->front));
        used = has_taps ? front_end : used; /* its maps are still needed when layers run */
    }
#ifdef SPELA_WITH_CONVOLUTION
    if (has_maps) {
        spela_maps_t maps;
        spela_lay_out_maps(model, &maps, &used);
        front_end = maps.end;
        if (states != NULL) {
            maps.map_shift = 0U;
            maps.cell_shift = 0U;
            maps.padding = 0U;
            *(spela_maps_t *)(void *)(states + model->layer_count) = maps;
        }
    }
#endif
    head->wide_offset[1] = used;
    used += spela_wide_bytes(has_taps && inputs > widest ? inputs : widest);
    /* The list of rows takes the place of the sums it is made from: entry k needs the sum of row
     * k or a later one, and ends before that sum if the sums fill the list's second half. The
     * scratch of an application begins or ends here, or holds all of it (spela_scratch). */
    head->rows_offset = used;
    head->sums_offset = used + (SPELA_LEARNS(model) ? 4U * widest : 0U);
    used = head->sums_offset + 4U * widest;
    if (kept != 0U) {
        used = head->rows_offset + spela_scratch_bytes(widest, kept);
    }
    head->wide_offset[0] = used;
    used += spela_wide_bytes(inputs > widest ? inputs : widest);
    used = used > front_end ? used : front_end;
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        const spela_layer_t *const layer = &model->layers[i];
        const uint32_t activation_offset =
            take(&used, SPELA_IS_CONVOLUTION(layer) ? 0U : layer->units);
        const uint32_t weights_offset =
            SPELA_LEARNS(model) ? take(&used, spela_weight_bytes(model, layer)) : 0U;
        /* right behind the weights, which are whole blocks of 16: spela_multipliers finds them */
        (void)take(&used, kept * (2U * spela_padded(layer->units) + spela_padded(layer->inputs)));
        if (states != NULL) {
            states[i].activation_offset = activation_offset;
            states[i].weights_offset = weights_offset;
        }
    }
    return used;
}

spela_status_t spela_init(spela_t **network, const spela_model_t *model, void *arena,
                          size_t arena_bytes) {
    if (network == NULL || model == NULL || arena == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    if (!model_is_valid(model)) {
        return SPELA_ERROR_MODEL;
    }
    spela_t *const instance = arena;
    spela_t head;
    const uint32_t needed = lay_out(model, &head, NULL);
    if ((uintptr_t)arena % 8U != 0U || arena_bytes < needed) {
        return SPELA_ERROR_ARENA;
    }
    uint8_t *const bytes = arena;
    for (uint32_t i = 0U; i < needed; i++) {
        bytes[i] = 0U;
    }
    instance->model.pointer = model;
    (void)lay_out(model, instance, instance->layers);
    restart(instance);
    *network = instance;
    return SPELA_OK;
}

spela_status_t spela_reset(spela_t *network) {
    if (network == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    restart(network);
    return SPELA_OK;
}
