/* SPDX-License-Identifier: Apache-2.0 */
/** What is written to the ring of a memory in flash, and how room is made for it. */
#include "spela_continual.h"

#ifdef SPELA_WITH_MEMORY_IN_FLASH

#include "spela_memory_ring.h"

#define UNIT_MAX 256U

/* --------------------------------------------------------------------------- geometry */

/** Bytes in whole units. */
static uint32_t in_units(const spela_memory_flash_t *flash, uint32_t bytes) {
    const uint32_t unit = flash->store->unit_bytes;
    return (bytes + unit - 1U) / unit * unit;
}

static uint32_t header_bytes(const spela_memory_flash_t *flash) {
    return in_units(flash, 4U * SPELA_BLOCK_HEADER_WORDS);
}

static uint32_t record_bytes(const spela_model_t *model) {
    return in_units(spela_ring_flash(model), 4U * spela_record_words(model));
}

uint32_t spela_block_records(const spela_model_t *model) {
    const spela_memory_flash_t *const flash = spela_ring_flash(model);
    return (flash->block_bytes - header_bytes(flash)) / record_bytes(model);
}

uint32_t spela_block_address(const spela_memory_flash_t *flash, uint32_t block) {
    return flash->address + block * flash->block_bytes;
}

uint32_t spela_record_address(const spela_model_t *model, uint32_t record) {
    const spela_memory_flash_t *const flash = spela_ring_flash(model);
    const uint32_t count = spela_block_records(model);
    return spela_block_address(flash, record / count) + header_bytes(flash) +
           record % count * record_bytes(model);
}

uint32_t spela_behind_head(const spela_t *network) {
    return (spela_ring(network)->head + 1U) % spela_ring_flash(network->model.pointer)->blocks;
}

bool spela_memory_flash_is_valid(const spela_model_t *model) {
    const spela_memory_flash_t *const flash = spela_ring_flash(model);
    if (SPELA_HAS_MEANS(model) || flash->store == NULL || flash->store->buffer == NULL) {
        return false;
    }
    const uint32_t unit = flash->store->unit_bytes;
    if (unit < 4U || unit > UNIT_MAX || (unit & (unit - 1U)) != 0U ||
        flash->block_bytes % unit != 0U || flash->block_bytes < header_bytes(flash)) {
        return false;
    }
    const uint32_t count = spela_block_records(model);
    return count != 0U && flash->blocks >= 2U && flash->blocks <= SPELA_PLACE_FACTORY / count &&
           (flash->blocks - 1U) * count > spela_slot_count(model) &&
           flash->blocks <= (UINT32_MAX - flash->address) / flash->block_bytes;
}

/* ---------------------------------------------------------------------------- records */

/** Programs words, the rest of the last unit left erased, and reads them back. */
static bool write_words(const spela_memory_flash_t *flash, uint32_t address, const uint32_t *words,
                        uint32_t count) {
    const spela_store_t *const store = flash->store;
    const uint32_t unit_words = store->unit_bytes / 4U;
    for (uint32_t done = 0U; done < count; done += unit_words) {
        for (uint32_t i = 0U; i < unit_words; i++) {
            store->buffer[i] = done + i < count ? words[done + i] : SPELA_ERASED;
        }
        if (!spela_flash_program(store, address + 4U * done, store->buffer) ||
            !spela_flash_read(store, address + 4U * done, store->buffer, store->unit_bytes)) {
            return false;
        }
        uint32_t difference = 0U;
        for (uint32_t i = 0U; i < unit_words; i++) {
            difference |= store->buffer[i] ^ (done + i < count ? words[done + i] : SPELA_ERASED);
        }
        if (difference != 0U) {
            return false;
        }
    }
    return true;
}

uint32_t spela_record_crc(const spela_t *network) {
    return ~spela_crc_bytes(UINT32_MAX, spela_record(network),
                            spela_slot_bytes(network->model.pointer));
}

void spela_clear_record(const spela_t *network) {
    uint32_t *const record = spela_record(network);
    for (uint32_t i = 0U; i < spela_record_words(network->model.pointer); i++) {
        record[i] = 0U;
    }
}

bool spela_read_record(const spela_t *network, uint32_t record) {
    const spela_model_t *const model = network->model.pointer;
    const uint32_t words = spela_record_words(model);
    uint32_t *const place = spela_record(network);
    if (spela_flash_read(spela_ring_flash(model)->store, spela_record_address(model, record), place,
                         4U * words) &&
        place[words - 1U] == spela_record_crc(network)) {
        return true;
    }
    spela_clear_record(network);
    return false;
}

/** The next record of the head, which has room. A unit that was tried is not programmed again. */
static uint32_t take_record(const spela_t *network) {
    spela_ring_t *const ring = spela_ring(network);
    const uint32_t record = ring->head * spela_block_records(network->model.pointer) + ring->used;
    ring->used++;
    ring->is_sealed = 0U;
    return record;
}

/** Reads a record through the buffer of a unit, and copies it to another unless that is the same.
 *  @param crc  set to the one that it has
 *  @return whether flash did as it was told, and that is the CRC of the sample */
static bool pass_record(const spela_t *network, uint32_t from, uint32_t to, uint32_t *crc) {
    const spela_model_t *const model = network->model.pointer;
    const spela_store_t *const store = spela_ring_flash(model)->store;
    const uint32_t words = spela_record_words(model);
    const uint32_t unit_words = store->unit_bytes / 4U;
    uint32_t found = UINT32_MAX;
    for (uint32_t done = 0U; done < words; done += unit_words) {
        const uint32_t at = 4U * done;
        if (!spela_flash_read(store, spela_record_address(model, from) + at, store->buffer,
                              store->unit_bytes)) {
            return false;
        }
        const uint32_t count = words - done < unit_words ? words - done : unit_words;
        const bool is_last = done + count == words;
        found = spela_crc_bytes(found, store->buffer, (size_t)4U * (is_last ? count - 1U : count));
        *crc = store->buffer[count - 1U];
        if (to != from &&
            !spela_flash_program(store, spela_record_address(model, to) + at, store->buffer)) {
            return false;
        }
    }
    return ~found == *crc;
}

/** Appends a copy of a slot's record to the head, and has the slot refer to that. */
static bool move_record(const spela_t *network, uint16_t *place) {
    const uint32_t record = take_record(network);
    uint32_t crc = 0U;
    uint32_t copied = 0U;
    if (!pass_record(network, *place, record, &crc) ||
        !pass_record(network, record, record, &copied) || copied != crc) {
        return false;
    }
    *place = (uint16_t)record;
    return true;
}

/* ----------------------------------------------------------------------------- blocks */

/** Erases the block behind the head, which becomes the head. */
static bool begin_block(const spela_t *network) {
    const spela_memory_flash_t *const flash = spela_ring_flash(network->model.pointer);
    spela_ring_t *const ring = spela_ring(network);
    const uint32_t block = spela_behind_head(network);
    const uint32_t header[SPELA_BLOCK_HEADER_WORDS] = {ring->number + 1U, ~(ring->number + 1U)};
    if (!spela_flash_erase(flash->store, spela_block_address(flash, block), flash->block_bytes) ||
        !write_words(flash, spela_block_address(flash, block), header, SPELA_BLOCK_HEADER_WORDS)) {
        return false;
    }
    ring->number++;
    ring->head = (uint16_t)block;
    ring->used = 0U;
    ring->is_sealed = 1U; /* it has none */
    return true;
}

/** Moves what slots have in the block behind the head to the head. */
static bool clear_block(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    const uint32_t count = spela_block_records(model);
    const uint32_t first = spela_behind_head(network) * count; /* below SPELA_PLACE_FACTORY */
    uint16_t *const places = spela_slot_places(network);
    for (uint32_t i = 0U; i < spela_slot_count(model); i++) {
        if (places[i] - first < count &&
            (spela_ring(network)->used == count || !move_record(network, &places[i]))) {
            return false;
        }
    }
    return true;
}

/** Sees to it that the head has room for a record. */
static bool make_room(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    /* All blocks but one have more records than there are slots: one of them has room. */
    for (uint32_t i = 0U; i <= spela_ring_flash(model)->blocks; i++) {
        if (!clear_block(network)) {
            return false;
        }
        if (spela_ring(network)->used < spela_block_records(model)) {
            return true;
        }
        if (!begin_block(network)) {
            return false;
        }
    }
    return false; /* flash has refused that many records */
}

bool spela_append_record(const spela_t *network, uint16_t *place) {
    const spela_model_t *const model = network->model.pointer;
    const uint32_t words = spela_record_words(model);
    if (!make_room(network)) {
        return false;
    }
    const uint32_t record = take_record(network);
    spela_record(network)[words - 1U] = spela_record_crc(network);
    if (!write_words(spela_ring_flash(model), spela_record_address(model, record),
                     spela_record(network), words)) {
        return false;
    }
    *place = (uint16_t)record;
    return true;
}

bool spela_sweep_memory_flash(const spela_t *network) {
    spela_clear_record(network);
    for (uint32_t i = 0U; i < spela_ring_flash(network->model.pointer)->blocks; i++) {
        if (!clear_block(network) || !begin_block(network)) {
            return false;
        }
    }
    return true;
}

void spela_seal_memory_flash(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    spela_ring_t *const ring = spela_ring(network);
    if (ring->is_sealed == 0U && ring->used < spela_block_records(model)) {
        const uint32_t seal = 0U;
        /* If flash refuses, the last record is written anew one day. */
        (void)write_words(spela_ring_flash(model),
                          spela_record_address(model, take_record(network)), &seal, 1U);
        ring->is_sealed = 1U;
    }
}

#endif /* SPELA_WITH_MEMORY_IN_FLASH */
