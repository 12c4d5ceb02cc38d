/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A firmware with a store: at each start it says what it finds, learns, saves, says what it has,
 * and resets the chip, until it has saved three times. STORE_SLOTS and STORE_UNIT are the board's.
 */
#include "port.h"
#include "spela_store.h"
#include "toy_model.h"
#ifdef STORE_NMI
#include "flash_nmi.h"
#endif

#ifndef STEPS
#define STEPS 200U
#endif

static uint64_t arena[(TOY_ARENA_BYTES + 7U) / 8U];
static uint32_t unit[STORE_UNIT / 4U];
static spela_t *network;
static spela_store_t store = {
    .slots = STORE_SLOTS,
    .unit_bytes = STORE_UNIT,
    .buffer = unit,
};

void port_on_fault(const uint32_t *report, uint32_t words) {
    (void)report;
    (void)words;
    port_write((uint8_t)'!');
}

#ifdef STORE_NMI
void NMI_Handler(void);

void NMI_Handler(void) {
    if (!spela_flash_on_nmi()) {
        port_write((uint8_t)'!');
    }
}
#endif

static void say(uint32_t number) {
    for (uint32_t shift = 32U; shift > 0U; shift -= 4U) {
        port_write((uint8_t)"0123456789abcdef"[(number >> (shift - 4U)) & 15U]);
    }
    port_write((uint8_t)' ');
}

static void learn(void) {
    spela_counters_t before;
    (void)spela_counters(network, &before);
    for (uint32_t step = before.samples; step < before.samples + STEPS; step++) {
        int8_t sample[TOY_INPUTS];
        for (uint32_t k = 0U; k < TOY_INPUTS; k++) {
            sample[k] = (int8_t)((int32_t)((step * 37U + k * k * 11U) % 255U) - 127);
        }
        (void)spela_learn(network, sample, TOY_INPUTS, (uint16_t)(step % TOY_CLASSES), NULL);
    }
}

int main(void) {
    port_init();
    (void)spela_init(&network, &toy_model, arena, sizeof arena);
    say((uint32_t)spela_store_load(&store, network));
    say(spela_digest(network));
    if (store.saves < 3U) {
        learn();
        say((uint32_t)spela_store_save(&store, network));
        say(spela_digest(network));
        port_write((uint8_t)'\n');
        *(volatile uint32_t *)0xE000ED0CU = 0x05FA0004U; /* AIRCR: SYSRESETREQ */
    }
    port_write((uint8_t)'.');
    port_write((uint8_t)'\n');
    for (;;) {
    }
}
