/** The network in its arena, and inference. */
#include "spela.h"

#include "spela_network.h"

/* The arena has one layout on every machine; the generator computes with these sizes. */
/* cppcheck-suppress shiftNegativeLHS ; it is the question */
SPELA_STATIC_ASSERT((-1 >> 1) == -1, "right shifts of negative numbers must be arithmetic");
SPELA_STATIC_ASSERT(sizeof(spela_t) == 48U, "the generator computes arenas with this size");
SPELA_STATIC_ASSERT(sizeof(spela_layer_state_t) == 16U, "and with this one");
SPELA_STATIC_ASSERT(sizeof(spela_row_update_t) == 8U, "and with this one");

#define SPELA_NO_CLASS UINT32_C(0xFFFFFFFF)

/* What spela_init accepts. The first two keep an arena below 2^30 bytes: 2^29 for the first layer's
 * weights at most, and 2^25 for those of each other. */
#define SPELA_LAYERS_MAX          16U
#define SPELA_UNITS_MAX           4096U
#define SPELA_EMBEDDING_SHIFT_MAX 14U
#define SPELA_LEAK_SHIFT_MAX      30U
#define SPELA_FLAGS                                                                                \
    ((uint32_t)SPELA_FLAG_WEIGHTS_INT16 | (uint32_t)SPELA_FLAG_ROUND_NEAREST |                     \
     (uint32_t)SPELA_FLAG_INFERENCE_ONLY)

static uint32_t weight_bytes(const spela_model_t *model, const spela_layer_t *layer) {
    const uint32_t width = (model->flags & (uint32_t)SPELA_FLAG_WEIGHTS_INT16) != 0U ? 2U : 1U;
    return spela_padded(layer->units) * spela_padded(layer->inputs) * width;
}

/** Whether a layer's parameters keep the bounds of docs/arithmetic.md, section 1. */
static bool layer_is_valid(const spela_layer_t *layer, bool is_int16) {
    const uint32_t bits = layer->weight_bits;
    /* the last: |sum| <= inputs * 2^7 * 2^(bits-1) <= 2^30 */
    return layer->embeddings != NULL && layer->inputs >= 1U && layer->units >= 2U &&
           layer->units <= SPELA_UNITS_MAX && layer->embedding_shift <= SPELA_EMBEDDING_SHIFT_MAX &&
           layer->leak_shift <= SPELA_LEAK_SHIFT_MAX && bits >= 8U &&
           bits <= (is_int16 ? 16U : 8U) && ((uint32_t)layer->inputs << bits) <= UINT32_C(1) << 24;
}

/** Whether every embedding is at most sqrt(9/8) long: the bounds of cosines and directions. */
static bool embeddings_are_valid(const spela_layer_t *layer, uint32_t classes) {
    const uint32_t one = UINT32_C(1) << (2U * layer->embedding_shift);
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

/** Whether given int16 weights lie in their range: the bound of sums. int8 weights cannot but. */
static bool weights_are_valid(const spela_layer_t *layer, bool is_int16) {
    const int16_t *const weights = layer->weights;
    if (is_int16 && weights != NULL) {
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

/** Whether nothing that this build computes with the model can overflow or leave its memory. */
static bool model_is_valid(const spela_model_t *model) {
    const bool is_int16 = (model->flags & (uint32_t)SPELA_FLAG_WEIGHTS_INT16) != 0U;
    const bool learns = (model->flags & (uint32_t)SPELA_FLAG_INFERENCE_ONLY) == 0U;
    bool valid = model->layers != NULL && model->layer_count > 0U &&
                 model->layer_count <= SPELA_LAYERS_MAX && model->classes >= 2U &&
                 model->loss <= (uint32_t)SPELA_LOSS_MARGIN && model->flags <= SPELA_FLAGS;
#ifdef SPELA_INFERENCE_ONLY
    valid = valid && !learns;
#endif
    for (uint32_t i = 0U; valid && i < model->layer_count; i++) {
        const spela_layer_t *const layer = &model->layers[i];
        valid = layer_is_valid(layer, is_int16) && (learns || layer->weights != NULL) &&
                (i == 0U || layer->inputs == model->layers[i - 1U].units) &&
                embeddings_are_valid(layer, model->classes) && weights_are_valid(layer, is_int16);
    }
    return valid;
}

#ifndef SPELA_INFERENCE_ONLY
static void copy_bytes(uint8_t *to, const uint8_t *from, uint32_t count) {
    for (uint32_t i = 0U; i < count; i++) {
        to[i] = from[i];
    }
}

/** Draws a layer's initial weights, row by row; padding stays zero. */
static void draw_weights(const spela_layer_t *layer, bool is_int16, void *weights) {
    const spela_shape_t shape = spela_weight_shape(layer);
    uint32_t state = layer->seed;
    for (uint32_t row = 0U; row < layer->units; row++) {
        for (uint32_t column = 0U; column < layer->inputs; column++) {
            state = spela_next(state);
            const uint32_t top = state >> (32U - shape.weight_bits);
            const int32_t half = (int32_t)(UINT32_C(1) << (shape.weight_bits - 1U));
            const int32_t weight = (int32_t)top - ((int32_t)top < half ? 0 : 2 * half);
            const uint32_t at = (row / 4U) * 4U * shape.columns + (column / 4U) * 16U +
                                (row % 4U) * 4U + column % 4U;
            if (is_int16) {
                ((int16_t *)weights)[at] = (int16_t)weight;
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
    network->samples = 0U;
    network->layer_updates = 0U;
    network->multipliers_clipped = 0U;
    network->halvings = 0U;
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        spela_layer_state_t *const state = &network->layers[i];
        state->updates = 0U;
        state->halvings = 0U;
#ifndef SPELA_INFERENCE_ONLY
        if (state->weights_offset != 0U) {
            const spela_layer_t *const layer = &model->layers[i];
            uint8_t *const weights = spela_at(network, state->weights_offset);
            const uint32_t bytes = weight_bytes(model, layer);
            if (layer->weights != NULL) {
                copy_bytes(weights, layer->weights, bytes);
            } else {
                for (uint32_t k = 0U; k < bytes; k++) {
                    weights[k] = 0U;
                }
                draw_weights(layer, spela_is_int16(network), weights);
            }
        }
#endif
    }
}

/** Takes `bytes` from the arena, 8-aligned; returns their offset. */
static uint32_t take(uint32_t *used, uint32_t bytes) {
    const uint32_t offset = *used;
    *used += (bytes + 7U) & ~UINT32_C(7);
    return offset;
}

static uint32_t widest_layer(const spela_model_t *model) {
    uint32_t widest = 0U;
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        if (model->layers[i].units > widest) {
            widest = model->layers[i].units;
        }
    }
    return spela_padded(widest);
}

static uint32_t widest_input(const spela_model_t *model) {
    uint32_t widest = widest_layer(model); /* an activation is an input of the embeddings */
    if (model->layers[0].inputs > widest) {
        widest = model->layers[0].inputs;
    }
    return spela_padded(widest);
}

/** The bytes that the arena needs; when `network` is not NULL, its offsets are set as well. */
static uint32_t lay_out(const spela_model_t *model, spela_t *network) {
    const bool learns = (model->flags & (uint32_t)SPELA_FLAG_INFERENCE_ONLY) == 0U;
    const uint32_t widest = widest_layer(model);
    uint32_t used = 0U;
    (void)take(&used, (uint32_t)sizeof(spela_t) +
                          model->layer_count * (uint32_t)sizeof(spela_layer_state_t));
    const uint32_t input_offset = take(&used, spela_padded(model->layers[0].inputs));
    const uint32_t scores_offset = take(&used, 4U * spela_padded(model->classes));
    /* The list of rows takes the place of the sums it is made from: entry k needs the sum of row
     * k or a later one, and ends before that sum if the sums fill the list's second half. */
    const uint32_t rows_offset =
        take(&used, learns ? (uint32_t)sizeof(spela_row_update_t) * widest : 4U * widest);
    const uint32_t sums_offset = learns ? rows_offset + 4U * widest : rows_offset;
    const uint32_t scratch_offset = take(&used, 2U * widest_input(model));
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        const spela_layer_t *const layer = &model->layers[i];
        const uint32_t activation_offset = take(&used, spela_padded(layer->units));
        const uint32_t weights_offset = learns ? take(&used, weight_bytes(model, layer)) : 0U;
        if (network != NULL) {
            network->layers[i].activation_offset = activation_offset;
            network->layers[i].weights_offset = weights_offset;
        }
    }
    if (network != NULL) {
        network->input_offset = input_offset;
        network->scores_offset = scores_offset;
        network->sums_offset = sums_offset;
        network->rows_offset = rows_offset;
        network->scratch_offset = scratch_offset;
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
    const uint32_t needed = lay_out(model, NULL);
    if ((uintptr_t)arena % 8U != 0U || arena_bytes < needed) {
        return SPELA_ERROR_ARENA;
    }
    uint8_t *const bytes = arena;
    for (uint32_t i = 0U; i < needed; i++) {
        bytes[i] = 0U;
    }
    spela_t *const instance = arena;
    instance->model.pointer = model;
    (void)lay_out(model, instance);
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

spela_status_t spela_check_sample(const spela_t *network, const int8_t *sample, size_t inputs) {
    if (network == NULL || sample == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    return inputs == spela_layer(network, 0U)->inputs ? SPELA_OK : SPELA_ERROR_SIZE;
}

void spela_take_sample(spela_t *network, const int8_t *sample) {
    int8_t *const input = spela_at(network, network->input_offset);
    const uint32_t inputs = spela_layer(network, 0U)->inputs;
    uint32_t i = 0U;
    for (; i + 4U <= inputs; i += 4U) { /* four at a time: it is done for every sample */
        input[i] = sample[i];
        input[i + 1U] = sample[i + 1U];
        input[i + 2U] = sample[i + 2U];
        input[i + 3U] = sample[i + 3U];
    }
    for (; i < inputs; i++) {
        input[i] = sample[i]; /* the padding behind it is zero from the start */
    }
}

/** act(sum): the sum above zero; below it, nothing (relu) or its 2^leak_shift-th part. */
static int32_t activated(int32_t sum, uint32_t leak_shift) {
    if (sum > 0) {
        return sum;
    }
    return leak_shift == 0U ? 0 : spela_shift_right_rounded(sum, leak_shift);
}

spela_output_t spela_run_layer(spela_t *network, uint32_t index) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const spela_shape_t shape = spela_weight_shape(layer);
    const int8_t *const input = spela_layer_input(network, index);
    int32_t *const sums = spela_at(network, network->sums_offset);
    int16_t *const scratch = spela_at(network, network->scratch_offset);
    if (spela_is_int16(network)) {
        spela_dense_int16(spela_weights(network, index), input, shape, scratch, sums);
    } else {
        spela_dense_int8(spela_weights(network, index), input, shape, scratch, sums);
    }

    int32_t greatest = 0; /* |sum| <= 2^30 */
    int32_t least = 0;
    for (uint32_t j = 0U; j < layer->units; j++) {
        const int32_t sum = sums[j];
        greatest = sum > greatest ? sum : greatest;
        least = sum < least ? sum : least;
    }
    /* act is monotonic: the largest magnitude is that of the greatest or of the least sum */
    const int32_t lowest = -activated(least, layer->leak_shift);
    const int32_t largest = greatest > lowest ? greatest : lowest;
    spela_output_t output = {0U, 0U};
    while ((largest >> output.shift) > INT8_MAX) {
        output.shift++; /* at most 24: 2^30 >> 24 = 64 */
    }
    const int32_t half = (int32_t)((UINT32_C(1) << output.shift) >> 1);
    int8_t *const activation = spela_at(network, network->layers[index].activation_offset);
    for (uint32_t j = 0U; j < layer->units; j++) {
        const int32_t value =
            spela_shift_right(activated(sums[j], layer->leak_shift) + half, output.shift);
        const int32_t clipped = value > INT8_MAX ? INT8_MAX : value; /* >= -128 by the shift */
        activation[j] = (int8_t)clipped;
        output.squared_norm += (uint32_t)(clipped * clipped); /* <= 4096 * 2^14 */
    }
    return output;
}

void spela_score(spela_t *network, uint32_t index) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const spela_shape_t shape = {spela_padded(network->model.pointer->classes),
                                 spela_padded(layer->units), 8U};
    spela_dense_int8(layer->embeddings, spela_at(network, network->layers[index].activation_offset),
                     shape, spela_at(network, network->scratch_offset),
                     spela_at(network, network->scores_offset));
}

uint16_t spela_best_class(const spela_t *network, uint32_t other_than) {
    const int32_t *const scores = spela_at(network, network->scores_offset);
    const uint32_t classes = network->model.pointer->classes;
    uint32_t best = other_than == 0U ? 1U : 0U;
    for (uint32_t c = best + 1U; c < classes; c++) {
        if (c != other_than && scores[c] > scores[best]) {
            best = c;
        }
    }
    return (uint16_t)best;
}

spela_result_t spela_answer(const spela_t *network, uint32_t index, spela_output_t output) {
    const int32_t *const scores = spela_at(network, network->scores_offset);
    spela_result_t result = {0U, (uint16_t)index, 0, 0};
    result.label = spela_best_class(network, SPELA_NO_CLASS);
    if (output.squared_norm != 0U) {
        const uint32_t shift = spela_layer(network, index)->embedding_shift;
        const spela_inverse_norm_t inverse = spela_inverse_norm(output.squared_norm);
        const uint16_t second = spela_best_class(network, result.label);
        const int32_t cosine = spela_cosine(scores[result.label], inverse, shift);
        const int32_t margin = cosine - spela_cosine(scores[second], inverse, shift);
        result.cosine = (int16_t)cosine;
        result.margin = (int16_t)(margin > INT16_MAX ? INT16_MAX : margin);
    }
    return result;
}

spela_status_t spela_infer_exit(spela_t *network, const int8_t *sample, size_t inputs,
                                uint16_t exit, spela_result_t *result) {
    const spela_status_t status = spela_check_sample(network, sample, inputs);
    if (status != SPELA_OK) {
        return status;
    }
    if (result == NULL || exit >= network->model.pointer->layer_count) {
        return SPELA_ERROR_ARGUMENT;
    }
    spela_output_t output = {0U, 0U};
    spela_take_sample(network, sample);
    for (uint32_t i = 0U; i <= exit; i++) {
        output = spela_run_layer(network, i);
    }
    spela_score(network, exit);
    *result = spela_answer(network, exit, output);
    return SPELA_OK;
}

spela_status_t spela_infer(spela_t *network, const int8_t *sample, size_t inputs,
                           spela_result_t *result) {
    if (network == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    const uint32_t last = network->model.pointer->layer_count - 1U;
    return spela_infer_exit(network, sample, inputs, (uint16_t)last, result);
}

const int32_t *spela_scores(const spela_t *network) {
    return network == NULL ? NULL : spela_at(network, network->scores_offset);
}

spela_status_t spela_view(const spela_t *network, uint16_t layer, spela_layer_view_t *view) {
    if (network == NULL || view == NULL || layer >= network->model.pointer->layer_count) {
        return SPELA_ERROR_ARGUMENT;
    }
    const spela_layer_state_t *const state = &network->layers[layer];
    view->weights = spela_weights(network, layer);
    view->weight_bytes = weight_bytes(network->model.pointer, spela_layer(network, layer));
    view->activation = spela_at(network, state->activation_offset);
    view->updates = state->updates;
    view->halvings = state->halvings;
    return SPELA_OK;
}

spela_status_t spela_counters(const spela_t *network, spela_counters_t *counters) {
    if (network == NULL || counters == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    counters->samples = network->samples;
    counters->layer_updates = network->layer_updates;
    counters->multipliers_clipped = network->multipliers_clipped;
    counters->halvings = network->halvings;
    return SPELA_OK;
}
