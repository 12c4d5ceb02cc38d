/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's life: it learns, infers and saves, and the power fails at random, within saves and
 * within starts. Arguments: a part's name, how many cycles. Says how many there were, how many
 * cuts, and, of the state that is there at the end, the samples learned and the digest.
 *
 * A sample, and whether inference follows it, depend on the number of samples learned before it
 * alone, so that there is one state for each number, whatever was lost on the way.
 */
#include "toy_device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIED_MAX 256U

static const flash_part_t *part;
static device_t device;
static uint32_t *digests; /* of the state after so many samples; 0: not known yet */
static uint32_t known;
static uint32_t tried[TRIED_MAX]; /* states that a start may find: the first was given out last */
static uint32_t tried_count;
static uint32_t cuts;

static uint32_t learned(void) {
    spela_counters_t counters;
    (void)spela_counters(device.network, &counters);
    return counters.samples;
}

static void fail(const char *what) {
    printf("%s: %s after %" PRIu32 " samples, %" PRIu32 " cuts\n", part->name, what, learned(),
           cuts);
    exit(1);
}

/* The state must be the one that belongs to its number of samples. */
static void check(void) {
    const uint32_t n = learned();
    const uint32_t digest = spela_digest(device.network);
    if (n >= known) {
        fail("more samples than were learned");
    }
    if (digests[n] == 0U) {
        digests[n] = digest;
    } else if (digests[n] != digest) {
        fail("another state");
    }
}

static void fill(int8_t sample[TOY_INPUTS], uint32_t n) {
    for (uint32_t k = 0U; k < TOY_INPUTS; k++) {
        sample[k] = (int8_t)((int32_t)((n * 37U + k * k * 11U) % 255U) - 127);
    }
}

static void learn(void) {
    for (uint32_t count = 1U + flash_random(3U); count > 0U; count--) {
        int8_t sample[TOY_INPUTS];
        const uint32_t n = learned();
        fill(sample, n);
        if (spela_learn(device.network, sample, TOY_INPUTS, (uint16_t)(n % TOY_CLASSES), NULL) !=
            SPELA_OK) {
            fail("learning fails");
        }
        spela_result_t result;
        if (n % 5U == 4U && spela_infer(device.network, sample, TOY_INPUTS, &result) != SPELA_OK) {
            fail("inference fails");
        }
    }
    check();
}

static uint32_t tear(void) {
    return flash_random(TEAR_KINDS - !part->has_ecc);
}

/* Starts until no cut comes between; what is found is one of the states that were tried. */
static void start(void) {
    for (;;) {
        flash_power_on();
        if (!device_start(&device, part)) {
            exit(2);
        }
        if (flash_random(4U) == 0U) {
            flash_cut_after(flash_random(2U), tear());
        }
        (void)spela_store_load(&device.store, device.network);
        if (!flash_is_dead()) {
            break;
        }
        cuts++;
    }
    flash_cut_after(UINT32_MAX, 0U);
    check();
    for (uint32_t i = 0U; i < tried_count; i++) {
        if (tried[i] == learned()) {
            /* The others may come back only while the slot that holds them is being erased. */
            const uint32_t given = tried[i];
            tried[i] = tried[0];
            tried[0] = given;
            return;
        }
    }
    fail("neither the old nor the new state");
}

static void save(void) {
    if (tried_count == TRIED_MAX) {
        fail("too many tries");
    }
    const bool is_cut = flash_random(3U) == 0U;
    if (is_cut) {
        flash_cut_after(flash_random(part->unit_bytes == 256U ? 7U : 26U), tear());
    }
    const spela_store_status_t status = spela_store_save(&device.store, device.network);
    if (!flash_is_dead()) {
        if (status != SPELA_STORE_OK) {
            fail("a save fails");
        }
        flash_cut_after(UINT32_MAX, 0U);
        tried_count = 1U;
        tried[0] = learned();
        return;
    }
    cuts++;
    if (!flash_died_erasing()) {
        tried_count = 1U; /* the slot is erased: what was tried there is gone */
    }
    tried[tried_count] = learned();
    tried_count++;
    start();
}

int main(int count, char **arguments) {
    for (uint32_t i = 0U; i < flash_part_count; i++) {
        if (count == 3 && strcmp(arguments[1], flash_parts[i].name) == 0) {
            part = &flash_parts[i];
        }
    }
    const uint32_t cycles = count == 3 ? (uint32_t)strtoul(arguments[2], NULL, 10) : 0U;
    known = 3U * cycles + 4U;
    digests = calloc(known, sizeof *digests);
    if (part == NULL || digests == NULL) {
        return 2;
    }
    flash_start(part, 1U);
    flash_cut_after(UINT32_MAX, 0U);
    tried[0] = 0U;
    tried_count = 1U;
    start();
    for (uint32_t cycle = 0U; cycle < cycles; cycle++) {
        learn();
        save();
    }
    if (spela_store_save(&device.store, device.network) != SPELA_STORE_OK) {
        fail("the last save fails");
    }
    tried_count = 1U;
    tried[0] = learned();
    start();
    printf("%s: %" PRIu32 " cycles, %" PRIu32 " cuts; %" PRIu32 " samples %" PRIu32 "\n",
           part->name, cycles, cuts, learned(), spela_digest(device.network));
    free(digests);
    return 0;
}
