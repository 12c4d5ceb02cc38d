/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The ring of blocks that a memory of samples is in flash (docs/continual.md). Private to it.
 *
 * A sample that is kept is appended as a record to the block at the head: the sample, padded, and
 * its CRC. Where the record of a slot lies stands in RAM alone, so that nothing refers to what a
 * power cut has torn. When the head is full, the block behind it is erased and becomes the head;
 * and what slots still have in the next one is moved there at once. So the block behind the head is
 * always one that nothing refers to. A load refers to what lies in the ring already, as far as it
 * was surely written to its end.
 *
 * Each unit is programmed once after an erase, in full, and read back.
 */
#ifndef SPELA_MEMORY_RING_H
#define SPELA_MEMORY_RING_H

#include "spela_continual.h"
#include "spela_network.h"
#include "spela_store.h"

#define SPELA_ERASED             UINT32_C(0xFFFFFFFF)
#define SPELA_BLOCK_HEADER_WORDS 2U               /**< a block's number, and that inverted */
#define SPELA_PLACE_NONE         UINT32_C(0xFFFF) /**< of a slot's sample: there is none */
#define SPELA_PLACE_FACTORY      UINT32_C(0xFFFE) /**< in the model's tables */

/** The ring. In the arena, a record and the places of all slots' samples follow. */
typedef struct {
    uint32_t number; /**< of the head: each block that is erased has the next one */
    uint16_t head;   /**< which block that is */
    uint16_t used;   /**< records in it, those included that flash did not take */
    uint16_t has_failed;
    uint16_t is_sealed; /**< something was programmed behind its last record */
    uint32_t found;     /**< the record that a load found last */
} spela_ring_t;

/* The arena. */

static inline spela_ring_t *spela_ring(const spela_t *network) {
    return spela_slot(network, 0U, 0U);
}

static inline const spela_memory_flash_t *spela_ring_flash(const spela_model_t *model) {
    return model->continual->flash;
}

/** Words of a record: of a sample, padded, and its CRC. */
static inline uint32_t spela_record_words(const spela_model_t *model) {
    return spela_slot_bytes(model) / 4U + 1U;
}

static inline uint32_t spela_slot_count(const spela_model_t *model) {
    return (uint32_t)model->classes * model->continual->capacity;
}

/** A record in RAM: on its way to flash, or from there. */
static inline uint32_t *spela_record(const spela_t *network) {
    return (uint32_t *)(void *)&spela_ring(network)[1];
}

/** Where the samples of all slots lie, class by class: a record's number, or a PLACE. */
static inline uint16_t *spela_slot_places(const spela_t *network) {
    return (uint16_t *)(void *)&spela_record(network)[spela_record_words(network->model.pointer)];
}

/* spela_memory_ring.c: where records lie, and what is written. */

/** Records of a block. */
uint32_t spela_block_records(const spela_model_t *model);

uint32_t spela_block_address(const spela_memory_flash_t *flash, uint32_t block);

/** Of a record by its number, block by block. */
uint32_t spela_record_address(const spela_model_t *model, uint32_t record);

/** The block that becomes the head next. */
uint32_t spela_behind_head(const spela_t *network);

/** The CRC of the sample of the record in RAM. */
uint32_t spela_record_crc(const spela_t *network);

/** Leaves nothing of a sample in RAM. */
void spela_clear_record(const spela_t *network);

/** Takes a record to RAM; false if it is not what was written, and then zeros are there. */
bool spela_read_record(const spela_t *network, uint32_t record);

/** Makes room for the record in RAM, appends it with its CRC, and has a slot refer to it.
 *  @return false: flash refuses, and the slot is as it was */
bool spela_append_record(const spela_t *network, uint16_t *place);

/* spela_memory_ring_find.c: what a start finds. */

/** Goes on behind the block that was erased last, before a reset or a power cut as well, so that
 *  all blocks wear alike. */
void spela_find_head(const spela_t *network);

/** Looks for the record in RAM in the ring, where it may lie since before a reset or a power cut,
 *  and has a slot refer to it; false: it is not there, as far as is sure. */
bool spela_find_record(const spela_t *network, uint16_t *place);

#endif /* SPELA_MEMORY_RING_H */
