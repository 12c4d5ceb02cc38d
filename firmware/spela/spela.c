/** Inference, and what can be asked of a network. */
#include "spela.h"

#include "spela_network.h"

#define SPELA_NO_CLASS UINT32_C(0xFFFFFFFF)

spela_status_t spela_check_sample(const spela_t *network, const int8_t *sample, size_t inputs) {
    if (network == NULL || sample == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    return inputs == spela_layer(network, 0U)->inputs ? SPELA_OK : SPELA_ERROR_SIZE;
}

/** Replaces sums by act(sum); returns the length in binary of the largest magnitude. */
static uint32_t activate(int32_t *sums, uint32_t units, uint32_t leak) {
    int32_t bits = 0; /* of all magnitudes: as many as the largest has */
    if (leak == 0U) {
        for (uint32_t j = 0U; j < units; j++) {
            sums[j] = sums[j] > 0 ? sums[j] : 0;
            bits |= sums[j];
        }
    } else {
        for (uint32_t j = 0U; j < units; j++) {
            if (sums[j] < 0) {
                sums[j] = spela_shift_right_rounded(sums[j], leak);
            }
            bits |= sums[j] < 0 ? -sums[j] : sums[j];
        }
    }
    return spela_bits((uint32_t)bits);
}

spela_output_t spela_run_layer(spela_t *network, uint32_t index) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const uint32_t units = layer->units;
    int32_t *const sums = spela_at(network, network->sums_offset);
    int8_t *const activation = spela_at(network, network->layers[index].activation_offset);
    SPELA_KERNEL(network->model.pointer, spela_dense, spela_weights(network, index),
                 spela_wide(network, index), spela_weight_shape(layer), sums);

    spela_output_t output = {0U, 0U};
    const uint32_t bits = activate(sums, units, layer->leak_shift);
    output.shift = bits > 7U ? bits - 7U : 0U; /* at most 24: |sum| <= 2^30 */
    for (uint32_t j = 0U; j < units; j++) {
        const int32_t value = spela_shift_right_rounded(sums[j], output.shift);
        const int32_t clipped = value > INT8_MAX ? INT8_MAX : value; /* >= -128 by the shift */
        activation[j] = (int8_t)clipped;
        output.squared_norm += (uint32_t)(clipped * clipped); /* <= 4096 * 2^14 */
    }
    spela_widen(activation, units, spela_wide(network, index + 1U));
    return output;
}

void spela_score(spela_t *network, uint32_t index) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const spela_shape_t shape = {spela_padded(network->model.pointer->classes),
                                 spela_padded(layer->units), 8U};
    spela_dense_int8(layer->embeddings, spela_wide(network, index + 1U), shape,
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

spela_result_t spela_answer(const spela_t *network, uint32_t index, spela_inverse_norm_t inverse) {
    const int32_t *const scores = spela_at(network, network->scores_offset);
    const uint32_t shift = spela_layer(network, index)->embedding_shift;
    spela_result_t result = {0U, (uint16_t)index, 0, 0};
    result.label = spela_best_class(network, SPELA_NO_CLASS);
    const uint16_t second = spela_best_class(network, result.label);
    const int32_t cosine = spela_cosine(scores[result.label], inverse, shift);
    const int32_t margin = cosine - spela_cosine(scores[second], inverse, shift);
    result.cosine = (int16_t)cosine;
    result.margin = (int16_t)(margin > INT16_MAX ? INT16_MAX : margin);
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
    spela_widen(sample, (uint32_t)inputs, spela_wide(network, 0U));
    for (uint32_t i = 0U; i <= exit; i++) {
        output = spela_run_layer(network, i);
    }
    spela_score(network, exit);
    *result = spela_answer(network, exit, spela_inverse_norm(output.squared_norm));
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
    view->weight_bytes = spela_weight_bytes(network->model.pointer, spela_layer(network, layer));
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
