/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flash in memory for a memory of samples and a store, in one program. It forgives nothing: a unit
 * that was programmed must be erased before it is programmed again, addresses must be aligned, and
 * what is erased must be whole blocks. One operation can be made to fail.
 */
#include "ring_flash.h"

#include <string.h>

#define ERASED    0xFFU
#define UNITS_MAX (RING_FLASH_BYTES / 4U)

static uint8_t content[RING_FLASH_BYTES];
static bool is_programmed[UNITS_MAX];
static uint32_t block_bytes;
static uint32_t misuses;
static uint32_t operations[RING_KINDS];
static uint32_t failing = RING_KINDS;
static uint32_t left;

void ring_start(uint32_t bytes_of_block) {
    memset(content, 0xA5, sizeof content); /* what was there before is nobody's */
    memset(is_programmed, 1, sizeof is_programmed);
    memset(operations, 0, sizeof operations);
    block_bytes = bytes_of_block;
    misuses = 0U;
    failing = RING_KINDS;
}

void ring_fail(uint32_t kind, uint32_t after) {
    failing = kind;
    left = after;
}

uint32_t ring_misuses(void) {
    return misuses;
}

void ring_erase_unit(uint32_t offset) {
    memset(&content[offset], ERASED, 4U);
}

uint32_t ring_operations(uint32_t kind) {
    return operations[kind];
}

const uint8_t *ring_content(void) {
    return content;
}

/* Whether this operation is the one that fails. Those that share a kind are counted together. */
static bool fails(uint32_t kind) {
    operations[kind]++;
    if (failing != kind) {
        return false;
    }
    if (left == 0U) {
        failing = RING_KINDS;
        return true;
    }
    left--;
    return false;
}

static bool is_within(uint32_t address, uint32_t bytes) {
    return address >= RING_FLASH_ADDRESS && bytes <= RING_FLASH_BYTES &&
           address - RING_FLASH_ADDRESS <= RING_FLASH_BYTES - bytes;
}

bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes) {
    const uint32_t first = address - RING_FLASH_ADDRESS;
    const bool is_refused = fails(RING_ERASE);
    const bool is_ignored = fails(RING_ERASE_IGNORED);
    if (!is_within(address, bytes) || first % block_bytes != 0U || bytes % block_bytes != 0U) {
        misuses++;
        return false;
    }
    if (!is_refused && !is_ignored) {
        memset(&content[first], ERASED, bytes);
        memset(&is_programmed[first / store->unit_bytes], 0, bytes / store->unit_bytes);
    }
    if (is_ignored) { /* what is not erased may be programmed by who does not know */
        memset(&is_programmed[first / store->unit_bytes], 0, bytes / store->unit_bytes);
    }
    return !is_refused;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    const uint32_t unit = store->unit_bytes;
    const uint32_t first = address - RING_FLASH_ADDRESS;
    const uint8_t *const bytes = (const uint8_t *)data;
    const bool is_refused = fails(RING_PROGRAM);
    const bool is_torn = fails(RING_PROGRAM_TORN);
    const bool is_ignored = fails(RING_PROGRAM_IGNORED);
    if (!is_within(address, unit) || first % unit != 0U || is_programmed[first / unit]) {
        misuses++;
        return false;
    }
    is_programmed[first / unit] = true;
    const uint32_t count = is_refused || is_ignored ? 0U : is_torn ? unit / 2U : unit;
    for (uint32_t i = 0U; i < count; i++) {
        content[first + i] = (uint8_t)(content[first + i] & bytes[i]);
    }
    return !is_refused;
}

bool spela_flash_read(const spela_store_t *store, uint32_t address, uint32_t *data,
                      uint32_t bytes) {
    const bool is_refused = fails(RING_READ);
    const bool is_wrong = fails(RING_READ_WRONG);
    (void)store;
    if (!is_within(address, bytes) || address % 4U != 0U || bytes % 4U != 0U) {
        misuses++;
        return false;
    }
    memcpy(data, &content[address - RING_FLASH_ADDRESS], bytes);
    if (is_wrong) {
        data[bytes / 8U] ^= 0x10000U;
    }
    return !is_refused;
}
