/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Flash as it is when the power fails: words that were half programmed and blocks that were half
 * erased, some of which read differently each time. It does not forgive what the parts do not: a
 * unit programmed twice or never erased, bits set from 0 to 1, addresses that are not aligned.
 */
#ifndef FLASH_MODEL_H
#define FLASH_MODEL_H

#include "spela_store.h"

#define FLASH_BYTES_MAX  0x18000U
#define FLASH_BLOCKS_MAX 8U

typedef struct {
    const char *name;
    uint32_t unit_bytes;
    bool has_ecc; /* a torn unit may not be readable, and cannot be programmed again */
    spela_slot_t slots[2];
    uint32_t block_count;
    uint32_t blocks[FLASH_BLOCKS_MAX + 1U]; /* where they begin; the last: where they end */
} flash_part_t;

/* How an operation is torn. */
enum {
    TEAR_BEFORE,     /* nothing was done */
    TEAR_AFTER,      /* all was done; an erase is weak all the same */
    TEAR_MIX,        /* some bits were changed */
    TEAR_PREFIX,     /* the first bytes or units were changed */
    TEAR_UNSTABLE,   /* the bits to be changed read as they like */
    TEAR_UNREADABLE, /* with ECC only */
    TEAR_KINDS
};

/* Their units, and the number and proportions of their blocks, are those of the chips. Blocks are
 * shorter, so that a small network's state spans several, and the proof takes seconds. */
extern const flash_part_t flash_parts[];
extern const uint32_t flash_part_count;

/* Starts with a part of which every unit was erased. */
void flash_start(const flash_part_t *part, uint64_t seed);

/* Lets the power fail at the operation after this many more, in this way; UINT32_MAX: never. */
void flash_cut_after(uint32_t operations, uint32_t tear);

/* Whether it has failed: then nothing works until flash_power_on. */
bool flash_is_dead(void);
bool flash_died_erasing(void);
void flash_power_on(void);

/* Erase and program operations since flash_start, those cut included. */
uint32_t flash_operations(void);

/* Keeps what the flash holds, and brings it back. */
void flash_keep(uint32_t place);
void flash_restore(uint32_t place);

/* Lets the program operation after this many more report success without doing anything. */
void flash_ignore_after(uint32_t programs);

/* Flips a bit as the slots lie in memory, one behind the other; at once, or after so many more
 * calls of spela_flash_read. */
void flash_flip(uint32_t address, uint32_t bit);
void flash_flip_after_reads(uint32_t address, uint32_t bit, uint32_t reads);
uint32_t flash_reads(void);

/* What the flash holds, from the first slot in memory to the end of the second. */
const uint8_t *flash_bytes(void);
uint32_t flash_size(void);
void flash_fill(const uint8_t *bytes);

/* A number below `bound`. */
uint32_t flash_random(uint32_t bound);

#endif
