/* SPDX-License-Identifier: Apache-2.0 */
#include "flash_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE   0x08000000U
#define UNITS  (FLASH_BYTES_MAX / 4U)
#define PLACES 2U
#define AT(n)  (BASE + (n))

const flash_part_t flash_parts[] = {
    /* STM32F407, a 64th of it: sectors 2 to 4 (16, 16 and 64 KB) for one slot, 5 (128 KB) for the
     * other. */
    {"stm32f4",
     4U,
     false,
     {{AT(0U), 1536U}, {AT(1536U), 2048U}},
     4U,
     {AT(0U), AT(256U), AT(512U), AT(1536U), AT(3584U)}},
    /* nRF52840: a page of 4 KB for each slot. */
    {"nrf52", 4U, false, {{AT(0U), 4096U}, {AT(4096U), 4096U}}, 2U, {AT(0U), AT(4096U), AT(8192U)}},
    /* STM32L4, a 16th of it: three pages of 2 KB for each slot. */
    {"stm32l4",
     8U,
     true,
     {{AT(384U), 384U}, {AT(0U), 384U}},
     6U,
     {AT(0U), AT(128U), AT(256U), AT(384U), AT(512U), AT(640U), AT(768U)}},
    /* RP2040: a sector of 4 KB for each slot. */
    {"rp2040",
     256U,
     false,
     {{AT(4096U), 4096U}, {AT(0U), 4096U}},
     2U,
     {AT(0U), AT(4096U), AT(8192U)}},
};
const uint32_t flash_part_count = sizeof flash_parts / sizeof *flash_parts;

enum {
    ERASED,
    PROGRAMMED,
    TORN,
    UNREADABLE
};

/* A bit reads as in `low` or as in `high`, and differs between them only where it is unstable. */
typedef struct {
    uint8_t low[FLASH_BYTES_MAX];
    uint8_t high[FLASH_BYTES_MAX];
    uint8_t condition[UNITS];
} content_t;

static const flash_part_t *part;
static content_t content;
static content_t kept[PLACES];
static uint64_t state;
static uint32_t operations;
static uint32_t cut_after;
static uint32_t tear_kind;
static uint32_t sparseness; /* of the bits that a torn operation changed */
static bool is_dead;
static bool died_erasing;
static uint32_t ignore_after;
static uint32_t reads;
static uint32_t flip_at;
static uint32_t flip_address;
static uint32_t flip_bit;

uint32_t flash_random(uint32_t bound) {
    state += UINT64_C(0x9E3779B97F4A7C15); /* splitmix64 */
    uint64_t x = state;
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((x ^ (x >> 31)) >> 32) % bound;
}

static void misuse(const char *what, uint32_t address) {
    printf("misuse of flash: %s at 0x%08X\n", what, (unsigned)address);
    exit(3);
}

void flash_start(const flash_part_t *chosen, uint64_t seed) {
    part = chosen;
    state = seed;
    memset(content.low, 0xFF, sizeof content.low);
    memset(content.high, 0xFF, sizeof content.high);
    memset(content.condition, ERASED, sizeof content.condition);
    operations = 0U;
    ignore_after = UINT32_MAX;
    reads = 0U;
    flip_at = UINT32_MAX;
    flash_power_on();
}

void flash_cut_after(uint32_t count, uint32_t tear) {
    cut_after = count;
    tear_kind = tear;
}

bool flash_is_dead(void) {
    return is_dead;
}

bool flash_died_erasing(void) {
    return died_erasing;
}

void flash_power_on(void) {
    is_dead = false;
    cut_after = UINT32_MAX;
}

uint32_t flash_operations(void) {
    return operations;
}

const uint8_t *flash_bytes(void) {
    return content.low;
}

uint32_t flash_size(void) {
    return part->blocks[part->block_count] - BASE;
}

void flash_fill(const uint8_t *bytes) {
    memcpy(content.low, bytes, flash_size());
    memcpy(content.high, bytes, flash_size());
    memset(content.condition, PROGRAMMED, flash_size() / part->unit_bytes);
}

static void copy(content_t *to, const content_t *from) {
    const uint32_t bytes = flash_size();
    memcpy(to->low, from->low, bytes);
    memcpy(to->high, from->high, bytes);
    memcpy(to->condition, from->condition, bytes / part->unit_bytes);
}

void flash_keep(uint32_t place) {
    copy(&kept[place], &content);
}

void flash_restore(uint32_t place) {
    copy(&content, &kept[place]);
}

void flash_ignore_after(uint32_t programs) {
    ignore_after = programs;
}

uint32_t flash_reads(void) {
    return reads;
}

void flash_flip(uint32_t address, uint32_t bit) {
    content.low[address - BASE] ^= (uint8_t)(1U << bit);
    content.high[address - BASE] ^= (uint8_t)(1U << bit);
}

void flash_flip_after_reads(uint32_t address, uint32_t bit, uint32_t count) {
    flip_at = reads + count;
    flip_address = address;
    flip_bit = bit;
}

/* Whether the power fails at this operation. */
static bool fails_now(bool is_erase) {
    operations++;
    if (cut_after == 0U) {
        died_erasing = is_erase;
        sparseness = 3U * flash_random(4U);
        is_dead = true;
        return true;
    }
    cut_after -= cut_after != UINT32_MAX;
    return false;
}

/* Which bits of a byte a torn operation changed: each second one, or fewer, or very few. */
static uint32_t changed_bits(void) {
    uint32_t bits = flash_random(256U);
    for (uint32_t i = 0U; i < sparseness; i++) {
        bits &= flash_random(256U);
    }
    return bits;
}

/* Moves a byte from what it is towards `target`, as far as the power lasted. */
static void tear_byte(uint32_t at, uint8_t target, uint32_t kind, bool is_prefix) {
    const uint8_t before = content.low[at];
    const uint8_t random = (uint8_t)changed_bits();
    const uint8_t mix = (uint8_t)((target & random) | (before & ~(uint32_t)random));
    uint8_t low = before;
    uint8_t high = target;
    if (kind == TEAR_BEFORE || (kind == TEAR_PREFIX && !is_prefix)) {
        high = before;
    } else if (kind == TEAR_MIX) {
        low = high = mix;
    } else if (kind != TEAR_UNSTABLE) {
        low = target;
    }
    content.low[at] = low;
    content.high[at] = high;
}

static bool slots_hold(uint32_t address, uint32_t bytes) {
    for (uint32_t i = 0U; i < 2U; i++) {
        const spela_slot_t *const slot = &part->slots[i];
        if (address >= slot->address && address - slot->address <= slot->bytes - bytes) {
            return true;
        }
    }
    return false;
}

/* Erases a block, as far as the power lasts. */
static bool erase_block(uint32_t begin, uint32_t end) {
    const uint32_t unit = part->unit_bytes;
    const bool fails = fails_now(true);
    const uint32_t prefix = begin + flash_random(end - begin);
    if (!fails) {
        memset(&content.low[begin], 0xFF, end - begin);
        memset(&content.high[begin], 0xFF, end - begin);
        memset(&content.condition[begin / unit], ERASED, (end - begin) / unit);
        return true;
    }
    if (tear_kind == TEAR_BEFORE) {
        return false;
    }
    for (uint32_t at = begin; at < end; at++) {
        tear_byte(at, 0xFFU, tear_kind, at < prefix);
        if (at % unit == 0U) {
            const bool is_readable = tear_kind != TEAR_UNREADABLE || flash_random(2U) == 0U;
            content.condition[at / unit] = is_readable ? TORN : UNREADABLE;
        }
    }
    return false;
}

bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes) {
    (void)store;
    if (is_dead) {
        return false;
    }
    uint32_t done = 0U;
    for (uint32_t i = 0U; i < part->block_count; i++) {
        if (part->blocks[i] >= address && part->blocks[i] - address < bytes) {
            if (!erase_block(part->blocks[i] - BASE, part->blocks[i + 1U] - BASE)) {
                return false;
            }
            done += part->blocks[i + 1U] - part->blocks[i];
        }
    }
    if (done != bytes || !slots_hold(address, bytes)) {
        misuse("not whole blocks of a slot are erased", address);
    }
    return true;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    const uint32_t unit = part->unit_bytes;
    const uint8_t *const bytes = (const uint8_t *)data;
    if (is_dead) {
        return false;
    }
    if (store->unit_bytes != unit || address % unit != 0U || !slots_hold(address, unit)) {
        misuse("not a unit of a slot is programmed", address);
    }
    if (ignore_after == 0U) {
        ignore_after = UINT32_MAX;
        return true;
    }
    ignore_after -= ignore_after != UINT32_MAX;
    const uint32_t first = address - BASE;
    uint8_t *const condition = &content.condition[first / unit];
    if (*condition == PROGRAMMED) {
        misuse("a unit is programmed again", address);
    }
    if (*condition != ERASED) {
        /* Only a seal that was torn, and reads as if it were not. */
        uint32_t seals =
            address - (store->slots[0].address <= address &&
                               address - store->slots[0].address < store->slots[0].bytes
                           ? store->slots[0].address
                           : store->slots[1].address);
        seals -= unit > 32U ? unit : 32U;
        if (seals >= 3U * unit) {
            misuse("what was not erased to the end is programmed", address);
        }
        if (part->has_ecc) {
            return false;
        }
    }
    const bool fails = fails_now(false);
    const uint32_t prefix = flash_random(unit);
    for (uint32_t i = 0U; i < unit; i++) {
        const uint8_t target = (uint8_t)(bytes[i] & content.low[first + i]);
        if (*condition == ERASED && target != bytes[i]) {
            misuse("a bit is programmed from 0 to 1", address);
        }
        if (!fails) {
            content.low[first + i] = content.high[first + i] = target;
        } else {
            tear_byte(first + i, target, tear_kind, i < prefix);
        }
    }
    if (!fails || tear_kind == TEAR_AFTER) {
        *condition = PROGRAMMED;
    } else if (tear_kind == TEAR_UNREADABLE) {
        *condition = UNREADABLE;
    } else if (tear_kind != TEAR_BEFORE) {
        *condition = TORN;
    }
    return !fails;
}

bool spela_flash_read(const spela_store_t *store, uint32_t address, uint32_t *data,
                      uint32_t bytes) {
    uint8_t *const to = (uint8_t *)data;
    (void)store;
    if (reads == flip_at) {
        flash_flip(flip_address, flip_bit);
    }
    reads++;
    if (address % 4U != 0U || bytes % 4U != 0U || !slots_hold(address, bytes)) {
        misuse("what is not of a slot is read", address);
    }
    if (is_dead) {
        return false;
    }
    uint32_t mood = 0U;
    for (uint32_t i = 0U; i < bytes; i++) {
        const uint32_t at = address - BASE + i;
        if (content.condition[at / part->unit_bytes] == UNREADABLE) {
            return false;
        }
        const uint8_t low = content.low[at];
        const uint8_t high = content.high[at];
        uint32_t chosen = 0U;
        if (low != high) {
            /* A unit's unstable bits read as before, as after, or each as it likes. */
            mood =
                i == 0U || at % part->unit_bytes == 0U || mood == 0U ? 1U + flash_random(3U) : mood;
            chosen = mood == 1U ? 0U : mood == 2U ? 0xFFU : flash_random(256U);
        }
        to[i] = (uint8_t)((low & ~chosen) | (high & chosen));
    }
    return true;
}
