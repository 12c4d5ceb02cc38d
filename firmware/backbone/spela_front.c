/* SPDX-License-Identifier: Apache-2.0 */
/** The frozen network in front of the layers, and the scaling of its features. */
#include "spela_front.h"

#include "spela_network.h"

#define BINARY32_EXPONENT UINT32_C(0x7F800000) /* all ones: infinite, or not a number */

#ifdef SPELA_WITH_BACKBONE
const uint8_t spela_runtime_for_backbone = 1U;
#endif

static bool is_finite(uint32_t binary32) {
    return (binary32 & BINARY32_EXPONENT) != BINARY32_EXPONENT;
}

#ifdef SPELA_WITH_TAPS
const uint8_t spela_runtime_for_taps = 1U;

/** The operator that writes what layer `index` reads: a tap, or the last one.
 *  @param end  set to the number of operators up to it */
static const spela_operator_t *writer_of(const spela_backbone_t *backbone, uint32_t index,
                                         uint32_t *end) {
    uint32_t taps = 0U;
    uint32_t i = 0U;
    while (i < backbone->operator_count - 1U) {
        if (backbone->operators[i].kind == (uint8_t)SPELA_OPERATOR_TAP) {
            if (taps == index) {
                break;
            }
            taps++;
        }
        i++;
    }
    *end = i + 1U;
    return &backbone->operators[i];
}

/** Whether what each tap writes is what a layer reads, and no later operator needs the sample. */
static bool taps_are_valid(const spela_model_t *model) {
    const spela_backbone_t *const backbone = model->front->backbone;
    uint32_t taps = 0U;
    for (uint32_t i = 0U; i < backbone->operator_count; i++) {
        const spela_operator_t *const op = &backbone->operators[i];
        if (op->kind == (uint8_t)SPELA_OPERATOR_TAP) {
            if (taps + 1U >= model->layer_count || !SPELA_IS_TAP(&model->layers[taps]) ||
                model->layers[taps].inputs != op->output.channels) {
                return false;
            }
            taps++;
        }
        if (taps != 0U && (op->source == SPELA_SAMPLE || op->other == SPELA_SAMPLE)) {
            return false;
        }
    }
    return !SPELA_IS_TAP(&model->layers[taps]) && model->layers[taps].inputs == backbone->features;
}
#endif

bool spela_front_is_valid(const spela_model_t *model) {
    const spela_front_t *const front = model->front;
    const uint32_t inputs = spela_layer_inputs(model);
    if (front->backbone == NULL || front->scalings == NULL ||
        !spela_backbone_is_valid(front->backbone) ||
        (front->scaling_count != 1U && front->scaling_count != inputs)) {
        return false;
    }
#ifdef SPELA_WITH_TAPS
    if (SPELA_IS_TAP(&model->layers[0]) ? !taps_are_valid(model)
                                        : front->backbone->features != inputs) {
        return false;
    }
#else
    if (front->backbone->features != inputs) {
        return false;
    }
#endif
    for (uint32_t i = 0U; i < front->scaling_count; i++) {
        if (!is_finite(front->scalings[i].offset) || !is_finite(front->scalings[i].scale)) {
            return false;
        }
    }
    return true;
}

uint32_t spela_front_inputs(const spela_front_t *front) {
    return front->backbone->inputs;
}

uint32_t spela_front_bytes(const spela_front_t *front) {
    return front->backbone->arena_bytes;
}

/** Where a sample's features are kept for the calls that mean the same sample. */
static int8_t *kept(const spela_t *network) {
    return spela_at(network, network->features_offset);
}

static void keep(const spela_t *network, uint32_t first, uint32_t count, const int8_t *computed) {
    int8_t *const features = kept(network) + first;
    for (uint32_t i = 0U; i < count; i++) {
        features[i] = computed[i];
    }
}

/** The backbone's arena, right behind the features. */
static int8_t *maps(const spela_t *network) {
    const uint32_t features = spela_layer_inputs(network->model.pointer);
    return spela_at(network, network->features_offset + ((features + 7U) & ~UINT32_C(7)));
}

#ifdef SPELA_WITH_TAPS
#define MAPS_LOST UINT32_C(0xFFFFFFFF) /* they were overwritten, and operators are left */

/** How many operators are still to run for the sample in hand; NULL if all run at once. */
static uint32_t *left_of(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    if (!SPELA_IS_TAP(&model->layers[0])) {
        return NULL;
    }
    spela_progress_t *const progress = spela_at(
        network, (uint32_t)(sizeof(spela_t) + model->layer_count * sizeof(spela_layer_state_t)));
    return &progress->left;
}

bool spela_can_go_on(const spela_t *network) {
    const uint32_t *const left = left_of(network);
    return left == NULL || *left != MAPS_LOST;
}

/** Runs what is missing for layer `index`, tap by tap. */
static void compute_parts(const spela_t *network, const int8_t *sample, uint32_t index,
                          uint32_t *left) {
    const spela_model_t *const model = network->model.pointer;
    const spela_backbone_t *const backbone = model->front->backbone;
    int8_t *const arena = maps(network);
    uint32_t first = 0U; /* of the features */
    *left = sample != NULL ? backbone->operator_count : *left;
    for (uint32_t k = 0U; k <= index && spela_reads_inputs(model, k); k++) {
        uint32_t end;
        const spela_operator_t *const op = writer_of(backbone, k, &end);
        const uint32_t count = model->layers[k].inputs;
        const uint32_t done = backbone->operator_count - *left;
        if (end > done) {
            const int8_t *const last = spela_backbone_run(backbone, sample, arena, done, end);
            keep(network, first, count,
                 SPELA_IS_TAP(&model->layers[k]) ? &arena[op->target] : last);
            *left = backbone->operator_count - end;
        }
        first += count;
    }
}
#endif

void spela_compute(const spela_t *network, const int8_t *sample, uint32_t index) {
    const spela_backbone_t *const backbone = network->model.pointer->front->backbone;
#ifdef SPELA_WITH_TAPS
    uint32_t *const left = left_of(network);
    if (left != NULL) {
        compute_parts(network, sample, index, left);
        return;
    }
#endif
    (void)index;
    if (sample != NULL) {
        keep(network, 0U, backbone->features,
             spela_backbone_run(backbone, sample, maps(network), 0U, backbone->operator_count));
    }
}

/** The feature that stands for 0 among those that a layer reads. */
static int32_t zero_point_of(const spela_t *network, uint32_t index) {
    const spela_front_t *const front = network->model.pointer->front;
#ifdef SPELA_WITH_TAPS
    if (SPELA_IS_TAP(spela_layer(network, index))) {
        uint32_t end;
        return writer_of(front->backbone, index, &end)->fill;
    }
#endif
    (void)index;
    return front->zero_point;
}

/** Feature i, less the one that stands for 0, as an input. */
static int8_t scaled(const spela_front_t *front, uint32_t i, int32_t value) {
    return spela_quantize(value, &front->scalings[front->scaling_count == 1U ? 0U : i]);
}

void spela_read_features(const spela_t *network, uint32_t index, uint32_t first, uint32_t count) {
    const spela_front_t *const front = network->model.pointer->front;
    const int8_t *const features = kept(network) + first;
    int16_t *const wide = spela_wide(network, index);
    const int32_t zero_point = zero_point_of(network, index);
#ifdef SPELA_WITH_TAPS
    spela_compute(network, NULL, index); /* nothing, unless the call leaves early */
#endif
    for (uint32_t i = 0U; i < count; i++) {
        spela_set_input(wide, i, scaled(front, first + i, features[i] - zero_point));
    }
    for (uint32_t i = count; i < spela_padded(count); i++) {
        spela_set_input(wide, i, 0);
    }
}

#ifdef SPELA_WITH_CONTINUAL
void spela_write_inputs(const spela_t *network, int8_t *inputs) {
    const spela_model_t *const model = network->model.pointer;
    const int8_t *const features = kept(network);
    const uint32_t count = spela_layer_inputs(model);
    uint32_t index = 0U; /* of the layer that reads a feature */
    uint32_t end = SPELA_IS_TAP(&model->layers[0]) ? model->layers[0].inputs : count;
    for (uint32_t i = 0U; i < count; i++) {
        if (i == end) {
            index++;
            end += model->layers[index].inputs;
        }
        inputs[i] = scaled(model->front, i, features[i] - zero_point_of(network, index));
    }
}
#endif

/* cppcheck-suppress constParameterPointer ; it writes to the arena, which the network begins */
spela_status_t spela_features(spela_t *network, const int8_t *sample, size_t inputs,
                              const int8_t **features) {
    const spela_status_t status = spela_check_sample(network, sample, inputs);
    if (status != SPELA_OK) {
        return status;
    }
    if (features == NULL || network->model.pointer->front == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    spela_compute(network, inputs == 0U ? NULL : sample, network->model.pointer->layer_count - 1U);
    *features = kept(network);
    return SPELA_OK;
}

/* cppcheck-suppress constParameterPointer ; it writes to the arena, which the network begins */
spela_status_t spela_recall(spela_t *network, const int8_t *features, size_t count) {
    if (network == NULL || features == NULL || network->model.pointer->front == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    if (count != spela_layer_inputs(network->model.pointer)) {
        return SPELA_ERROR_SIZE;
    }
    keep(network, 0U, (uint32_t)count, features);
#ifdef SPELA_WITH_TAPS
    uint32_t *const left = left_of(network);
    if (left != NULL) {
        *left = 0U;
    }
#endif
    return SPELA_OK;
}

/* cppcheck-suppress constParameterPointer ; the caller writes to the arena */
int8_t *spela_sample(spela_t *network) {
    if (network == NULL || network->model.pointer->front == NULL) {
        return NULL;
    }
#ifdef SPELA_WITH_TAPS
    uint32_t *const left = left_of(network);
    if (left != NULL && *left != 0U) {
        *left = MAPS_LOST;
    }
#endif
    return maps(network) + network->model.pointer->front->backbone->sample_offset;
}
