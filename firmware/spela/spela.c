/* SPDX-License-Identifier: Apache-2.0 */
/** Inference, and what can be read from a network. */
#include "spela.h"

#include "spela_network.h"

#define SPELA_BIAS_INPUT 127 /**< the constant beside a sample: full scale */
#define SPELA_NO_CLASS   UINT32_C(0xFFFFFFFF)
#define SPELA_LAST       UINT32_C(0xFFFFFFFF) /**< exit: the model's last */
#define SPELA_EARLY UINT32_C(0xFFFFFFFE) /**< exit: the first that is sure enough, or the last */

uint16_t spela_exits(const spela_model_t *model) {
    return (uint16_t)(spela_exit_number(model, model->layer_count - 1U) + 1U);
}

spela_status_t spela_check_sample(const spela_t *network, const int8_t *sample, size_t inputs) {
    if (network == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    if (SPELA_IS_SAME_SAMPLE(network->model.pointer, inputs)) {
        return SPELA_CAN_GO_ON(network) ? SPELA_OK : SPELA_ERROR_ARGUMENT;
    }
    if (sample == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    return inputs == spela_sample_inputs(network->model.pointer) ? SPELA_OK : SPELA_ERROR_SIZE;
}

void spela_read_sample(const spela_t *network, uint32_t index, const int8_t *sample) {
    const spela_model_t *const model = network->model.pointer;
    if (SPELA_IS_CONVOLUTION(&model->layers[0])) {
        return; /* it takes its input map as it is */
    }
    uint32_t first = 0U;
    uint32_t inputs = spela_layer_inputs(model);
    if (SPELA_IS_TAP(&model->layers[0])) { /* and so there is no bias */
        for (uint32_t i = 0U; i < index; i++) {
            first += model->layers[i].inputs;
        }
        inputs = model->layers[index].inputs;
    }
    int16_t *const wide = spela_wide(network, SPELA_IS_TAP(&model->layers[0]) ? index : 0U);
    if (SPELA_HAS_FRONT(model) && !SPELA_IS_KEPT(sample)) {
        spela_read_features(network, index, first, inputs);
    } else {
        spela_widen(&sample[first], inputs, wide);
    }
    if (spela_has_flag(model, (uint32_t)SPELA_FLAG_BIAS)) {
        /* the constant may begin a new block, the rest of which is padding */
        for (uint32_t i = inputs; i < spela_padded(inputs + 1U); i++) {
            spela_set_input(wide, i, i == inputs ? SPELA_BIAS_INPUT : 0);
        }
    }
}

/** Replaces sums by act(sum); returns how many bits the largest magnitude has. */
static uint32_t activate(int32_t *sums, uint32_t units, uint32_t leak) {
    int32_t bits = 0; /* of all magnitudes, ORed: as many as the largest has */
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
    const spela_shape_t shape = spela_weight_shape(layer);
    SPELA_KERNEL(network->model.pointer, spela_dense, spela_weights(network, index),
                 spela_wide(network, index), &shape, sums);

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
    const int16_t *const wide = SPELA_IS_READOUT(layer) ? spela_projection(network, index)
                                                        : spela_wide(network, index + 1U);
    spela_dense_int8(layer->exit.embeddings, wide, &shape,
                     spela_at(network, network->scores_offset));
}

uint16_t spela_best_class(const spela_t *network, uint32_t other_than) {
#ifdef SPELA_WITH_CONTINUAL
    if (SPELA_IS_CONTINUAL(network->model.pointer)) {
        return spela_best_active(network, other_than);
    }
#endif
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

void spela_answer(const spela_t *network, uint32_t index, spela_inverse_norm_t inverse,
                  spela_result_t *result) {
    const int32_t *const scores = spela_at(network, network->scores_offset);
    const uint32_t shift = spela_layer(network, index)->exit.embedding_shift;
    const uint16_t best = spela_best_class(network, SPELA_NO_CLASS);
    const uint16_t second = spela_best_class(network, best);
    result->label = best;
    result->exit = (uint16_t)spela_exit_number(network->model.pointer, index);
#ifdef SPELA_WITH_CONTINUAL
    if (second == SPELA_UNKNOWN) { /* there is nothing to compare with */
        result->cosine =
            (int16_t)(best == SPELA_UNKNOWN ? 0 : spela_cosine(scores[best], inverse, shift));
        result->margin = 0;
        return;
    }
#endif
    const int32_t cosine = spela_cosine(scores[best], inverse, shift);
    const int32_t margin = cosine - spela_cosine(scores[second], inverse, shift);
    result->cosine = (int16_t)cosine;
    result->margin = (int16_t)(margin > INT16_MAX ? INT16_MAX : margin);
}

/** Applies pending updates, where there can be any. */
static void apply_pending(spela_t *network) {
    (void)network;
    if (SPELA_SUMS_UPDATES(network->model.pointer)) {
        spela_apply_pending(network);
    }
}

/** Whether no sample leaves at an exit before the last, so that its scores are not needed. */
static inline bool is_passed(const spela_layer_t *layer, bool is_before, bool is_early) {
    return is_before && (!is_early || layer->exit.exit_margin == 0);
}

/** Answers at an exit: a number, SPELA_LAST or SPELA_EARLY (docs/arithmetic.md, section 8). */
static spela_status_t classify(spela_t *network, const int8_t *sample, size_t inputs, uint32_t exit,
                               spela_result_t *result) {
    const spela_status_t status = spela_check_sample(network, sample, inputs);
    if (status != SPELA_OK) {
        return status;
    }
    const bool is_early = exit == SPELA_EARLY;
    const spela_model_t *const model = network->model.pointer;
    const uint32_t last = spela_exit_number(model, model->layer_count - 1U);
    if (exit >= SPELA_EARLY) {
        exit = last;
    }
    if (result == NULL || exit > last) {
        return SPELA_ERROR_ARGUMENT;
    }
    if (SPELA_HAS_FRONT(model)) { /* before updates are applied where the sample may lie */
        spela_compute(network, SPELA_IS_SAME_SAMPLE(model, inputs) ? NULL : sample,
                      is_early ? 0U : last);
        sample = NULL;
    }
    apply_pending(network);
    spela_read_sample(network, 0U, sample);
    const int8_t *map = sample;
    for (uint32_t i = 0U;; i++) {
        const spela_layer_t *const layer = spela_layer(network, i);
        const uint32_t number = spela_exit_number(model, i);
#ifdef SPELA_WITH_CONVOLUTION
        if (SPELA_IS_CONVOLUTION(layer)) {
            map = spela_run_layer_convolution(network, i, map, false);
            continue;
        }
        if (SPELA_IS_READOUT(layer) && is_passed(layer, number < exit, is_early)) {
            continue; /* nothing needs its activation */
        }
#endif
        if (SPELA_IS_TAP(layer) && is_passed(layer, number < exit, is_early)) {
            continue; /* nor this one's */
        }
        const spela_output_t output = spela_run_exit(network, i, map);
        if (is_passed(layer, number < exit, is_early)) {
            continue;
        }
        spela_score(network, i);
        spela_answer(network, i, spela_inverse_norm(output.squared_norm), result);
        if (number < exit && result->margin < layer->exit.exit_margin) {
            continue;
        }
        if (is_early && layer->exit.reject_cosine != 0 &&
            result->cosine < layer->exit.reject_cosine) {
            result->label = SPELA_UNKNOWN;
        }
#ifdef SPELA_WITH_CONTINUAL
        if (is_early && SPELA_IS_CONTINUAL(model) && spela_is_unknown(network, result)) {
            result->label = SPELA_UNKNOWN;
        }
#endif
        return SPELA_OK;
    }
}

spela_status_t spela_infer(spela_t *network, const int8_t *sample, size_t inputs,
                           spela_result_t *result) {
    return classify(network, sample, inputs, SPELA_LAST, result);
}

spela_status_t spela_infer_exit(spela_t *network, const int8_t *sample, size_t inputs,
                                uint16_t exit, spela_result_t *result) {
    return classify(network, sample, inputs, exit, result);
}

spela_status_t spela_infer_early(spela_t *network, const int8_t *sample, size_t inputs,
                                 spela_result_t *result) {
    return classify(network, sample, inputs, SPELA_EARLY, result);
}

spela_status_t spela_flush(spela_t *network) {
    if (network == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    apply_pending(network);
    return SPELA_OK;
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
    view->activation = SPELA_IS_CONVOLUTION(spela_layer(network, layer))
                           ? NULL
                           : spela_at(network, state->activation_offset);
    view->updates = state->updates;
    view->halvings = state->halvings;
    view->pending = state->pending;
    return SPELA_OK;
}

spela_status_t spela_counters(const spela_t *network, spela_counters_t *counters) {
    if (network == NULL || counters == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    *counters = network->counters;
    return SPELA_OK;
}
