/* SPDX-License-Identifier: Apache-2.0 */
/** How a convolution learns: its read-out as a dense layer does, then its filters from the
 *  read-out's error (docs/arithmetic-convolution.md). Included by spela_learn.c alone. */
#include "spela_convolution.h"

#define SPELA_ERROR_BITS 16U /**< of an error, so that its product with a rate fits int32 */

/** Works out a read-out's tangent, its multipliers and, before it learns, its error. */
static uint32_t find_readout_rows(spela_t *network, uint32_t index, uint32_t output_shift,
                                  const spela_direction_t *direction) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const uint32_t columns = spela_padded(layer->inputs);
    const uint32_t scratch = spela_maps(network)->scratch_offset;
    const spela_places_t places = spela_places(layer - 1, layer);
    const int8_t *const activation = spela_at(network, network->layers[index].activation_offset);
    int32_t *const tangent = spela_at(network, scratch + places.tangent);
    spela_row_update_t *const rows = spela_at(network, scratch + places.rows);
    const int32_t rate = find_rate(network->model.pointer, layer, direction);
    const uint32_t shift =
        multiplier_shift(network, index, (int32_t)output_shift, direction->inverse.exponent);
    uint32_t count = 0U;
    for (uint32_t j = 0U; j < spela_padded(layer->units); j++) {
        tangent[j] =
            j < layer->units ? find_tangent(network, layer, direction, j, activation[j]) : 0;
        const int32_t multiplier =
            find_multiplier(network, tangent[j] * rate, shift, INT16_MIN, INT16_MAX);
        if (multiplier != 0) {
            rows[count].offset = spela_row_offset(j, columns);
            rows[count].multiplier = multiplier;
            count++;
        }
    }
    return fill_rows(rows, count);
}

/** Makes the filters' factors of the read-out's error. */
static void find_filter_factors(spela_t *network, uint32_t index, uint32_t output_shift,
                                const spela_direction_t *direction, const int32_t *error,
                                int16_t *factors) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const spela_maps_t *const maps = spela_maps(network);
    const uint32_t positions = spela_positions(layer->window);
    const uint32_t bound = 23U - spela_bits(positions - 1U);
    const int32_t most = bound > 15U ? INT16_MAX : (int32_t)(UINT32_C(1) << bound) - 1;
    const uint32_t count = spela_cell_values(layer);
    uint32_t bits = 0U;
    for (uint32_t i = 0U; i < count; i++) {
        bits |= (uint32_t)(error[i] < 0 ? -error[i] : error[i]);
    }
    bits = spela_bits(bits);
    const uint32_t narrowed = bits > SPELA_ERROR_BITS ? bits - SPELA_ERROR_BITS : 0U;
    const uint32_t scale = output_shift + maps->cell_shift + maps->map_shift +
                           spela_sum_shift(network->model.pointer, layer);
    const int32_t rate = find_rate(network->model.pointer, layer, direction);
    const uint32_t shift = multiplier_shift(network, index, (int32_t)scale - (int32_t)narrowed,
                                            direction->inverse.exponent);
    for (uint32_t i = 0U; i < count; i++) {
        /* |error| <= 2^16, rate < 2^14 */
        const int32_t step = spela_shift_right_rounded(error[i], narrowed) * rate;
        factors[i] = (int16_t)find_multiplier(network, step, shift, -most, most);
    }
}

/** Lets a convolution learn from the sample that its read-out has just answered.
 *  @param index    of the read-out
 *  @param input    the convolution's input map
 *  @param pooled   its own */
static void learn_convolution(spela_t *network, uint32_t index, const int8_t *input,
                              const int8_t *pooled, uint32_t output_shift,
                              const spela_direction_t *direction) {
    const spela_model_t *const model = network->model.pointer;
    const spela_layer_t *const readout = spela_layer(network, index);
    const spela_layer_t *const filters = readout - 1;
    const uint32_t scratch = spela_maps(network)->scratch_offset;
    const spela_places_t places = spela_places(filters, readout);
    const spela_shape_t shape = spela_weight_shape(readout);
    int8_t *const weights = spela_at(network, network->layers[index].weights_offset);
    int32_t *const error = spela_at(network, scratch + places.cells);
    int16_t *const factors = spela_at(network, scratch + places.factors);
    spela_row_update_t *const rows = spela_at(network, scratch + places.rows);

    const uint32_t count = find_readout_rows(network, index, output_shift, direction);
    spela_send_back(weights, shape.rows, shape.columns, spela_at(network, scratch + places.tangent),
                    error);
    const spela_dither_t noise = dither(network);
    spela_update_t update = {spela_at(network, scratch + places.wide_cells),
                             rows,
                             rows + count,
                             noise.state,
                             noise.multiplier,
                             noise.increment};
    spela_update_int8(weights, &shape, &update);
    move_dither(network, update.state);
    network->layers[index].updates++;
    count_up(&network->counters.layer_updates);

    find_filter_factors(network, index - 1U, output_shift, direction, error, factors);
    spela_filter_update_t step = {input,
                                  pooled,
                                  spela_at(network, spela_maps(network)->places_offset),
                                  factors,
                                  spela_at(network, scratch + places.filter_sums),
                                  update.state,
                                  noise.multiplier,
                                  noise.increment};
    spela_learn_filters(model, filters,
                        spela_at(network, network->layers[index - 1U].weights_offset), &step);
    move_dither(network, step.state);
    network->layers[index - 1U].updates++;
    count_up(&network->counters.layer_updates);
    scan_layer(network, index - 1U);
}
