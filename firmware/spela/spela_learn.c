/* SPDX-License-Identifier: Apache-2.0 */
/** Learning: one forward pass, each layer updated by its own loss (docs/arithmetic.md, 5). */
#include "spela_network.h"

#ifndef SPELA_INFERENCE_ONLY

#define SPELA_SATURATED_SHARE 64U /**< halved if more than one weight in this many saturated */
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

#ifdef SPELA_WITH_SOFTMAX
#include "spela_learn_softmax.h"
#endif
#ifdef SPELA_WITH_INT12
#include "spela_int12.h"
#endif

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
#ifdef SPELA_WITH_SOFTMAX
    if (model->loss == (uint8_t)SPELA_LOSS_SOFTMAX) {
        return find_coefficients(network, index, label, direction);
    }
#endif
    direction->projection = spela_cosine(scores[label], inverse, layer->exit.embedding_shift);
    direction->target = spela_embedding(layer, label);
    direction->wrong = NULL;
    if (model->loss == (uint8_t)SPELA_LOSS_MARGIN) {
        const uint16_t wrong = spela_best_class(network, label);
#ifdef SPELA_WITH_CONTINUAL
        if (wrong == SPELA_UNKNOWN) { /* there is no class to keep away from */
            return direction->projection < model->margin;
        }
#endif
        direction->projection -= spela_cosine(scores[wrong], inverse, layer->exit.embedding_shift);
        direction->wrong = spela_embedding(layer, wrong);
        return direction->projection < model->margin;
    }
    return true;
}

/** The shift by which tangent * rate becomes a multiplier. The learning rate is held for
 *  rate_halvings intervals, the last of which ends with the first halving; then it halves once an
 *  interval. */
static uint32_t multiplier_shift(const spela_t *network, uint32_t index, int32_t output_shift,
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
    const int32_t shift = 27 + spela_layer(network, index)->learner.rate_shift + output_shift -
                          (int32_t)exponent + 2 * (int32_t)rescalings + (int32_t)decay;
    return shift < 0 ? 0U : (uint32_t)shift;
}

/** The learning rate for an activation: below 2^14. */
static inline int32_t find_rate(const spela_model_t *model, const spela_layer_t *layer,
                                const spela_direction_t *direction) {
    const uint32_t mantissa = direction->inverse.mantissa; /* as a bit-field it would be an int */
    /* mantissas below 2^16 and up to 2^16: the product fits uint32 */
    int32_t rate = (int32_t)((layer->learner.rate_mantissa * mantissa) >> 18);
    if (model->loss == (uint8_t)SPELA_LOSS_LOG_COSINE) {
        rate = (rate * (INT32_C(0x10000000) / (2 * SPELA_ONE_Q14 - direction->projection))) >> 14;
    }
    return rate;
}

/** One element of the tangent: |tangent| < 2^16.1. */
static inline int32_t find_tangent(const spela_t *network, const spela_layer_t *layer,
                                   const spela_direction_t *direction, uint32_t j,
                                   int32_t activation) {
    /* |activation * mantissa| <= 2^23; |unit| <= 2^14; |projection * unit| < 2^30 */
    const int32_t unit = spela_shift_right_rounded(
        activation * (int32_t)direction->inverse.mantissa, 17U - direction->inverse.exponent);
    const int32_t along = spela_shift_right_rounded(direction->projection * unit, 14U);
#ifdef SPELA_WITH_SOFTMAX
    if (network->model.pointer->loss == (uint8_t)SPELA_LOSS_SOFTMAX) {
        return attraction(network, layer, j) - along;
    }
#endif
    (void)network;
    const uint32_t at = spela_element(j);
    const int8_t *const wrong = direction->wrong;
    const int32_t v = wrong == NULL ? direction->target[at] : direction->target[at] - wrong[at];
    return v * (int32_t)(UINT32_C(1) << (14U - layer->exit.embedding_shift)) - along;
}

/** A step, |step| < 2^30.2, as a multiplier within int16; counts those that are clipped. */
static inline int32_t find_multiplier(spela_t *network, int32_t step, uint32_t shift, int32_t least,
                                      int32_t most) {
    const int32_t exact = shift > SPELA_LARGEST_SHIFT ? 0 : spela_shift_right_rounded(step, shift);
    const int32_t multiplier = spela_clip(exact, least, most);
    if (multiplier != exact) {
        count_up(&network->counters.multipliers_clipped);
    }
    return multiplier;
}

/** Makes a list of rows even and not empty; returns its length. Units are padded: there is room. */
static inline uint32_t fill_rows(spela_row_update_t *rows, uint32_t count) {
    while (count == 0U || count % 2U != 0U) {
        rows[count].offset = 0U;
        rows[count].multiplier = 0; /* changes nothing */
        count++;
    }
    return count;
}

/** Works out every unit's multiplier. They become the layer's last pending update, or, in a network
 *  that sums no updates, a list of rows: in pairs and at least one. Returns the length of the list.
 */
static uint32_t find_multipliers(spela_t *network, uint32_t index, uint32_t output_shift,
                                 const spela_direction_t *direction) {
    const spela_model_t *const model = network->model.pointer;
    const spela_layer_t *const layer = spela_layer(network, index);
    const uint32_t columns = spela_padded(layer->inputs);
    const int8_t *const activation = spela_at(network, network->layers[index].activation_offset);
    /* the rows' second half: rows[count] is written only after sums[j], j >= count, was read */
    const int32_t *const sums = spela_at(network, network->sums_offset);
    spela_row_update_t *const rows = spela_at(network, network->rows_offset);
    const uint32_t first_shift =
        multiplier_shift(network, index, (int32_t)output_shift, direction->inverse.exponent);
    const spela_direction_t towards = *direction;
    const int32_t rate = find_rate(model, layer, direction);
    const uint32_t units = layer->units;
    const uint32_t leak = layer->leak_shift;
    const uint32_t stride = spela_stride(model);
    int16_t *pending = SPELA_SUMS_UPDATES(model)
                           ? spela_multipliers(network, index) + network->layers[index].pending
                           : NULL;
    uint32_t count = 0U;
    for (uint32_t j = 0U; j < units; j++) {
        int32_t multiplier = 0;
        if (sums[j] > 0 || leak != 0U) { /* else act'(z) = 0 */
            const uint32_t shift = sums[j] > 0 ? first_shift : first_shift + leak;
            const int32_t tangent = find_tangent(network, layer, &towards, j, activation[j]);
            multiplier = find_multiplier(network, tangent * rate, shift, INT16_MIN, INT16_MAX);
        }
        if (pending != NULL) {
            *pending = (int16_t)multiplier;
            pending += stride;
        } else if (multiplier != 0) {
            rows[count].offset = spela_row_offset(j, columns);
            rows[count].multiplier = multiplier;
            count++;
        } else {
            /* its row stays as it is */
        }
    }
    return fill_rows(rows, count);
}

/** The dither's generator: its state, and how it goes on. */
typedef struct {
    uint32_t state;
    uint32_t multiplier;
    uint32_t increment;
} spela_dither_t;

/** Nearest rounding is the same generator standing still at one half. */
static spela_dither_t dither(const spela_t *network) {
    const bool nearest = spela_has_flag(network->model.pointer, (uint32_t)SPELA_FLAG_ROUND_NEAREST);
    const spela_dither_t still = {UINT32_C(0x80000000), 1U, 0U};
    const spela_dither_t drawing = {network->dither_state, SPELA_LCG_MULTIPLIER,
                                    SPELA_LCG_INCREMENT};
    return nearest ? still : drawing;
}

/** Moves the dither on to the state after an update. */
static void move_dither(spela_t *network, uint32_t state) {
    if (!spela_has_flag(network->model.pointer, (uint32_t)SPELA_FLAG_ROUND_NEAREST)) {
        network->dither_state = state;
    }
}

/** Halves a layer's weights if more than `limit` stand at an end of their range. */
static bool relieve(const spela_model_t *model, const spela_layer_t *layer, void *weights,
                    uint32_t limit) {
    (void)model;
    const spela_shape_t shape = spela_weight_shape(layer);
#ifdef SPELA_WITH_INT12
    if (SPELA_HAS_INT12(model, layer)) {
        return spela_relieve_int12(weights, &shape, limit);
    }
#endif
    return SPELA_IS_READOUT(layer) /* whose weights are always int8 */
               ? spela_relieve_int8(weights, &shape, limit)
               : SPELA_KERNEL(model, spela_relieve, weights, &shape, limit);
}

/** Looks, once in so many updates, for weights at an end of their range. */
static void scan_layer(spela_t *network, uint32_t index) {
    const spela_model_t *const model = network->model.pointer;
    const spela_layer_t *const layer = spela_layer(network, index);
    spela_layer_state_t *const layer_state = &network->layers[index];
    if (layer_state->updates >= SPELA_SCAN_INTERVAL) {
        layer_state->updates = 0U;
        /* The layer's scale is free: once too many weights saturate, all are halved, and so is, by
         * multiplier_shift, the scale of its later updates. Sizes are below 2^28. */
        const uint32_t limit = (uint32_t)layer->units * layer->inputs / SPELA_SATURATED_SHARE;
        void *const weights = spela_at(network, layer_state->weights_offset);
        if ((layer_state->halvings < SPELA_HALVINGS_MAX ||
             spela_has_flag(model, (uint32_t)SPELA_FLAG_WEIGHT_DECAY)) &&
            relieve(model, layer, weights, limit)) {
            count_up(&layer_state->halvings);
            count_up(&network->counters.halvings);
        }
    }
}

static void update_layer(spela_t *network, uint32_t index, uint32_t count) {
    const spela_shape_t shape = spela_weight_shape(spela_layer(network, index));
    spela_row_update_t *const rows = spela_at(network, network->rows_offset);
    const spela_dither_t noise = dither(network);
    spela_update_t update = {spela_wide(network, index), rows,           rows + count, noise.state,
                             noise.multiplier,           noise.increment};
    SPELA_KERNEL(network->model.pointer, spela_update,
                 spela_at(network, network->layers[index].weights_offset), &shape, &update);
    move_dither(network, update.state);
    network->layers[index].updates++;
}

/** Applies a layer's pending updates, one or more. */
static void apply_layer(spela_t *network, uint32_t index) {
    spela_layer_state_t *const state = &network->layers[index];
    const spela_shape_t shape = spela_weight_shape(spela_layer(network, index));
    const uint32_t pending = state->pending;
    const uint32_t stride = spela_stride(network->model.pointer);
    int16_t *const multipliers = spela_multipliers(network, index);
    for (uint32_t k = pending; k < stride; k++) { /* none, if the batch is full and even */
        for (uint32_t j = 0U; j < shape.rows; j++) {
            multipliers[j * stride + k] = 0;
        }
    }
    const spela_place_t scratch = spela_scratch(network, index);
    const spela_dither_t noise = dither(network);
    spela_batch_t batch = {spela_kept(network, index),
                           multipliers,
                           spela_at(network, scratch.offset),
                           scratch.bytes,
                           pending,
                           stride,
                           noise.state,
                           noise.multiplier,
                           noise.increment};
    SPELA_KERNEL(network->model.pointer, spela_apply, spela_at(network, state->weights_offset),
                 &shape, &batch);
    move_dither(network, batch.state);
    state->pending = 0U;
    state->updates = (uint16_t)(state->updates + pending); /* < 256 + 64 */
}

/** Lets a layer learn from the sample that it has just answered. */
static void learn_layer(spela_t *network, uint32_t index, uint32_t output_shift,
                        const spela_direction_t *direction) {
    const spela_model_t *const model = network->model.pointer;
    spela_layer_state_t *const state = &network->layers[index];
    const uint32_t count = find_multipliers(network, index, output_shift, direction);
    count_up(&network->counters.layer_updates);
    if (!SPELA_SUMS_UPDATES(model)) {
        update_layer(network, index, count);
        return;
    }
    spela_keep(spela_wide(network, index), spela_padded(spela_layer(network, index)->inputs),
               spela_stride(model), spela_kept(network, index) + 4U * state->pending);
    state->pending++;
    if (state->pending == model->batch) {
        apply_layer(network, index);
    }
}

#ifdef SPELA_WITH_CONVOLUTION
#include "spela_learn_convolution.h"
#endif

void spela_apply_pending(spela_t *network) {
    for (uint32_t i = 0U; i < network->model.pointer->layer_count; i++) {
        if (network->layers[i].pending != 0U) {
            apply_layer(network, i);
            scan_layer(network, i);
        }
    }
}

/** Lets an exit learn.
 *  @param input  of a read-out, its convolution's input map
 *  @param map    and that convolution's map */
static void learn(spela_t *network, uint32_t index, const int8_t *input, const int8_t *map,
                  uint32_t output_shift, const spela_direction_t *direction) {
#ifdef SPELA_WITH_CONVOLUTION
    if (SPELA_IS_READOUT(spela_layer(network, index))) {
        learn_convolution(network, index, input, map, output_shift, direction);
        return;
    }
#endif
    (void)input;
    (void)map;
    learn_layer(network, index, output_shift, direction);
}

#ifdef SPELA_WITH_CONTINUAL
/** Has the limit of an exit follow, if it is the one that spela_infer_early would answer at;
 * returns whether it is. */
static bool follow(const spela_t *network, uint32_t index, spela_inverse_norm_t inverse,
                   uint16_t label) {
    const spela_model_t *const model = network->model.pointer;
    const int16_t margin = model->layers[index].exit.exit_margin;
    const bool is_last = index + 1U == model->layer_count;
    if (!is_last && margin == 0) {
        return false;
    }
    spela_result_t result;
    spela_answer(network, index, inverse, &result);
    if (!is_last && result.margin < margin) {
        return false;
    }
    if (result.label == label) {
        spela_follow(network, &result);
    }
    return true;
}
#endif

/** Lets every exit learn from a sample that is the first layer's input.
 *  @param sample  as spela_read_sample takes it; convolutions take it as it is
 *  @param is_taught  it is not rehearsed */
static void learn_sample(spela_t *network, const int8_t *sample, uint16_t label, bool is_taught,
                         spela_result_t *result) {
    const spela_model_t *const model = network->model.pointer;
#ifdef SPELA_WITH_CONTINUAL
    bool is_open = is_taught && SPELA_IS_CONTINUAL(model); /* no exit has answered yet */
#else
    (void)is_taught;
#endif
    const int8_t *map = sample;
    const int8_t *input = sample;
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        spela_direction_t direction;
#ifdef SPELA_WITH_CONVOLUTION
        if (SPELA_IS_CONVOLUTION(spela_layer(network, i))) {
            input = map;
            map = spela_run_layer_convolution(network, i, input, true);
            continue;
        }
#endif
        const spela_output_t output = spela_run_exit(network, i, map);
        const spela_inverse_norm_t inverse = spela_inverse_norm(output.squared_norm);
        spela_score(network, i);
        if (i == model->layer_count - 1U && result != NULL) {
            spela_answer(network, i, inverse, result);
        }
#ifdef SPELA_WITH_CONTINUAL
        is_open = is_open && !follow(network, i, inverse, label);
#endif
        if (output.squared_norm == 0U) {
            count_up(&network->counters.silent);
        }
        if (find_direction(network, i, inverse, label, &direction)) {
            learn(network, i, input, map, output.shift, &direction);
            scan_layer(network, i);
        }
    }
}

#ifdef SPELA_WITH_CONTINUAL
#include "spela_learn_continual.h"
#endif

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
#ifdef SPELA_WITH_CONTINUAL
    if (SPELA_IS_CONTINUAL(model)) {
        spela_classes(network)[label].is_active = 1U;
    }
#endif
    if (SPELA_HAS_FRONT(model)) {
        spela_compute(network, SPELA_IS_SAME_SAMPLE(model, inputs) ? NULL : sample,
                      model->layer_count - 1U);
        sample = NULL;
    }
    spela_read_sample(network, 0U, sample);
    learn_sample(network, sample, label, true, result);
#ifdef SPELA_WITH_CONTINUAL
    if (SPELA_IS_CONTINUAL(model)) {
        (void)rehearse(network, model->continual->ratio, SPELA_UNKNOWN); /* there may be nothing */
        spela_keep_sample(network, sample, label);
    }
#endif
    count_up(&network->counters.samples);
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    return spela_take_failure(network);
#else
    return SPELA_OK;
#endif
}

#endif /* SPELA_INFERENCE_ONLY */
