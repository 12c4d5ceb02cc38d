/* SPDX-License-Identifier: Apache-2.0 */
/** Learning: one forward pass, each layer updated by its own loss (docs/arithmetic.md, 5). */
#include "spela_network.h"

#ifndef SPELA_INFERENCE_ONLY

#define SPELA_SCAN_INTERVAL   256U /**< updates of a layer between two scans of its weights */
#define SPELA_SATURATED_SHARE 64U  /**< halved if more than one weight in this many saturated */
#define SPELA_HALVINGS_MAX    15U
#define SPELA_LARGEST_SHIFT   30U /**< a multiplier shifted further is zero */

/** Where a layer's activation should turn: along v = e_label (less e_wrong), across the radius. */
typedef struct {
    spela_inverse_norm_t inverse;
    int32_t projection;   /**< <v, h/|h|>, Q1.14, |.| < 2.14 */
    const int8_t *target; /**< embedding of the label, packed */
    const int8_t *wrong;  /**< embedding of the best wrong class, packed; NULL: not used */
} spela_direction_t;

/** Counts up, and stops at the maximum. */
static void count_up(uint32_t *counter) {
    *counter += *counter != UINT32_MAX;
}

/** Finds the direction; false when the layer has nothing to learn from this sample. */
static bool find_direction(const spela_t *network, uint32_t index, spela_inverse_norm_t inverse,
                           uint16_t label, spela_direction_t *direction) {
    const spela_model_t *const model = network->model.pointer;
    const spela_layer_t *const layer = spela_layer(network, index);
    const int32_t *const scores = spela_scores(network);
    if (inverse.mantissa == 0U) {
        return false;
    }
    direction->inverse = inverse;
    direction->projection = spela_cosine(scores[label], inverse, layer->exit.embedding_shift);
    direction->target = spela_embedding(layer, label);
    direction->wrong = NULL;
    if (model->loss == (uint8_t)SPELA_LOSS_MARGIN) {
        const uint16_t wrong = spela_best_class(network, label);
        direction->projection -= spela_cosine(scores[wrong], inverse, layer->exit.embedding_shift);
        direction->wrong = spela_embedding(layer, wrong);
        return direction->projection < model->margin;
    }
    return true;
}

/** The shift by which tangent * rate becomes a multiplier. The learning rate is held for
 *  rate_halvings intervals, the last of which ends with the first halving; then it halves once an
 *  interval. */
static uint32_t multiplier_shift(const spela_t *network, uint32_t index, uint32_t output_shift,
                                 uint32_t exponent) {
    const spela_model_t *const model = network->model.pointer;
    uint32_t decay = 0U;
    if (model->halve_rate_every != 0U) {
        const uint32_t intervals = network->counters.samples / model->halve_rate_every;
        if (intervals >= model->rate_halvings) {
            decay = intervals - model->rate_halvings + 1U; /* <= 2^32 - 1: the interval is >= 1 */
            decay = decay < model->rate_halvings ? decay : model->rate_halvings;
        }
    }
    /* every halving has changed the layer's scale, unless its weights are to decay */
    const uint32_t rescalings = spela_has_flag(model, (uint32_t)SPELA_FLAG_WEIGHT_DECAY)
                                    ? 0U
                                    : network->layers[index].halvings;
    /* 27 + 24 + 30 + 255 at most beside the rate's own shift, which is an int16 */
    const int32_t shift = 27 + spela_layer(network, index)->learner.rate_shift +
                          (int32_t)output_shift - (int32_t)exponent + 2 * (int32_t)rescalings +
                          (int32_t)decay;
    return shift < 0 ? 0U : (uint32_t)shift;
}

/** Lists the rows to update with their multipliers, in pairs and at least one; returns how many. */
static uint32_t list_rows(spela_t *network, uint32_t index, uint32_t output_shift,
                          const spela_direction_t *direction) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const uint32_t columns = spela_padded(layer->inputs);
    const int8_t *const activation = spela_at(network, network->layers[index].activation_offset);
    /* the rows' second half: rows[count] is written only after sums[j], j >= count, was read */
    const int32_t *const sums = spela_at(network, network->sums_offset);
    spela_row_update_t *const rows = spela_at(network, network->rows_offset);
    const uint32_t mantissa = direction->inverse.mantissa;
    const uint32_t exponent = direction->inverse.exponent;
    const uint32_t first_shift = multiplier_shift(network, index, output_shift, exponent);

    /* mantissas below 2^16 and up to 2^16: the product fits uint32, the rate 14 bits */
    int32_t rate = (int32_t)((layer->learner.rate_mantissa * mantissa) >> 18);
    if (network->model.pointer->loss == (uint8_t)SPELA_LOSS_LOG_COSINE) {
        rate = (rate * (INT32_C(0x10000000) / (2 * SPELA_ONE_Q14 - direction->projection))) >> 14;
    }

    const int8_t *const target = direction->target;
    const int8_t *const wrong = direction->wrong;
    const int32_t projection = direction->projection;
    const uint32_t units = layer->units;
    const uint32_t leak = layer->leak_shift;
    const uint32_t scale = 14U - layer->exit.embedding_shift;
    uint32_t count = 0U;
    for (uint32_t j = 0U; j < units; j++) {
        if (sums[j] <= 0 && leak == 0U) {
            continue; /* act'(z) = 0 */
        }
        const uint32_t shift = sums[j] > 0 ? first_shift : first_shift + leak;
        const uint32_t at = spela_element(j);
        const int32_t v = wrong == NULL ? target[at] : target[at] - wrong[at];
        /* |activation * mantissa| <= 2^23; |unit| <= 2^14 */
        const int32_t unit =
            spela_shift_right_rounded(activation[j] * (int32_t)mantissa, 17U - exponent);
        /* |projection * unit| < 2^30; |tangent| < 2^16.1; |tangent * rate| < 2^30.2 */
        const int32_t tangent =
            v * (int32_t)(UINT32_C(1) << scale) - spela_shift_right_rounded(projection * unit, 14U);
        const int32_t exact =
            shift > SPELA_LARGEST_SHIFT ? 0 : spela_shift_right_rounded(tangent * rate, shift);
        const int32_t multiplier = spela_clip(exact, INT16_MIN, INT16_MAX);
        if (multiplier != exact) {
            count_up(&network->counters.multipliers_clipped);
        }
        if (multiplier != 0) {
            rows[count].offset = spela_row_offset(j, columns);
            rows[count].multiplier = multiplier;
            count++;
        }
    }
    while (count == 0U || count % 2U != 0U) { /* units are padded: there is room */
        rows[count].offset = 0U;
        rows[count].multiplier = 0; /* changes nothing */
        count++;
    }
    return count;
}

static void update_layer(spela_t *network, uint32_t index, uint32_t count) {
    const spela_model_t *const model = network->model.pointer;
    const spela_layer_t *const layer = spela_layer(network, index);
    const spela_shape_t shape = spela_weight_shape(layer);
    const spela_row_update_t *const rows = spela_at(network, network->rows_offset);
    spela_layer_state_t *const state = &network->layers[index];
    void *const weights = spela_at(network, state->weights_offset);

    spela_update_t update = {spela_wide(network, index), rows, rows + count, 0U, 0U, 0U};
    if (spela_has_flag(model, (uint32_t)SPELA_FLAG_ROUND_NEAREST)) {
        update.state = UINT32_C(0x80000000);
        update.multiplier = 1U;
        SPELA_KERNEL(model, spela_update, weights, &shape, &update);
    } else {
        update.state = network->dither_state;
        update.multiplier = SPELA_LCG_MULTIPLIER;
        update.increment = SPELA_LCG_INCREMENT;
        SPELA_KERNEL(model, spela_update, weights, &shape, &update);
        network->dither_state = update.state;
    }

    count_up(&network->counters.layer_updates);
    state->updates++;
    if (state->updates == SPELA_SCAN_INTERVAL) {
        state->updates = 0U;
        /* The layer's scale is free: once too many weights saturate, all are halved, and so is, by
         * multiplier_shift, the scale of its later updates. Sizes are below 2^28. */
        const uint32_t limit = (uint32_t)layer->units * layer->inputs / SPELA_SATURATED_SHARE;
        if ((state->halvings < SPELA_HALVINGS_MAX ||
             spela_has_flag(model, (uint32_t)SPELA_FLAG_WEIGHT_DECAY)) &&
            SPELA_KERNEL(model, spela_relieve, weights, &shape, limit)) {
            count_up(&state->halvings);
            count_up(&network->counters.halvings);
        }
    }
}

spela_status_t spela_learn(spela_t *network, const int8_t *sample, size_t inputs, uint16_t label,
                           spela_result_t *result) {
    const spela_status_t status = spela_check_sample(network, sample, inputs);
    if (status != SPELA_OK) {
        return status;
    }
    const spela_model_t *const model = network->model.pointer;
    if (spela_has_flag(model, (uint32_t)SPELA_FLAG_INFERENCE_ONLY)) {
        return SPELA_ERROR_READ_ONLY;
    }
    if (label >= model->classes) {
        return SPELA_ERROR_LABEL;
    }
    spela_read_sample(network, sample);
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        spela_direction_t direction;
        const spela_output_t output = spela_run_layer(network, i);
        const spela_inverse_norm_t inverse = spela_inverse_norm(output.squared_norm);
        spela_score(network, i);
        if (i == model->layer_count - 1U && result != NULL) {
            spela_answer(network, i, inverse, result);
        }
        if (output.squared_norm == 0U) {
            count_up(&network->counters.silent);
        }
        if (find_direction(network, i, inverse, label, &direction)) {
            update_layer(network, i, list_rows(network, i, output.shift, &direction));
        }
    }
    count_up(&network->counters.samples);
    return SPELA_OK;
}

#endif /* SPELA_INFERENCE_ONLY */
