/** Learning: one forward pass, each layer updated by its own loss (docs/arithmetic.md, 5). */
#include "spela_network.h"

#define SPELA_SCAN_INTERVAL   256U /**< a layer is scanned after so many of its updates */
#define SPELA_SATURATED_SHARE 64U  /**< and halved if more than one weight in so many saturated */
#define SPELA_HALVINGS_MAX    15U
#define SPELA_LARGEST_SHIFT   30 /**< a multiplier shifted further is zero */

/** Where a layer's weights should go: along v = e_label (less e_wrong), off the radius. */
typedef struct {
    spela_inverse_norm_t inverse;
    int32_t projection;   /**< <v, h/|h|>, Q1.14, |.| < 2.14 */
    const int8_t *target; /**< embedding of the label, packed */
    const int8_t *wrong;  /**< embedding of the best wrong class, packed; NULL: not used */
} spela_direction_t;

static void count_up(uint32_t *counter, uint32_t by) {
    *counter = *counter > UINT32_MAX - by ? UINT32_MAX : *counter + by;
}

/** Looks where to go; false when the layer has nothing to learn from this sample. */
static bool find_direction(const spela_t *network, uint32_t index, spela_output_t output,
                           uint16_t label, spela_direction_t *direction) {
    const spela_model_t *const model = network->model.pointer;
    const spela_layer_t *const layer = spela_layer(network, index);
    const int32_t *const scores = spela_scores(network);
    if (output.squared_norm == 0U) {
        return false;
    }
    direction->inverse = spela_inverse_norm(output.squared_norm);
    direction->projection = spela_cosine(scores[label], direction->inverse, layer->embedding_shift);
    direction->target = spela_embedding(layer, label);
    direction->wrong = NULL;
    if (model->loss == (uint8_t)SPELA_LOSS_MARGIN) {
        const uint16_t wrong = spela_best_class(network, label);
        direction->projection -=
            spela_cosine(scores[wrong], direction->inverse, layer->embedding_shift);
        direction->wrong = spela_embedding(layer, wrong);
        return direction->projection < model->margin;
    }
    return true;
}

/** How often the learning rate has halved so far: it is held for rate_halvings intervals, the last
 *  of which ends with the first halving, and then halves once an interval. */
static uint32_t rate_halvings(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    if (model->halve_rate_every == 0U) {
        return 0U;
    }
    const uint32_t intervals = network->samples / model->halve_rate_every;
    if (intervals < model->rate_halvings) {
        return 0U;
    }
    const uint32_t halvings = intervals - model->rate_halvings + 1U; /* <= 2^32 - 1: E >= 1 */
    return halvings < model->rate_halvings ? halvings : model->rate_halvings;
}

/** tangent * rate / 2^shift, rounded, in 16 bits; counts what had to be clipped. */
static int16_t multiplier(spela_t *network, int32_t product, int32_t shift) {
    if (shift > SPELA_LARGEST_SHIFT) {
        return 0;
    }
    const int32_t value = spela_shift_right_rounded(product, (uint32_t)shift);
    const int32_t clipped = spela_clip(value, INT16_MIN, INT16_MAX);
    if (value != clipped) {
        count_up(&network->multipliers_clipped, 1U);
    }
    return (int16_t)clipped;
}

/** Lists the rows to update with their multipliers; returns how many. */
static uint32_t list_rows(spela_t *network, uint32_t index, spela_output_t output,
                          const spela_direction_t *direction) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const spela_layer_state_t *const state = &network->layers[index];
    const spela_shape_t shape = spela_weight_shape(layer);
    const int8_t *const activation = spela_at(network, state->activation_offset);
    /* lie in the rows' second half: rows[count] is written when sums[j], j >= count, is used up */
    const int32_t *const sums = spela_at(network, network->sums_offset);
    spela_row_update_t *const rows = spela_at(network, network->rows_offset);
    const spela_inverse_norm_t inverse = direction->inverse;

    /* mantissas below 2^16 and up to 2^16: the product fits uint32, the rate 14 bits */
    int32_t rate = (int32_t)((layer->rate_mantissa * inverse.mantissa) >> 18);
    if (network->model.pointer->loss == (uint8_t)SPELA_LOSS_LOG_COSINE) {
        rate = (rate * (INT32_C(0x10000000) / (2 * SPELA_ONE_Q14 - direction->projection))) >> 14;
    }
    int32_t shift = 27 + layer->rate_shift + (int32_t)output.shift - (int32_t)inverse.exponent +
                    2 * (int32_t)state->halvings + (int32_t)rate_halvings(network);
    shift = shift < 0 ? 0 : shift;

    uint32_t count = 0U;
    for (uint32_t j = 0U; j < layer->units; j++) {
        const bool above = sums[j] > 0;
        if (!above && layer->leak_shift == 0U) {
            continue; /* act'(z) = 0 */
        }
        const uint32_t at = spela_element(j);
        const int32_t v =
            direction->target[at] - (direction->wrong == NULL ? 0 : direction->wrong[at]);
        /* |activation * mantissa| <= 2^23; |unit| <= 2^14 */
        const int32_t unit = spela_shift_right_rounded(activation[j] * (int32_t)inverse.mantissa,
                                                       17U - inverse.exponent);
        /* |projection * unit| < 2^30; |tangent| < 2^16.1; |tangent * rate| < 2^30.2 */
        const int32_t tangent = v * (int32_t)(UINT32_C(1) << (14U - layer->embedding_shift)) -
                                spela_shift_right_rounded(direction->projection * unit, 14U);
        const int16_t value =
            multiplier(network, tangent * rate, above ? shift : shift + layer->leak_shift);
        if (value != 0) {
            rows[count].offset = spela_row_offset(shape, j);
            rows[count].multiplier = ((uint32_t)value & 0xFFFFU) | SPELA_UNIT;
            count++;
        }
    }
    return count;
}

/** The layer's scale is free: once too many weights saturate, all are halved, and so is, by the
 *  shift in list_rows, the scale of its later updates. */
static void relieve(spela_t *network, uint32_t index) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const spela_shape_t shape = spela_weight_shape(layer);
    spela_layer_state_t *const state = &network->layers[index];
    void *const weights = spela_at(network, state->weights_offset);
    const bool is_int16 = spela_is_int16(network);
    const uint32_t saturated =
        is_int16 ? spela_saturated_int16(weights, shape) : spela_saturated_int8(weights, shape);
    const uint32_t size = (uint32_t)layer->units * layer->inputs;
    /* saturated > size / share, without overflow: sizes are below 2^28 */
    if (saturated <= size / SPELA_SATURATED_SHARE || state->halvings >= SPELA_HALVINGS_MAX) {
        return;
    }
    if (is_int16) {
        spela_halve_int16(weights, shape);
    } else {
        spela_halve_int8(weights, shape);
    }
    state->halvings++;
    count_up(&network->halvings, 1U);
}

static void update_layer(spela_t *network, uint32_t index, uint32_t count) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const spela_shape_t shape = spela_weight_shape(layer);
    spela_layer_state_t *const state = &network->layers[index];
    const spela_row_update_t *const rows = spela_at(network, network->rows_offset);
    const int8_t *const input = spela_layer_input(network, index);
    void *const weights = spela_at(network, state->weights_offset);
    const bool nearest = (network->model.pointer->flags & (uint32_t)SPELA_FLAG_ROUND_NEAREST) != 0U;

    spela_dither_t dither = {network->dither_state, SPELA_LCG_MULTIPLIER, SPELA_LCG_INCREMENT};
    if (nearest) {
        dither.state = UINT32_C(0x80000000);
        dither.multiplier = 1U;
        dither.increment = 0U;
    }
    if (spela_is_int16(network)) {
        spela_update_int16(weights, input, shape, rows, count, &dither);
    } else {
        spela_update_int8(weights, input, shape, rows, count, &dither);
    }
    if (!nearest) {
        network->dither_state = dither.state;
    }
    count_up(&network->layer_updates, 1U);
    state->updates++;
    if (state->updates == SPELA_SCAN_INTERVAL) {
        state->updates = 0U;
        relieve(network, index);
    }
}

spela_status_t spela_learn(spela_t *network, const int8_t *sample, size_t inputs, uint16_t label,
                           spela_result_t *result) {
    const spela_status_t status = spela_check_sample(network, sample, inputs);
    if (status != SPELA_OK) {
        return status;
    }
    const spela_model_t *const model = network->model.pointer;
    if ((model->flags & (uint32_t)SPELA_FLAG_INFERENCE_ONLY) != 0U) {
        return SPELA_ERROR_READ_ONLY;
    }
    if (label >= model->classes) {
        return SPELA_ERROR_LABEL;
    }
    spela_take_sample(network, sample);
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        spela_direction_t direction;
        const spela_output_t output = spela_run_layer(network, i);
        spela_score(network, i);
        if (i == model->layer_count - 1U && result != NULL) {
            *result = spela_answer(network, i, output);
        }
        if (find_direction(network, i, output, label, &direction)) {
            update_layer(network, i, list_rows(network, i, output, &direction));
        }
    }
    count_up(&network->samples, 1U);
    return SPELA_OK;
}
