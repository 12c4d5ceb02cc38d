/* SPDX-License-Identifier: Apache-2.0 */
/** The store's flash on a board that has none for it: every call fails. */
#include "spela_store.h"

bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes) {
    (void)store;
    (void)address;
    (void)bytes;
    return false;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    (void)store;
    (void)address;
    (void)data;
    return false;
}

bool spela_flash_read(const spela_store_t *store, uint32_t address, uint32_t *data,
                      uint32_t bytes) {
    (void)store;
    (void)address;
    (void)data;
    (void)bytes;
    return false;
}
