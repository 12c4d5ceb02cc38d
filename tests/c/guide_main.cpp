// SPDX-License-Identifier: Apache-2.0
// The class of docs/integration.md on this machine; says an answer and the digest of what it
// learned.
#include "network.hpp"

#include <cstdio>

static Network network;

int main() {
    int8_t sample[PUMP_INPUTS] = {};
    spela_result_t result;
    for (uint32_t n = 0; n < 100; n++) {
        for (uint32_t k = 0; k < PUMP_INPUTS; k++) {
            sample[k] =
                static_cast<int8_t>(static_cast<int32_t>((n * 37 + k * k * 11) % 255) - 127);
        }
        if (network.learn(sample, static_cast<uint16_t>(n % PUMP_CLASSES)) != SPELA_OK) {
            return 1;
        }
    }
    if (network.status() != SPELA_OK || network.infer(sample, result) != SPELA_OK) {
        return 1;
    }
    std::printf("%u %u\n", static_cast<unsigned>(result.label),
                static_cast<unsigned>(network.digest()));
    return 0;
}
