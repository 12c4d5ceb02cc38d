// SPDX-License-Identifier: Apache-2.0
// Somebody's program: the library's class, without anything of Arduino.
#include <DigitsNetwork.h>

#ifdef SIMULATED
#include "start.h"
#else
#include <stdio.h>

static void say(char c) {
    (void)putchar(c);
}
#endif

static DigitsNetwork network;
static DigitsNetwork::Sample sample;

int main() {
    if (!network.selfTest()) {
        return 1;
    }
    for (uint32_t step = 0; step < 1000; step++) {
        for (uint32_t k = 0; k < DIGITS_INPUTS; k++) {
            sample[k] = static_cast<int8_t>(static_cast<int>((step * 37 + k * k * 11) % 255) - 127);
        }
        if (!network.learn(sample, static_cast<int>(step % DIGITS_CLASSES))) {
            return 1;
        }
    }
    for (const char *text = "digest: "; *text != '\0'; text++) {
        say(*text);
    }
    for (uint32_t shift = 32; shift > 0; shift -= 4) {
        say("0123456789abcdef"[(network.digest() >> (shift - 4)) & 15U]);
    }
    say('\n');
    return 0;
}
