/* SPDX-License-Identifier: Apache-2.0 */
/** The three functions of a store over Zephyr's flash map: its context is a struct flash_area. */
#include "spela_store.h"

#include <zephyr/storage/flash_map.h>

bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes) {
    return flash_area_erase(store->context, (off_t)address, bytes) == 0;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    return flash_area_write(store->context, (off_t)address, data, store->unit_bytes) == 0;
}

bool spela_flash_read(const spela_store_t *store, uint32_t address, uint32_t *data,
                      uint32_t bytes) {
    return flash_area_read(store->context, (off_t)address, data, bytes) == 0;
}
