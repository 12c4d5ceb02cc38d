/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof of the store: the power cut at every operation of a save, then at every operation of
 * the start and the save after it, in every way in which an operation can be torn.
 *
 * Arguments: a part's name; and "all", or the second cut tears in one way only, drawn at random.
 * Says how many operations were cut, and how many states were lost; after five it ends.
 *
 * What must hold at each start: what is loaded is one of the states that were saved, whole; and it
 * is no older than any state that an earlier start gave out or a finished save has written.
 */
#include "toy_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FACTORY 0U /* ages of states: what a network is without anything loaded */
#define AGES    6U

typedef struct {
    uint32_t cut; /* operations before the cut */
    uint32_t tear;
} cut_t;

static const flash_part_t *part;
static device_t device;
static uint32_t states[AGES]; /* fingerprints, by age */
static uint32_t state_count;
static cut_t cuts[2];
static uint32_t cut_count;
static uint32_t losses;
static bool tears_all;

/* The learned state and the counters in one number. */
static uint32_t fingerprint(void) {
    spela_counters_t counters;
    (void)spela_counters(device.network, &counters);
    return spela_digest(device.network) ^ (counters.layer_updates << 8) ^ (counters.silent << 16) ^
           (counters.multipliers_clipped << 20) ^ (counters.halvings << 28);
}

static void lose(const char *what, uint32_t number) {
    losses++;
    printf("%s: %s %u; cuts %u/%u, %u/%u\n", part->name, what, (unsigned)number,
           (unsigned)cuts[0].cut, (unsigned)cuts[0].tear, (unsigned)cuts[1].cut,
           (unsigned)cuts[1].tear);
    if (losses == 5U) {
        exit(1);
    }
}

static void power_on(void) {
    flash_power_on();
    if (!device_start(&device, part)) {
        exit(2);
    }
}

/* Learns some samples; the state gets the next age. */
static void teach(void) {
    spela_counters_t counters;
    (void)spela_counters(device.network, &counters);
    for (uint32_t step = 0U; step < 5U; step++) {
        int8_t sample[TOY_INPUTS];
        for (uint32_t i = 0U; i < TOY_INPUTS; i++) {
            const uint32_t n = counters.samples + step + 100U * state_count; /* no state twice */
            sample[i] = (int8_t)((int32_t)((n * 37U + i * i * 11U + i * n) % 255U) - 127);
        }
        const uint16_t label = (uint16_t)((counters.samples + step) % TOY_CLASSES);
        if (spela_learn(device.network, sample, TOY_INPUTS, label, NULL) != SPELA_OK) {
            exit(2);
        }
    }
    states[state_count] = fingerprint();
    state_count++;
}

/* Loads; returns the age of what is there, at least `oldest`, or AGES if the power was cut. */
static uint32_t load(uint32_t oldest) {
    const spela_store_status_t status = spela_store_load(&device.store, device.network);
    if (flash_is_dead()) {
        return AGES;
    }
    const uint32_t found = fingerprint();
    for (uint32_t age = state_count; age-- > 0U;) {
        if (found == states[age]) {
            if (age < oldest) {
                lose("an older state came back:", age);
            }
            if ((status == SPELA_STORE_OK) != (age != FACTORY)) {
                lose("wrong status", (uint32_t)status);
            }
            return age;
        }
    }
    lose("no state that was saved; status", (uint32_t)status);
    return oldest;
}

/* Two starts without a cut: the second finds what the first gave out, or something newer. */
static uint32_t restart(uint32_t oldest) {
    power_on();
    const uint32_t first = load(oldest);
    power_on();
    return load(first);
}

/* Learns on and saves, with the second cut within; false when it comes too late to cut anything. */
static bool go_on(uint32_t old) {
    state_count = old + 2U; /* old, and the one that was cut, which is now given out or forgotten */
    power_on();
    flash_cut_after(cuts[1].cut, cuts[1].tear);
    uint32_t age = load(old);
    bool was_cut = flash_is_dead();
    if (was_cut) {
        age = restart(old);
    } else {
        const uint32_t given = age;
        teach();
        const spela_store_status_t status = spela_store_save(&device.store, device.network);
        const bool is_erasing = flash_died_erasing();
        was_cut = flash_is_dead();
        if (!was_cut && status != SPELA_STORE_OK) {
            lose("a save without a cut fails:", (uint32_t)status);
        }
        age = restart(was_cut ? given : state_count - 1U);
        /* What was cut first may come back if its seal reads differently each time, until its slot
         * is erased. */
        const bool may_return = cuts[0].tear == TEAR_UNSTABLE && was_cut && is_erasing;
        if (age != given && age != state_count - 1U && !may_return) {
            lose("neither the old nor the new state:", age);
        }
    }
    teach();
    if (spela_store_save(&device.store, device.network) != SPELA_STORE_OK) {
        lose("the save after all cuts fails; age", age);
    }
    (void)restart(state_count - 1U);
    return was_cut;
}

/* Whether the part's operations are torn in this way. */
static bool is_torn_so(uint32_t tear) {
    return part->has_ecc || tear != TEAR_UNREADABLE;
}

/* Cuts a save, and then whatever follows; `old` is the age of what the store holds. */
static void cut_save(uint32_t old) {
    static device_t before;
    memcpy(&before, &device, sizeof device);
    flash_keep(0U);
    for (cuts[0].cut = 0U;; cuts[0].cut++) {
        for (cuts[0].tear = 0U; cuts[0].tear < TEAR_KINDS; cuts[0].tear++) {
            if (!is_torn_so(cuts[0].tear)) {
                continue;
            }
            memcpy(&device, &before, sizeof device);
            flash_restore(0U);
            flash_cut_after(cuts[0].cut, cuts[0].tear);
            (void)spela_store_save(&device.store, device.network);
            if (!flash_is_dead()) {
                flash_power_on();
                return;
            }
            cut_count++;
            flash_power_on();
            flash_keep(1U);
            bool was_cut = true;
            for (cuts[1].cut = 0U; was_cut; cuts[1].cut++) {
                const uint32_t drawn = flash_random(TEAR_KINDS - !part->has_ecc);
                for (cuts[1].tear = 0U; was_cut && cuts[1].tear < TEAR_KINDS; cuts[1].tear++) {
                    if (is_torn_so(cuts[1].tear) && (tears_all || cuts[1].tear == drawn)) {
                        flash_restore(1U);
                        was_cut = go_on(old);
                        cut_count += was_cut;
                    }
                }
            }
        }
    }
}

/* The proof for a store with so many saves in it, of which the first has number `first`. */
static void prove(uint32_t saves, uint32_t first) {
    flash_start(part, 1U);
    power_on();
    state_count = 0U;
    states[state_count] = fingerprint();
    state_count++;
    if (load(FACTORY) != FACTORY) {
        lose("an empty store is not:", 0U);
    }
    device.store.saves = first - 1U;
    for (uint32_t i = 0U; i < saves; i++) {
        state_count = i + 1U;
        teach();
        if (spela_store_save(&device.store, device.network) != SPELA_STORE_OK) {
            lose("a save fails:", i);
        }
    }
    power_on();
    (void)load(saves);
    state_count = saves + 1U;
    if (saves == 0U) {
        device.store.saves = first - 1U;
    }
    teach();
    cut_save(saves);
}

int main(int count, char **arguments) {
    /* Numbers that wrap around, signed and unsigned, within the saves of the proof. */
    static const uint32_t firsts[] = {1U, UINT32_C(0x7FFFFFFE), UINT32_C(0xFFFFFFFE)};
    for (uint32_t i = 0U; i < flash_part_count; i++) {
        if (count >= 2 && strcmp(arguments[1], flash_parts[i].name) == 0) {
            part = &flash_parts[i];
        }
    }
    tears_all = count == 3 && strcmp(arguments[2], "all") == 0;
    if (part == NULL) {
        return 2;
    }
    for (uint32_t saves = 0U; saves < 3U; saves++) {
        prove(saves, firsts[saves]);
    }
    printf("%s: %u operations cut, %u losses\n", part->name, (unsigned)cut_count, (unsigned)losses);
    return losses == 0U ? 0 : 1;
}
