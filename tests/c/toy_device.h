/* SPDX-License-Identifier: Apache-2.0 */
/** What a device that learns has in RAM, beside flash_model.h's flash. */
#ifndef TOY_DEVICE_H
#define TOY_DEVICE_H

#include "flash_model.h"
#include "toy_model.h"

#include <string.h>

typedef struct {
    uint64_t arena[(TOY_ARENA_BYTES + 7U) / 8U];
    uint32_t buffer[64];
    spela_t *network;
    spela_store_t store;
} device_t;

/** A start: RAM is gone, and the flash stays. Returns whether there is a network. */
static inline bool device_start(device_t *device, const flash_part_t *part) {
    memset(device, 0xA5, sizeof *device);
    memset(&device->store, 0, sizeof device->store);
    memcpy(device->store.slots, part->slots, sizeof part->slots);
    device->store.unit_bytes = part->unit_bytes;
    device->store.buffer = device->buffer;
    return spela_init(&device->network, &toy_model, device->arena, sizeof device->arena) ==
           SPELA_OK;
}

#endif
