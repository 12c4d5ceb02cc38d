/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A memory of samples in flash (docs/continual.md).
 *
 * A ring of blocks. A sample that is kept is appended as a record to the block at the head: the
 * sample, padded, and its CRC. Where the record of a slot lies stands in RAM alone, so that nothing
 * refers to what a power cut has torn. When the head is full, the block behind it is erased and
 * becomes the head; and what slots still have in the next one is moved there at once. So the block
 * behind the head is always one that nothing refers to. A load refers to what lies in the ring
 * already, as far as it was surely written to its end.
 *
 * Each unit is programmed once after an erase, in full, and read back.
 */
#include "spela_continual.h"

#include "spela_network.h"

#ifdef SPELA_WITH_MEMORY_IN_FLASH

#include "spela_store.h"

#define ERASED        UINT32_C(0xFFFFFFFF)
#define HEADER_WORDS  2U /* of a block: its number, and that inverted */
#define UNIT_MAX      256U
#define PLACE_NONE    UINT32_C(0xFFFF)
#define PLACE_FACTORY UINT32_C(0xFFFE) /* in the model's tables */

const uint8_t spela_runtime_for_memory_in_flash = 1U;

/** The ring. In the arena, the place of a sample and those of all slots follow. */
typedef struct {
    uint32_t number; /**< of the head: each block that is erased has the next one */
    uint16_t head;   /**< which block that is */
    uint16_t used;   /**< records in it, those included that flash did not take */
    uint16_t has_failed;
    uint16_t is_sealed; /* something was programmed behind its last record */
    uint32_t found;     /* the record that a load found last */
} ring_t;

/* ------------------------------------------------------------------------- the arena */

static ring_t *ring_of(const spela_t *network) {
    return spela_slot(network, 0U, 0U);
}

static const spela_memory_flash_t *flash_of(const spela_model_t *model) {
    return model->continual->flash;
}

/** Words of a record: of a sample, padded, and its CRC. */
static uint32_t record_words(const spela_model_t *model) {
    return spela_slot_bytes(model) / 4U + 1U;
}

static uint32_t slot_count(const spela_model_t *model) {
    return (uint32_t)model->classes * model->continual->capacity;
}

uint32_t spela_memory_flash_bytes(const spela_model_t *model) {
    return (uint32_t)sizeof(ring_t) + 4U * record_words(model) +
           slot_count(model) * (uint32_t)sizeof(uint16_t);
}

/** A record in RAM: on its way to flash, or from there. */
static uint32_t *record_in_ram(const spela_t *network) {
    return (uint32_t *)(void *)&ring_of(network)[1];
}

int8_t *spela_flash_sample(const spela_t *network) {
    return (int8_t *)record_in_ram(network);
}

/** Where the samples of all slots lie, class by class: a record's number, or a PLACE. */
static uint16_t *places_of(const spela_t *network) {
    return (uint16_t *)(void *)&record_in_ram(network)[record_words(network->model.pointer)];
}

static uint16_t *place_of(const spela_t *network, uint32_t label, uint32_t slot) {
    return &places_of(network)[label * network->model.pointer->continual->capacity + slot];
}

/* --------------------------------------------------------------------------- geometry */

/** Bytes in whole units. */
static uint32_t in_units(const spela_memory_flash_t *flash, uint32_t bytes) {
    const uint32_t unit = flash->store->unit_bytes;
    return (bytes + unit - 1U) / unit * unit;
}

static uint32_t header_bytes(const spela_memory_flash_t *flash) {
    return in_units(flash, 4U * HEADER_WORDS);
}

static uint32_t record_bytes(const spela_model_t *model) {
    return in_units(flash_of(model), 4U * record_words(model));
}

static uint32_t records_of_block(const spela_model_t *model) {
    const spela_memory_flash_t *const flash = flash_of(model);
    return (flash->block_bytes - header_bytes(flash)) / record_bytes(model);
}

static uint32_t block_address(const spela_memory_flash_t *flash, uint32_t block) {
    return flash->address + block * flash->block_bytes;
}

static uint32_t record_address(const spela_model_t *model, uint32_t record) {
    const spela_memory_flash_t *const flash = flash_of(model);
    const uint32_t count = records_of_block(model);
    return block_address(flash, record / count) + header_bytes(flash) +
           record % count * record_bytes(model);
}

bool spela_memory_flash_is_valid(const spela_model_t *model) {
    const spela_memory_flash_t *const flash = flash_of(model);
    if (SPELA_HAS_MEANS(model) || flash->store == NULL || flash->store->buffer == NULL) {
        return false;
    }
    const uint32_t unit = flash->store->unit_bytes;
    if (unit < 4U || unit > UNIT_MAX || (unit & (unit - 1U)) != 0U ||
        flash->block_bytes % unit != 0U || flash->block_bytes < header_bytes(flash)) {
        return false;
    }
    const uint32_t count = records_of_block(model);
    return count != 0U && flash->blocks >= 2U && flash->blocks <= PLACE_FACTORY / count &&
           (flash->blocks - 1U) * count > slot_count(model) &&
           flash->blocks <= (UINT32_MAX - flash->address) / flash->block_bytes;
}

/* ------------------------------------------------------------------------------ flash */

/** Programs words, the rest of the last unit left erased, and reads them back. */
static bool write_words(const spela_memory_flash_t *flash, uint32_t address, const uint32_t *words,
                        uint32_t count) {
    const spela_store_t *const store = flash->store;
    const uint32_t unit_words = store->unit_bytes / 4U;
    for (uint32_t done = 0U; done < count; done += unit_words) {
        for (uint32_t i = 0U; i < unit_words; i++) {
            store->buffer[i] = done + i < count ? words[done + i] : ERASED;
        }
        if (!spela_flash_program(store, address + 4U * done, store->buffer) ||
            !spela_flash_read(store, address + 4U * done, store->buffer, store->unit_bytes)) {
            return false;
        }
        uint32_t difference = 0U;
        for (uint32_t i = 0U; i < unit_words; i++) {
            difference |= store->buffer[i] ^ (done + i < count ? words[done + i] : ERASED);
        }
        if (difference != 0U) {
            return false;
        }
    }
    return true;
}

/** Of the sample of the record in RAM. */
static uint32_t record_crc(const spela_t *network) {
    return ~spela_crc_bytes(UINT32_MAX, record_in_ram(network),
                            spela_slot_bytes(network->model.pointer));
}

/** Leaves nothing of a sample in RAM. */
static void clear_record(const spela_t *network) {
    uint32_t *const record = record_in_ram(network);
    for (uint32_t i = 0U; i < record_words(network->model.pointer); i++) {
        record[i] = 0U;
    }
}

/** Takes a record to RAM; false if it is not what was written, and then zeros are there. */
static bool read_record(const spela_t *network, uint32_t record) {
    const spela_model_t *const model = network->model.pointer;
    const uint32_t words = record_words(model);
    uint32_t *const place = record_in_ram(network);
    if (spela_flash_read(flash_of(model)->store, record_address(model, record), place,
                         4U * words) &&
        place[words - 1U] == record_crc(network)) {
        return true;
    }
    clear_record(network);
    return false;
}

/** The next record of the head, which has room. A unit that was tried is not programmed again. */
static uint32_t take_record(const spela_t *network) {
    ring_t *const ring = ring_of(network);
    const uint32_t record = ring->head * records_of_block(network->model.pointer) + ring->used;
    ring->used++;
    ring->is_sealed = 0U;
    return record;
}

/** Appends the record in RAM to the head, and has a slot refer to it. */
static bool append(const spela_t *network, uint16_t *place) {
    const spela_model_t *const model = network->model.pointer;
    const uint32_t words = record_words(model);
    const uint32_t record = take_record(network);
    record_in_ram(network)[words - 1U] = record_crc(network);
    if (!write_words(flash_of(model), record_address(model, record), record_in_ram(network),
                     words)) {
        return false;
    }
    *place = (uint16_t)record;
    return true;
}

/** Reads a record through the buffer of a unit, and copies it to another unless that is the same.
 *  @param crc  set to the one that it has
 *  @return whether flash did as it was told, and that is the CRC of the sample */
static bool pass_record(const spela_t *network, uint32_t from, uint32_t to, uint32_t *crc) {
    const spela_model_t *const model = network->model.pointer;
    const spela_store_t *const store = flash_of(model)->store;
    const uint32_t words = record_words(model);
    const uint32_t unit_words = store->unit_bytes / 4U;
    uint32_t found = UINT32_MAX;
    for (uint32_t done = 0U; done < words; done += unit_words) {
        const uint32_t at = 4U * done;
        if (!spela_flash_read(store, record_address(model, from) + at, store->buffer,
                              store->unit_bytes)) {
            return false;
        }
        const uint32_t count = words - done < unit_words ? words - done : unit_words;
        const bool is_last = done + count == words;
        found = spela_crc_bytes(found, store->buffer, (size_t)4U * (is_last ? count - 1U : count));
        *crc = store->buffer[count - 1U];
        if (to != from &&
            !spela_flash_program(store, record_address(model, to) + at, store->buffer)) {
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

/* --------------------------------------------------------------------------- the ring */

static uint32_t behind_head(const spela_t *network) {
    return (ring_of(network)->head + 1U) % flash_of(network->model.pointer)->blocks;
}

/** Erases the block behind the head, which becomes the head. */
static bool begin_block(const spela_t *network) {
    const spela_memory_flash_t *const flash = flash_of(network->model.pointer);
    ring_t *const ring = ring_of(network);
    const uint32_t block = behind_head(network);
    const uint32_t header[HEADER_WORDS] = {ring->number + 1U, ~(ring->number + 1U)};
    if (!spela_flash_erase(flash->store, block_address(flash, block), flash->block_bytes) ||
        !write_words(flash, block_address(flash, block), header, HEADER_WORDS)) {
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
    const uint32_t count = records_of_block(model);
    const uint32_t first = behind_head(network) * count; /* of its records: below PLACE_FACTORY */
    uint16_t *const places = places_of(network);
    for (uint32_t i = 0U; i < slot_count(model); i++) {
        if (places[i] - first < count &&
            (ring_of(network)->used == count || !move_record(network, &places[i]))) {
            return false;
        }
    }
    return true;
}

/** Sees to it that the head has room for a record. */
static bool make_room(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    /* All blocks but one have more records than there are slots: one of them has room. */
    for (uint32_t i = 0U; i <= flash_of(model)->blocks; i++) {
        if (!clear_block(network)) {
            return false;
        }
        if (ring_of(network)->used < records_of_block(model)) {
            return true;
        }
        if (!begin_block(network)) {
            return false;
        }
    }
    return false; /* flash has refused that many records */
}

bool spela_sweep_memory_flash(const spela_t *network) {
    clear_record(network);
    for (uint32_t i = 0U; i < flash_of(network->model.pointer)->blocks; i++) {
        if (!clear_block(network) || !begin_block(network)) {
            return false;
        }
    }
    return true;
}

/** A block's number; false if it has none that is whole. */
static bool read_number(const spela_memory_flash_t *flash, uint32_t block, uint32_t *number) {
    uint32_t header[HEADER_WORDS] = {0U, 0U};
    if (!spela_flash_read(flash->store, block_address(flash, block), header, sizeof header)) {
        return false;
    }
    *number = header[0];
    return header[0] == ~header[1];
}

/** Goes on behind the block that was erased last, before a reset or a power cut as well, so that
 *  all blocks wear alike. */
static void find_head(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    const spela_memory_flash_t *const flash = flash_of(model);
    const ring_t last = {.head = (uint16_t)(flash->blocks - 1U),
                         .used = (uint16_t)records_of_block(model),
                         .is_sealed = 1U};
    ring_t *const ring = ring_of(network);
    bool is_found = false;
    *ring = last; /* it counts as full: the first sample that is kept begins a block */
    for (uint32_t block = 0U; block < flash->blocks; block++) {
        uint32_t number = 0U;
        if (read_number(flash, block, &number) &&
            (!is_found || number - ring->number - 1U < UINT32_C(0x7FFFFFFF))) {
            is_found = true;
            ring->number = number;
            ring->head = (uint16_t)block;
        }
    }
}

/** Whether programming a record was begun, as far as can be seen. */
static bool is_begun(const spela_t *network, uint32_t record) {
    const spela_model_t *const model = network->model.pointer;
    const spela_store_t *const store = flash_of(model)->store;
    if (!spela_flash_read(store, record_address(model, record), store->buffer, store->unit_bytes)) {
        return true; /* it was torn */
    }
    uint32_t common = ERASED;
    for (uint32_t i = 0U; i < store->unit_bytes / 4U; i++) {
        common &= store->buffer[i];
    }
    return common != ERASED;
}

/** Whether a record was surely written to its end: what was begun after it shows that it was, the
 *  next record or, behind the last of a block, the next block's number. */
static bool is_done(const spela_t *network, uint32_t record) {
    const spela_model_t *const model = network->model.pointer;
    const spela_memory_flash_t *const flash = flash_of(model);
    const uint32_t count = records_of_block(model);
    const uint32_t block = record / count;
    uint32_t number = 0U;
    uint32_t next = 0U;
    if (record % count + 1U < count) {
        return is_begun(network, record + 1U);
    }
    return read_number(flash, block, &number) &&
           read_number(flash, (block + 1U) % flash->blocks, &next) && next == number + 1U;
}

/** Whether a record is the one in RAM, whose CRC is set. */
static bool is_record_in_ram(const spela_t *network, uint32_t record) {
    const spela_model_t *const model = network->model.pointer;
    const uint32_t *const wanted = record_in_ram(network);
    const uint32_t address = record_address(model, record);
    for (uint32_t left = record_words(model); left != 0U; left--) { /* its CRC first */
        uint32_t word = 0U;
        if (!spela_flash_read(flash_of(model)->store, address + 4U * (left - 1U), &word,
                              sizeof word) ||
            word != wanted[left - 1U]) {
            return false;
        }
    }
    return true;
}

/**
 * Looks for the record in RAM in the ring, where it may lie since before a reset or a power cut,
 * and has a slot refer to it.
 *
 * An operation that was begun after another shows that the other was done to its end. So a record
 * is taken only if the next one in its block was begun; and none of the block behind the head,
 * whose erase may have been cut.
 */
static bool find_record(const spela_t *network, uint16_t *place) {
    const spela_model_t *const model = network->model.pointer;
    const uint32_t count = records_of_block(model);
    const uint32_t records = count * flash_of(model)->blocks;
    ring_t *const ring = ring_of(network);
    record_in_ram(network)[record_words(model) - 1U] = record_crc(network);
    for (uint32_t i = 1U; i <= records; i++) { /* a load before this wrote them in the same order */
        const uint32_t record = (ring->found + i) % records;
        if (is_record_in_ram(network, record) && record / count != behind_head(network) &&
            is_done(network, record)) {
            ring->found = record;
            *place = (uint16_t)record;
            return true;
        }
    }
    return false;
}

/* -------------------------------------------------------------------------- the slots */

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
    find_head(network);
    clear_record(network);
    for (uint32_t c = 0U; c < model->classes; c++) {
        for (uint32_t slot = 0U; slot < model->continual->capacity; slot++) {
            *place_of(network, c, slot) =
                (uint16_t)(has_factory_sample(model, c, slot) ? PLACE_FACTORY : PLACE_NONE);
        }
    }
}

const int8_t *spela_read_slot(const spela_t *network, uint32_t label, uint32_t slot) {
    const uint32_t place = *place_of(network, label, slot);
    if (place == PLACE_FACTORY) {
        return factory_sample(network->model.pointer, label, slot);
    }
    return place != PLACE_NONE && read_record(network, place) ? spela_flash_sample(network) : NULL;
}

bool spela_write_slot(const spela_t *network, uint32_t label, uint32_t slot) {
    return make_room(network) && append(network, place_of(network, label, slot));
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
            *place = (uint16_t)PLACE_FACTORY;
            return true;
        }
    }
    return find_record(network, place) || spela_write_slot(network, label, slot);
}

void spela_clear_slots(const spela_t *network, uint32_t label) {
    for (uint32_t slot = 0U; slot < network->model.pointer->continual->capacity; slot++) {
        *place_of(network, label, slot) = (uint16_t)PLACE_NONE;
    }
}

void spela_seal_memory_flash(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    ring_t *const ring = ring_of(network);
    if (ring->is_sealed == 0U && ring->used < records_of_block(model)) {
        const uint32_t seal = 0U;
        /* If flash refuses, the last record is written anew one day. */
        (void)write_words(flash_of(model), record_address(model, take_record(network)), &seal, 1U);
        ring->is_sealed = 1U;
    }
}

void spela_note_failure(const spela_t *network) {
    ring_of(network)->has_failed = 1U;
}

spela_status_t spela_take_failure(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    if (!SPELA_IS_CONTINUAL(model) || !SPELA_KEEPS_IN_FLASH(model)) {
        return SPELA_OK;
    }
    const bool has_failed = ring_of(network)->has_failed != 0U;
    ring_of(network)->has_failed = 0U;
    return has_failed ? SPELA_ERROR_FLASH : SPELA_OK;
}

#endif /* SPELA_WITH_MEMORY_IN_FLASH */
