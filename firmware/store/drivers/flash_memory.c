/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A store in memory that the core can write: on Arm's FPGA images, whose code memory is RAM that a
 * debugger loads, and on simulated boards. It lasts as long as that memory does.
 *
 * It erases and programs by plain stores, at once, and never wears out. What real flash does not
 * forgive it refuses: a unit that is programmed twice, and addresses that are not aligned.
 */
#include "spela_store.h"

#define ERASED UINT32_C(0xFFFFFFFF)

bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes) {
    volatile uint32_t *const words = (volatile uint32_t *)(uintptr_t)address;
    if (address % store->unit_bytes != 0U || bytes % store->unit_bytes != 0U) {
        return false;
    }
    for (uint32_t i = 0U; i < bytes / 4U; i++) {
        words[i] = ERASED;
    }
    return true;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    volatile uint32_t *const words = (volatile uint32_t *)(uintptr_t)address;
    if (address % store->unit_bytes != 0U) {
        return false;
    }
    for (uint32_t i = 0U; i < store->unit_bytes / 4U; i++) {
        if (words[i] != ERASED) {
            return false;
        }
        words[i] = data[i];
    }
    return true;
}

bool spela_flash_read(const spela_store_t *store, uint32_t address, uint32_t *data,
                      uint32_t bytes) {
    const volatile uint32_t *const words = (const volatile uint32_t *)(uintptr_t)address;
    (void)store;
    for (uint32_t i = 0U; i < bytes / 4U; i++) {
        data[i] = words[i];
    }
    return true;
}
