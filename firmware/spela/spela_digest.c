/* SPDX-License-Identifier: Apache-2.0 */
/** CRC-32 of the learned state (docs/arithmetic.md, section 7). */
#include "spela_network.h"

/* The reflected polynomial is 0xEDB88320; four bits at a time. */
uint32_t spela_crc_bytes(uint32_t crc, const void *data, size_t count) {
    static const uint32_t table[16] = {
        0x00000000U, 0x1DB71064U, 0x3B6E20C8U, 0x26D930ACU, 0x76DC4190U, 0x6B6B51F4U,
        0x4DB26158U, 0x5005713CU, 0xEDB88320U, 0xF00F9344U, 0xD6D6A3E8U, 0xCB61B38CU,
        0x9B64C2B0U, 0x86D3D2D4U, 0xA00AE278U, 0xBDBDF21CU,
    };
    const uint8_t *const bytes = data;
    for (size_t i = 0U; i < count; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15U];
        crc = (crc >> 4) ^ table[crc & 15U];
    }
    return crc;
}

uint32_t spela_crc_word(uint32_t crc, uint32_t word) {
    uint8_t bytes[4];
    for (uint32_t i = 0U; i < 4U; i++) {
        bytes[i] = (uint8_t)(word >> (8U * i));
    }
    return spela_crc_bytes(crc, bytes, sizeof bytes);
}

uint32_t spela_crc_words(uint32_t crc, uint32_t first, uint32_t second) {
    return spela_crc_word(spela_crc_word(crc, first), second);
}

/** The pending updates of a layer: their number, then the inputs and multipliers of each. */
static uint32_t crc_pending(const spela_t *network, uint32_t index, uint32_t crc) {
    const spela_layer_t *const layer = spela_layer(network, index);
    const uint32_t stride = spela_stride(network->model.pointer);
    const uint32_t pending = network->layers[index].pending;
    crc = spela_crc_word(crc, pending);
    for (uint32_t k = 0U; k < pending; k++) {
        const int8_t *const inputs = spela_kept(network, index) + 4U * k;
        const int16_t *const multipliers = spela_multipliers(network, index) + k;
        for (uint32_t i = 0U; i < layer->inputs; i++) {
            const uint8_t input = (uint8_t)inputs[(i / 4U) * 4U * stride + i % 4U];
            crc = spela_crc_bytes(crc, &input, 1U);
        }
        for (uint32_t j = 0U; j < layer->units; j++) {
            const uint16_t multiplier = (uint16_t)multipliers[j * stride];
            const uint8_t bytes[2] = {(uint8_t)multiplier, (uint8_t)(multiplier >> 8)};
            crc = spela_crc_bytes(crc, bytes, sizeof bytes);
        }
    }
    return crc;
}

#ifdef SPELA_WITH_MEMORY_IN_FLASH
/** What of each class is in the memory; with UINT32_MAX the digest is 0. */
static uint32_t crc_memory_flash(const spela_t *network, uint32_t crc) {
    const spela_model_t *const model = network->model.pointer;
    for (uint32_t c = 0U; c < model->classes; c++) {
        for (uint32_t slot = 0U; slot < spela_kept_count(network, c); slot++) {
            const int8_t *const sample = spela_read_slot(network, c, slot);
            if (sample == NULL) {
                return UINT32_MAX;
            }
            crc = spela_crc_bytes(crc, sample, spela_slot_bytes(model));
        }
    }
    return crc;
}
#endif

#ifdef SPELA_WITH_CONTINUAL
/** The table of classes, the limits if they follow, the deviations if there are any, then what of
 * each class is in the memory. */
static uint32_t crc_classes(const spela_t *network, uint32_t crc) {
    const spela_model_t *const model = network->model.pointer;
    const spela_class_t *const classes = spela_classes(network);
    for (uint32_t c = 0U; c < model->classes; c++) {
        crc = spela_crc_words(crc, classes[c].seen, classes[c].is_active);
    }
    for (uint32_t i = 0U; spela_follows(model) && i < spela_exits(model); i++) {
        crc = spela_crc_word(crc, (uint32_t)spela_limits(network)[i]);
    }
    if (SPELA_HAS_MEANS(model)) {
        crc = spela_crc_bytes(crc, spela_deviations(network), spela_deviation_bytes(model));
    }
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    if (SPELA_KEEPS_IN_FLASH(model)) {
        return crc_memory_flash(network, crc);
    }
#endif
    for (uint32_t c = 0U; c < model->classes; c++) {
        crc = spela_crc_bytes(crc, spela_slot(network, c, 0U),
                              spela_kept_count(network, c) * spela_slot_bytes(model));
    }
    return crc;
}
#endif

uint32_t spela_digest(const spela_t *network) {
    if (network == NULL) {
        return 0U;
    }
    uint32_t crc =
        spela_crc_words(UINT32_C(0xFFFFFFFF), network->dither_state, network->counters.samples);
    for (uint16_t i = 0U; i < network->model.pointer->layer_count; i++) {
        spela_layer_view_t view;
        (void)spela_view(network, i, &view); /* i is a layer: it cannot fail */
        crc = spela_crc_words(crc, view.updates, view.halvings);
        crc = spela_crc_bytes(crc, view.weights, view.weight_bytes);
        if (SPELA_SUMS_UPDATES(network->model.pointer)) {
            crc = crc_pending(network, i, crc);
        }
    }
#ifdef SPELA_WITH_CONTINUAL
    if (SPELA_IS_CONTINUAL(network->model.pointer)) {
        crc = crc_classes(network, crc);
    }
#endif
    return ~crc;
}
