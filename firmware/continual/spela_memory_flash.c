/* SPDX-License-Identifier: Apache-2.0 */
/** The slots of a memory of samples in flash (docs/continual.md): where each one's sample lies. */
#include "spela_continual.h"

#ifdef SPELA_WITH_MEMORY_IN_FLASH

#include "spela_memory_ring.h"

const uint8_t spela_runtime_for_memory_in_flash = 1U;

uint32_t spela_memory_flash_bytes(const spela_model_t *model) {
    return (uint32_t)sizeof(spela_ring_t) + 4U * spela_record_words(model) +
           spela_slot_count(model) * (uint32_t)sizeof(uint16_t);
}

int8_t *spela_flash_sample(const spela_t *network) {
    return (int8_t *)spela_record(network);
}

static uint16_t *place_of(const spela_t *network, uint32_t label, uint32_t slot) {
    return &spela_slot_places(network)[label * network->model.pointer->continual->capacity + slot];
}

/** Whether a slot has a sample at the start. */
static bool has_factory_sample(const spela_model_t *model, uint32_t label, uint32_t slot) {
    const spela_continual_t *const continual = model->continual;
    return continual->memory != NULL && label < continual->known && slot < continual->seen[label];
}

static const int8_t *factory_sample(const spela_model_t *model, uint32_t label, uint32_t slot) {
    const int8_t *const samples = model->continual->memory;
    return samples + spela_memory_bytes(model, label) + slot * spela_slot_bytes(model);
}

void spela_restart_memory_flash(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    spela_find_head(network);
    spela_clear_record(network);
    for (uint32_t c = 0U; c < model->classes; c++) {
        for (uint32_t slot = 0U; slot < model->continual->capacity; slot++) {
            *place_of(network, c, slot) =
                (uint16_t)(has_factory_sample(model, c, slot) ? SPELA_PLACE_FACTORY
                                                              : SPELA_PLACE_NONE);
        }
    }
}

const int8_t *spela_read_slot(const spela_t *network, uint32_t label, uint32_t slot) {
    const uint32_t place = *place_of(network, label, slot);
    if (place == SPELA_PLACE_FACTORY) {
        return factory_sample(network->model.pointer, label, slot);
    }
    return place != SPELA_PLACE_NONE && spela_read_record(network, place)
               ? spela_flash_sample(network)
               : NULL;
}

bool spela_write_slot(const spela_t *network, uint32_t label, uint32_t slot) {
    return spela_append_record(network, place_of(network, label, slot));
}

bool spela_load_slot(const spela_t *network, uint32_t label, uint32_t slot) {
    const spela_model_t *const model = network->model.pointer;
    uint16_t *const place = place_of(network, label, slot);
    if (has_factory_sample(model, label, slot)) {
        const int8_t *const sample = spela_flash_sample(network);
        const int8_t *const factory = factory_sample(model, label, slot);
        uint32_t same = 0U;
        while (same < spela_slot_bytes(model) && sample[same] == factory[same]) {
            same++;
        }
        if (same == spela_slot_bytes(model)) {
            *place = (uint16_t)SPELA_PLACE_FACTORY;
            return true;
        }
    }
    return spela_find_record(network, place) || spela_write_slot(network, label, slot);
}

void spela_clear_slots(const spela_t *network, uint32_t label) {
    for (uint32_t slot = 0U; slot < network->model.pointer->continual->capacity; slot++) {
        *place_of(network, label, slot) = (uint16_t)SPELA_PLACE_NONE;
    }
}

void spela_note_failure(const spela_t *network) {
    spela_ring(network)->has_failed = 1U;
}

spela_status_t spela_take_failure(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    if (!SPELA_IS_CONTINUAL(model) || !SPELA_KEEPS_IN_FLASH(model)) {
        return SPELA_OK;
    }
    const bool has_failed = spela_ring(network)->has_failed != 0U;
    spela_ring(network)->has_failed = 0U;
    return has_failed ? SPELA_ERROR_FLASH : SPELA_OK;
}

#endif /* SPELA_WITH_MEMORY_IN_FLASH */
