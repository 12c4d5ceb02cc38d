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

bool spela_front_is_valid(const spela_front_t *front, uint32_t inputs) {
    if (front->backbone == NULL || front->scalings == NULL ||
        !spela_backbone_is_valid(front->backbone) || front->backbone->features != inputs ||
        (front->scaling_count != 1U && front->scaling_count != inputs)) {
        return false;
    }
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

/** Keeps features for the calls that mean the same sample. */
static const int8_t *keep(const spela_t *network, const int8_t *computed) {
    const uint32_t count = network->model.pointer->front->backbone->features;
    int8_t *const features = spela_at(network, network->features_offset);
    for (uint32_t i = 0U; i < count; i++) {
        features[i] = computed[i];
    }
    return features;
}

const int8_t *spela_compute(const spela_t *network, const int8_t *sample) {
    const spela_backbone_t *const backbone = network->model.pointer->front->backbone;
    return keep(network,
                spela_backbone_run(backbone, sample, spela_at(network, network->wide_offset[1])));
}

void spela_read_features(const spela_t *network, const int8_t *sample) {
    const spela_front_t *const front = network->model.pointer->front;
    const uint32_t count = front->backbone->features;
    const int8_t *const features = sample == NULL ? spela_at(network, network->features_offset)
                                                  : spela_compute(network, sample);
    int16_t *const wide = spela_wide(network, 0U);
    for (uint32_t i = 0U; i < count; i++) {
        const spela_scaling_t *const scaling =
            &front->scalings[front->scaling_count == 1U ? 0U : i];
        spela_set_input(wide, i, spela_quantize(features[i] - front->zero_point, scaling));
    }
    for (uint32_t i = count; i < spela_padded(count); i++) {
        spela_set_input(wide, i, 0);
    }
}

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
    *features =
        inputs == 0U ? spela_at(network, network->features_offset) : spela_compute(network, sample);
    return SPELA_OK;
}

/* cppcheck-suppress constParameterPointer ; it writes to the arena, which the network begins */
spela_status_t spela_recall(spela_t *network, const int8_t *features, size_t count) {
    if (network == NULL || features == NULL || network->model.pointer->front == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    if (count != network->model.pointer->front->backbone->features) {
        return SPELA_ERROR_SIZE;
    }
    (void)keep(network, features);
    return SPELA_OK;
}

/* cppcheck-suppress constParameterPointer ; the caller writes to the arena */
int8_t *spela_sample(spela_t *network) {
    if (network == NULL || network->model.pointer->front == NULL) {
        return NULL;
    }
    const uint32_t offset = network->model.pointer->front->backbone->sample_offset;
    return spela_at(network, network->wide_offset[1] + offset);
}
