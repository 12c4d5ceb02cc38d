/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several generated models in one program: MODELS(MODEL) is MODEL(first) MODEL(second) and so on.
 * Each learns a stream of its own, in turn with the others, and prints its result.
 */
#include "models.h"

#include <stdio.h>

#define STEPS 40U

static uint64_t arenas[8][2000];
static const spela_model_t *const models[] = {MODELS};
static spela_t *networks[sizeof models / sizeof *models];

int main(void) {
    for (size_t i = 0U; i < sizeof models / sizeof *models; i++) {
        if (spela_init(&networks[i], models[i], arenas[i], sizeof arenas[i]) != SPELA_OK) {
            return 2;
        }
    }
    for (uint32_t step = 0U; step < STEPS; step++) {
        for (size_t i = 0U; i < sizeof models / sizeof *models; i++) {
            const size_t inputs = models[i]->layers[0].inputs;
            spela_result_t result;
            int8_t sample[64];
            for (uint32_t k = 0U; k < inputs; k++) {
                sample[k] = (int8_t)((int32_t)((step * 37U + k * k * 11U) % 255U) - 127);
            }
            spela_status_t status = spela_infer(networks[i], sample, inputs, &result);
            if (status != SPELA_OK) {
                return 3;
            }
            printf("%u %d ", result.label, result.cosine);
            const uint16_t label = (uint16_t)(step % models[i]->classes);
            status = spela_learn(networks[i], sample, inputs, label, NULL);
            if (status != SPELA_OK && status != SPELA_ERROR_READ_ONLY) {
                return 4;
            }
            printf("%lu\n", (unsigned long)spela_digest(networks[i]));
        }
    }
    return 0;
}
