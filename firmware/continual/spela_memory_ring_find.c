/* SPDX-License-Identifier: Apache-2.0 */
/** What a start finds in the ring of a memory in flash. */
#include "spela_continual.h"

#ifdef SPELA_WITH_MEMORY_IN_FLASH

#include "spela_memory_ring.h"

/** A block's number; false if it has none that is whole. */
static bool read_number(const spela_memory_flash_t *flash, uint32_t block, uint32_t *number) {
    uint32_t header[SPELA_BLOCK_HEADER_WORDS] = {0U, 0U};
    if (!spela_flash_read(flash->store, spela_block_address(flash, block), header, sizeof header)) {
        return false;
    }
    *number = header[0];
    return header[0] == ~header[1];
}

void spela_find_head(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    const spela_memory_flash_t *const flash = spela_ring_flash(model);
    const spela_ring_t last = {.head = (uint16_t)(flash->blocks - 1U),
                               .used = (uint16_t)spela_block_records(model),
                               .is_sealed = 1U};
    spela_ring_t *const ring = spela_ring(network);
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
    const spela_store_t *const store = spela_ring_flash(model)->store;
    if (!spela_flash_read(store, spela_record_address(model, record), store->buffer,
                          store->unit_bytes)) {
        return true; /* it was torn */
    }
    uint32_t common = SPELA_ERASED;
    for (uint32_t i = 0U; i < store->unit_bytes / 4U; i++) {
        common &= store->buffer[i];
    }
    return common != SPELA_ERASED;
}

/** Whether a record was surely written to its end: what was begun after it shows that it was, the
 *  next record or, behind the last of a block, the next block's number. */
static bool is_done(const spela_t *network, uint32_t record) {
    const spela_model_t *const model = network->model.pointer;
    const spela_memory_flash_t *const flash = spela_ring_flash(model);
    const uint32_t count = spela_block_records(model);
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
    const uint32_t *const wanted = spela_record(network);
    const uint32_t address = spela_record_address(model, record);
    for (uint32_t left = spela_record_words(model); left != 0U; left--) { /* its CRC first */
        uint32_t word = 0U;
        if (!spela_flash_read(spela_ring_flash(model)->store, address + 4U * (left - 1U), &word,
                              sizeof word) ||
            word != wanted[left - 1U]) {
            return false;
        }
    }
    return true;
}

/**
 * An operation that was begun after another shows that the other was done to its end. So a record
 * is taken only if the next one in its block was begun; and none of the block behind the head,
 * whose erase may have been cut.
 */
bool spela_find_record(const spela_t *network, uint16_t *place) {
    const spela_model_t *const model = network->model.pointer;
    const uint32_t count = spela_block_records(model);
    const uint32_t records = count * spela_ring_flash(model)->blocks;
    spela_ring_t *const ring = spela_ring(network);
    spela_record(network)[spela_record_words(model) - 1U] = spela_record_crc(network);
    for (uint32_t i = 1U; i <= records; i++) { /* a load before this wrote them in the same order */
        const uint32_t record = (ring->found + i) % records;
        if (is_record_in_ram(network, record) && record / count != spela_behind_head(network) &&
            is_done(network, record)) {
            ring->found = record;
            *place = (uint16_t)record;
            return true;
        }
    }
    return false;
}

#endif /* SPELA_WITH_MEMORY_IN_FLASH */
