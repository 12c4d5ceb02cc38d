/* SPDX-License-Identifier: Apache-2.0 */
/** What a store uses of Zephyr's flash map, declared as Zephyr documents it. */
#ifndef FLASH_MAP_H
#define FLASH_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct flash_area {
    uint8_t fa_id;
    off_t fa_off;
    size_t fa_size;
};

#define FIXED_PARTITION_ID(label) FIXED_PARTITION_##label
enum {
    FIXED_PARTITION_storage_partition = 1
};

int flash_area_open(uint8_t id, const struct flash_area **area);
int flash_area_erase(const struct flash_area *area, off_t offset, size_t length);
int flash_area_write(const struct flash_area *area, off_t offset, const void *from, size_t length);
int flash_area_read(const struct flash_area *area, off_t offset, void *to, size_t length);

#endif
