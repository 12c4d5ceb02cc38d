/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store on flash that holds anything at all. The first byte says which CRCs are made right, so
 * that what lies behind them is reached. What loads must be able to learn, to be saved, and to be
 * loaded again as it was.
 */
#include "line.h"
#include "toy_device.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNIT     4U /* of the part: the header and three seals come before the payload */
#define OVERHEAD (32U + 3U * UNIT)

static const flash_part_t part = {"small", UNIT,
                                  false,   {{0x08000000U, 512U}, {0x08000200U, 512U}},
                                  2U,      {0x08000000U, 0x08000200U, 0x08000400U}};
static device_t device;

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static void set_word(uint8_t *at, uint32_t value) {
    for (uint32_t i = 0U; i < 4U; i++) {
        at[i] = (uint8_t)(value >> (8U * i));
    }
}

/* Makes a slot whole, whatever its payload is. */
static void mend(uint8_t *slot, bool is_ours) {
    uint32_t bytes = (uint32_t)slot[20] | (uint32_t)slot[21] << 8;
    bytes %= 512U - OVERHEAD + 1U;
    memcpy(slot, "SPLS", 4U);
    set_word(&slot[16], UNIT);
    set_word(&slot[20], bytes);
    set_word(&slot[24], line_crc(&slot[OVERHEAD], bytes));
    if (is_ours) {
        set_word(&slot[4], SPELA_STORE_FORMAT_VERSION);
        set_word(&slot[12], toy_model.digest);
    }
    set_word(&slot[28], line_crc(slot, 28U));
    memset(&slot[32], 0, 3U * UNIT);
}

static void start(void) {
    demand(device_start(&device, &part));
}

static void learn(uint32_t count) {
    for (uint32_t step = 0U; step < count; step++) {
        int8_t sample[TOY_INPUTS];
        for (uint32_t k = 0U; k < TOY_INPUTS; k++) {
            sample[k] = (int8_t)((int32_t)((step * 37U + k * k * 11U) % 255U) - 127);
        }
        demand(spela_learn(device.network, sample, TOY_INPUTS, (uint16_t)(step % TOY_CLASSES),
                           NULL) == SPELA_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t bytes[1024];
    if (size < 1U) {
        return 0;
    }
    const uint8_t flags = data[0];
    memset(bytes, 0xFF, sizeof bytes);
    memcpy(bytes, &data[1], size - 1U < sizeof bytes ? size - 1U : sizeof bytes);
    for (uint32_t slot = 0U; slot < 2U; slot++) {
        if ((flags >> slot & 1U) != 0U) {
            mend(&bytes[512U * slot], (flags >> slot & 4U) != 0U);
        }
    }
    flash_start(&part, 1U);
    flash_fill(bytes);
    start();
    const uint32_t factory = spela_digest(device.network);
    const spela_store_status_t status = spela_store_load(&device.store, device.network);
    const uint32_t loaded = spela_digest(device.network);
    demand(status == SPELA_STORE_OK || loaded == factory);
    start(); /* and the same at the next start */
    demand(spela_store_load(&device.store, device.network) == status);
    demand(spela_digest(device.network) == loaded);
    learn(3U);
    const uint32_t learned = spela_digest(device.network);
    demand(spela_store_save(&device.store, device.network) == SPELA_STORE_OK);
    start();
    demand(spela_store_load(&device.store, device.network) == SPELA_STORE_OK);
    demand(spela_digest(device.network) == learned);
    return 0;
}
