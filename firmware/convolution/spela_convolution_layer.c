/* SPDX-License-Identifier: Apache-2.0 */
/** Convolutions as layers of a network: which are accepted, where they lie, how they answer. */
#include "spela_convolution.h"

#define VALUES_MAX        65535U
#define KERNEL_MAX        7U
#define STRIDE_MAX        4U
#define POOL_MAX          4U
#define READOUT_UNITS_MAX 64U

static uint32_t aligned(uint32_t bytes) {
    return (bytes + 7U) & ~UINT32_C(7);
}

spela_places_t spela_places(const spela_layer_t *filters, const spela_layer_t *readout) {
    const uint32_t patch = spela_padded(filters->inputs);
    const uint32_t cells = spela_padded(readout->inputs);
    const uint32_t units = spela_padded(readout->units);
    spela_places_t places;
    places.wide_patch = 0U;
    places.sums = spela_wide_bytes(patch);
    const uint32_t map_end = places.sums + 4U * spela_padded(filters->units);
    places.cells = 0U;
    places.wide_cells = aligned(4U * cells);
    places.factors = places.wide_cells; /* once the read-out has learned */
    places.rows = places.wide_cells + spela_wide_bytes(cells);
    places.filter_sums = places.rows; /* likewise */
    places.tangent = places.rows + 8U * units;
    places.wide_projection = aligned(places.tangent + 4U * units);
    const uint32_t readout_end = places.wide_projection + spela_wide_bytes(units);
    const uint32_t learning_end = places.filter_sums + 4U * filters->inputs;
    uint32_t end = map_end > readout_end ? map_end : readout_end;
    end = end > learning_end ? end : learning_end;
    places.bytes = aligned(end);
    return places;
}

/** Whether sides can be walked along an axis of such a length. */
static bool sides_are_valid(uint32_t length, uint32_t kernel, uint32_t stride, uint32_t pool,
                            uint32_t grid) {
    if (length < 1U || kernel % 2U != 1U || kernel > KERNEL_MAX || stride < 1U ||
        stride > STRIDE_MAX || pool < 1U || pool > POOL_MAX || grid < 1U) {
        return false;
    }
    return (length + stride - 1U) / stride / pool >= grid;
}

bool spela_layer_convolution_is_valid(const spela_model_t *model, uint32_t index, uint32_t inputs) {
    const spela_layer_t *const layer = &model->layers[index];
    const spela_window_t *const window = layer->window;
    if (window == NULL || index + 1U >= model->layer_count ||
        !SPELA_IS_READOUT(&model->layers[index + 1U]) ||
        (index != 0U && !SPELA_IS_READOUT(&model->layers[index - 1U])) || model->batch != 1U ||
        model->front != NULL || spela_has_flag(model, (uint32_t)SPELA_FLAG_BIAS)) {
        return false;
    }
    const spela_sides_t kernel = window->kernel;
    const spela_sides_t grid = window->grid;
    if (window->channels == 0U ||
        !sides_are_valid(window->rows, kernel.rows, window->stride.rows, window->pool.rows,
                         grid.rows) ||
        !sides_are_valid(window->columns, kernel.columns, window->stride.columns,
                         window->pool.columns, grid.columns)) {
        return false;
    }
    /* rows * columns < 2^32; the other products follow from numbers that were found small */
    const uint32_t area = (uint32_t)window->rows * window->columns;
    return area <= VALUES_MAX && area * window->channels <= VALUES_MAX &&
           (inputs == 0U || area * window->channels == inputs) &&
           layer->inputs == spela_patch(window) &&
           spela_positions(window) * layer->units <= VALUES_MAX &&
           spela_cell_values(layer) == model->layers[index + 1U].inputs &&
           model->layers[index + 1U].units <= READOUT_UNITS_MAX;
}

uint32_t spela_map_inputs(const spela_layer_t *layer) {
    return spela_positions(layer->window) * layer->units;
}

void spela_lay_out_maps(const spela_model_t *model, spela_maps_t *maps, uint32_t *used) {
    uint32_t values[2] = {0U, 0U};
    uint32_t scratch = 0U;
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        const spela_layer_t *const layer = &model->layers[i];
        if (SPELA_IS_CONVOLUTION(layer)) {
            uint32_t *const most = &values[i / 2U % 2U];
            const uint32_t own = spela_map_inputs(layer);
            const uint32_t bytes = spela_places(layer, &model->layers[i + 1U]).bytes;
            *most = *most > own ? *most : own;
            scratch = scratch > bytes ? scratch : bytes;
        }
    }
    const uint32_t greater = values[0] > values[1] ? values[0] : values[1];
    maps->map_offset[0] = *used;
    maps->map_offset[1] = maps->map_offset[0] + aligned(2U * values[0]);
    maps->places_offset = maps->map_offset[1] + aligned(2U * values[1]);
    maps->scratch_offset = maps->places_offset + (SPELA_LEARNS(model) ? aligned(greater) : 0U);
    *used = maps->scratch_offset;
    maps->end = maps->scratch_offset + scratch;
}

const int8_t *spela_run_layer_convolution(const spela_t *network, uint32_t index, const int8_t *map,
                                          bool learns) {
    const spela_layer_t *const layer = spela_layer(network, index);
    spela_maps_t *const maps = spela_maps(network);
    const spela_places_t places = spela_places(layer, layer + 1);
    const spela_position_t room = {spela_at(network, maps->scratch_offset + places.wide_patch),
                                   spela_at(network, maps->scratch_offset + places.sums)};
    int16_t *const pooled = spela_at(network, maps->map_offset[index / 2U % 2U]);
    spela_convolve(network->model.pointer, layer, spela_weights(network, index), map, &room, pooled,
                   learns ? spela_at(network, maps->places_offset) : NULL);
    maps->map_shift = spela_narrow(pooled, spela_map_inputs(layer));
    return (const int8_t *)pooled;
}

spela_output_t spela_run_readout(const spela_t *network, uint32_t index, const int8_t *map) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const spela_layer_t *const filters = layer - 1;
    spela_maps_t *const maps = spela_maps(network);
    const spela_places_t places = spela_places(filters, layer);
    int32_t *const cells = spela_at(network, maps->scratch_offset + places.cells);
    int8_t *const values = (int8_t *)cells; /* value i lies before the number i + 1 */
    int16_t *const wide = spela_at(network, maps->scratch_offset + places.wide_cells);
    int32_t *const sums = spela_at(network, maps->scratch_offset + places.tangent);
    int8_t *const activation = spela_at(network, network->layers[index].activation_offset);
    const spela_shape_t shape = spela_weight_shape(layer);
    spela_sum_cells(filters, map, cells);
    maps->cell_shift = spela_block(cells, layer->inputs, values);
    spela_widen(values, layer->inputs, wide);
    spela_dense_int8(spela_weights(network, index), wide, &shape, sums);
    spela_output_t output = {spela_block(sums, layer->units, activation), 0U};
    for (uint32_t j = 0U; j < layer->units; j++) {
        output.squared_norm += (uint32_t)(activation[j] * activation[j]); /* <= 2^20 */
    }
    spela_widen(activation, layer->units,
                spela_at(network, maps->scratch_offset + places.wide_projection));
    return output;
}

int16_t *spela_projection(const spela_t *network, uint32_t index) {
    const spela_layer_t *const layer = spela_layer(network, index);
    return spela_at(network, spela_maps(network)->scratch_offset +
                                 spela_places(layer - 1, layer).wide_projection);
}
