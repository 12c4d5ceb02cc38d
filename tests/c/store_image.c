/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device whose flash is a file: it starts, learns some samples, saves, and leaves its flash in
 * the file. Arguments: a part's name, the file, and the number of samples; with 0 it does not save.
 * Says, in this order: what it found, saves, digest, counters, what the save answered, how many
 * bytes a slot needs, and how many operations on flash there were.
 */
#include "flash_model.h"
#include "toy_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t arena[(TOY_ARENA_BYTES + 7U) / 8U];
static uint32_t buffer[64];
static spela_t *network;
static spela_store_t store;

static void learn(uint32_t count) {
    spela_counters_t before;
    (void)spela_counters(network, &before);
    for (uint32_t step = before.samples; step < before.samples + count; step++) {
        int8_t sample[TOY_INPUTS];
        for (uint32_t k = 0U; k < TOY_INPUTS; k++) {
            sample[k] = (int8_t)((int32_t)((step * 37U + k * k * 11U) % 255U) - 127);
        }
        if (spela_learn(network, sample, TOY_INPUTS, (uint16_t)(step % TOY_CLASSES), NULL) !=
            SPELA_OK) {
            exit(2);
        }
    }
}

static bool exchange(const char *path, bool writes) {
    uint8_t bytes[FLASH_BYTES_MAX];
    FILE *const file = fopen(path, writes ? "wb" : "rb");
    if (file == NULL) {
        return false;
    }
    const size_t size = flash_size();
    const size_t done =
        writes ? fwrite(flash_bytes(), 1U, size, file) : fread(bytes, 1U, size, file);
    if (!writes && done == size) {
        flash_fill(bytes);
    }
    return fclose(file) == 0 && done == size;
}

int main(int count, char **arguments) {
    if (count != 4) {
        return 2;
    }
    for (uint32_t i = 0U; i < flash_part_count; i++) {
        if (strcmp(arguments[1], flash_parts[i].name) == 0) {
            flash_start(&flash_parts[i], 1U);
            memcpy(store.slots, flash_parts[i].slots, sizeof store.slots);
            store.unit_bytes = flash_parts[i].unit_bytes;
        }
    }
    store.buffer = buffer;
    if (store.unit_bytes == 0U || !exchange(arguments[2], false) ||
        spela_init(&network, &toy_model, arena, sizeof arena) != SPELA_OK) {
        return 2;
    }
    const spela_store_status_t found = spela_store_load(&store, network);
    const uint32_t steps = (uint32_t)strtoul(arguments[3], NULL, 10);
    spela_store_info_t info = {SPELA_STORE_OK, 0U, 0U};
    (void)spela_store_inspect(&store, network, &info);
    spela_counters_t counters;
    (void)spela_counters(network, &counters);
    printf("%d %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32,
           (int)found, info.saves, spela_digest(network), counters.samples, counters.layer_updates,
           counters.multipliers_clipped, counters.halvings, counters.silent);
    learn(steps);
    const spela_store_status_t saved =
        steps == 0U ? SPELA_STORE_OK : spela_store_save(&store, network);
    printf(" %d %" PRIu32 " %" PRIu32 "\n", (int)saved,
           spela_store_slot_bytes(network, store.unit_bytes), flash_operations());
    return exchange(arguments[2], true) ? 0 : 2;
}
