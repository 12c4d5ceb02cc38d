/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store and flash that rots, lies or changes while it is read; and misuse. Argument: a part's
 * name. Says how many bits were flipped, and how many failures there were.
 */
#include "flash_model.h"
#include "toy_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const flash_part_t *part;
static uint64_t arena[(TOY_ARENA_BYTES + 7U) / 8U];
static uint32_t buffer[64];
static spela_t *network;
static spela_store_t store;
static uint32_t failures;

static void expect(bool holds, const char *what, uint32_t number) {
    if (!holds) {
        failures++;
        if (failures <= 5U) {
            printf("%s: %s, %u\n", part->name, what, (unsigned)number);
        }
    }
}

static void power_on(const spela_model_t *model) {
    flash_power_on();
    memset(&store, 0, sizeof store);
    memcpy(store.slots, part->slots, sizeof part->slots);
    store.unit_bytes = part->unit_bytes;
    store.buffer = buffer;
    if (spela_init(&network, model, arena, sizeof arena) != SPELA_OK) {
        exit(2);
    }
}

static void teach(void) {
    static const int8_t sample[TOY_INPUTS] = {100, -50};
    for (uint16_t step = 0U; step < 5U; step++) {
        (void)spela_learn(network, sample, TOY_INPUTS, step % 2U, NULL);
    }
}

static spela_store_status_t load(void) {
    return spela_store_load(&store, network);
}

static spela_store_status_t save(void) {
    return spela_store_save(&store, network);
}

/* Flips every bit of the slots: one state is left whole, and else none is taken for one. */
static uint32_t rot(uint32_t saves) {
    uint32_t states[3];
    uint32_t flipped = 0U;
    flash_start(part, 2U);
    power_on(&toy_model);
    states[0] = spela_digest(network);
    for (uint32_t i = 0U; i < saves; i++) {
        teach();
        states[i + 1U] = spela_digest(network);
        expect(save() == SPELA_STORE_OK, "a save fails", i);
    }
    const uint32_t needed = spela_store_slot_bytes(network, part->unit_bytes);
    spela_store_info_t info;
    (void)spela_store_inspect(&store, network, &info);
    uint32_t older = 0U;
    for (uint32_t slot = 0U; slot < 2U; slot++) {
        for (uint32_t bit = 0U; bit < 8U * needed; bit++) {
            flash_flip(part->slots[slot].address + bit / 8U, bit % 8U);
            power_on(&toy_model);
            const spela_store_status_t status = load();
            const uint32_t found = spela_digest(network);
            if (status == SPELA_STORE_OK) {
                expect(found == states[saves] || (saves == 2U && found == states[1]),
                       "a damaged state is loaded", bit);
                older += found != states[saves];
            } else {
                expect(status == SPELA_STORE_CORRUPT && saves == 1U && found == states[0],
                       "not refused as it should be", bit);
                older++;
            }
            flash_flip(part->slots[slot].address + bit / 8U, bit % 8U);
            flipped++;
        }
    }
    /* Whatever is not seal or padding is noticed. */
    expect(older == 8U * (32U + info.bytes), "not every flip is noticed", older);
    return flipped;
}

/* A bit flips at any read of a load: the network has the state, or is as at the factory. */
static void change_while_reading(void) {
    flash_start(part, 3U);
    power_on(&toy_model);
    const uint32_t factory = spela_digest(network);
    teach();
    const uint32_t saved = spela_digest(network);
    (void)save();
    power_on(&toy_model);
    const uint32_t before = flash_reads();
    expect(load() == SPELA_STORE_OK, "what is saved is not loaded", 0U);
    const uint32_t reads = flash_reads() - before;
    const uint32_t needed = spela_store_slot_bytes(network, part->unit_bytes);
    uint32_t refused = 0U;
    flash_keep(0U);
    for (uint32_t read = 0U; read < reads; read++) {
        for (uint32_t byte = 0U; byte < needed; byte++) {
            flash_restore(0U);
            power_on(&toy_model);
            flash_flip_after_reads(part->slots[0].address + byte, byte % 8U, read);
            const spela_store_status_t status = load();
            const uint32_t found = spela_digest(network);
            expect(found == (status == SPELA_STORE_OK ? saved : factory), "half a state is loaded",
                   read);
            refused += status == SPELA_STORE_ERROR_FLASH;
        }
    }
    expect(refused > 0U, "no change came in time", refused);
}

/* A flash that does not take a unit, and says that it did. */
static void ignore(void) {
    flash_start(part, 4U);
    power_on(&toy_model);
    teach();
    const uint32_t old = spela_digest(network);
    (void)save();
    flash_keep(0U);
    teach();
    const uint32_t before = flash_operations();
    (void)save();
    uint32_t programs = flash_operations() - before;
    for (uint32_t i = 0U; i < part->block_count; i++) {
        programs -= part->blocks[i] - part->slots[1].address < part->slots[1].bytes;
    }
    for (uint32_t unit = 0U; unit < programs; unit++) {
        flash_restore(0U);
        power_on(&toy_model);
        (void)load();
        teach();
        const uint32_t new = spela_digest(network);
        flash_ignore_after(unit);
        expect(save() == SPELA_STORE_ERROR_FLASH, "a save without effect is not noticed", unit);
        power_on(&toy_model);
        expect(load() == SPELA_STORE_OK, "the state is lost", unit);
        /* If one of the other seals was not taken, the first makes the new state count. */
        expect(spela_digest(network) == (unit < programs - 2U ? old : new), "another state", unit);
    }
}

/* Two models in turns: each finds its own state as long as it is there. */
static void change_models(void) {
    spela_model_t other = toy_model;
    spela_store_info_t info;
    other.digest ^= 1U;
    flash_start(part, 5U);
    power_on(&toy_model);
    const uint32_t factory = spela_digest(network);
    teach();
    const uint32_t saved = spela_digest(network);
    (void)save();
    power_on(&other);
    expect(load() == SPELA_STORE_FOREIGN && spela_digest(network) == factory, "not foreign", 0U);
    teach();
    expect(save() == SPELA_STORE_OK, "no save over a foreign state", 1U);
    power_on(&toy_model);
    expect(load() == SPELA_STORE_OK && spela_digest(network) == saved, "its own is lost", 2U);
    teach();
    expect(save() == SPELA_STORE_OK, "no save beside a foreign state", 3U);
    expect(spela_store_inspect(&store, network, &info) == SPELA_STORE_OK && info.saves == 3U &&
               info.status == SPELA_STORE_OK && info.bytes > 0U,
           "inspected wrongly", info.saves);
    power_on(&other);
    expect(load() == SPELA_STORE_FOREIGN, "the other's was not the older", 4U);
}

static void forget(void) {
    flash_start(part, 6U);
    power_on(&toy_model);
    const uint32_t factory = spela_digest(network);
    teach();
    (void)save();
    const uint32_t saved = spela_digest(network);
    expect(spela_store_forget(&store, network) == SPELA_STORE_OK, "not forgotten", 0U);
    expect(spela_digest(network) == saved, "forgetting changes the network", 0U);
    expect(load() == SPELA_STORE_EMPTY, "not empty in the same session", 0U);
    power_on(&toy_model);
    expect(load() == SPELA_STORE_EMPTY && spela_digest(network) == factory, "not empty", 0U);
    teach();
    (void)save();
    expect(store.saves == 3U, "saves are not counted on", store.saves);
    (void)spela_reset(network);
    expect(load() == SPELA_STORE_OK && spela_digest(network) == saved, "no way back", 0U);
}

/* What is refused, before flash is touched. */
static void misuse(void) {
    flash_start(part, 7U);
    power_on(&toy_model);
    const uint32_t unit = part->unit_bytes;
    const uint32_t needed = spela_store_slot_bytes(network, unit);
    const spela_store_t good = store;
    spela_store_info_t info;
    expect(spela_store_slot_bytes(NULL, unit) == 0U && spela_store_slot_bytes(network, 2U) == 0U &&
               spela_store_slot_bytes(network, 512U) == 0U &&
               spela_store_slot_bytes(network, 24U) == 0U,
           "a size of nothing", 0U);
    expect(spela_store_load(NULL, network) == SPELA_STORE_ERROR_ARGUMENT &&
               spela_store_load(&store, NULL) == SPELA_STORE_ERROR_ARGUMENT &&
               spela_store_save(NULL, network) == SPELA_STORE_ERROR_ARGUMENT &&
               spela_store_save(&store, NULL) == SPELA_STORE_ERROR_ARGUMENT &&
               spela_store_forget(NULL, network) == SPELA_STORE_ERROR_ARGUMENT &&
               spela_store_inspect(&store, network, NULL) == SPELA_STORE_ERROR_ARGUMENT &&
               spela_store_inspect(&store, NULL, &info) == SPELA_STORE_ERROR_ARGUMENT,
           "a null pointer is accepted", 0U);
    for (uint32_t kind = 0U; kind < 8U; kind++) {
        store = good;
        spela_slot_t *const slots = store.slots;
        switch (kind) {
        case 0U:
            store.buffer = NULL;
            break;
        case 1U:
            store.unit_bytes = 3U;
            break;
        case 2U:
            store.unit_bytes = 512U;
            break;
        case 3U:
            slots[1] = slots[0];
            break;
        case 4U:
            slots[1].address = slots[0].address + slots[0].bytes - 1U;
            break;
        case 5U:
            slots[0].bytes -= 2U;
            break;
        case 6U:
            slots[1].bytes = 0U;
            break;
        default:
            slots[0].address = 0xFFFFFF00U;
            break;
        }
        expect(load() == SPELA_STORE_ERROR_ARGUMENT && save() == SPELA_STORE_ERROR_ARGUMENT,
               "a store that cannot be is accepted", kind);
    }
    for (uint32_t slot = 0U; slot < 2U; slot++) {
        store = good;
        store.slots[slot].bytes = needed - unit;
        expect(load() == SPELA_STORE_EMPTY, "a short slot cannot be read", slot);
        expect(save() == SPELA_STORE_ERROR_SIZE, "a short slot is accepted", slot);
    }
    expect(flash_operations() == 0U, "a refused call touches flash", flash_operations());
}

int main(int count, char **arguments) {
    for (uint32_t i = 0U; i < flash_part_count; i++) {
        if (count == 2 && strcmp(arguments[1], flash_parts[i].name) == 0) {
            part = &flash_parts[i];
        }
    }
    if (part == NULL) {
        return 2;
    }
    const uint32_t flipped = rot(1U) + rot(2U);
    change_while_reading();
    ignore();
    change_models();
    forget();
    misuse();
    printf("%s: %u bits flipped, %u failures\n", part->name, (unsigned)flipped, (unsigned)failures);
    return failures == 0U ? 0 : 1;
}
