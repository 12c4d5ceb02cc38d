/* SPDX-License-Identifier: Apache-2.0 */
/** A program of somebody's: it learns, and tells the digest of what it learned. */
#include "digits_model.h"
#include "digits_quantize.h"

#ifdef SIMULATED
#include "start.h"
#else
#include <stdio.h>

static void say(char c) {
    (void)putchar(c);
}
#endif

#define STEPS 1000U

static uint64_t arena[(DIGITS_ARENA_BYTES + 7U) / 8U];

static void tell(const char *text) {
    for (; *text != '\0'; text++) {
        say(*text);
    }
}

int main(void) {
    spela_t *network;
    if (spela_selftest(&digits_model_selftest, arena, sizeof arena) != SPELA_OK ||
        spela_init(&network, &digits_model, arena, sizeof arena) != SPELA_OK) {
        return 1;
    }
    int16_t raw[DIGITS_RAW_INPUTS] = {0};
    int8_t sample[DIGITS_INPUTS];
    digits_quantize_int16(raw, sample);
    for (uint32_t step = 0U; step < STEPS; step++) {
        for (uint32_t k = 0U; k < DIGITS_INPUTS; k++) {
            sample[k] = (int8_t)((int32_t)((step * 37U + k * k * 11U) % 255U) - 127);
        }
        const uint16_t label = (uint16_t)(step % DIGITS_CLASSES);
        if (spela_learn(network, sample, sizeof sample, label, NULL) != SPELA_OK) {
            return 1;
        }
    }
    tell("digest: ");
    for (uint32_t shift = 32U; shift > 0U; shift -= 4U) {
        say("0123456789abcdef"[(spela_digest(network) >> (shift - 4U)) & 15U]);
    }
    tell("\n");
    return 0;
}
