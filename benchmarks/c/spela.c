/* SPDX-License-Identifier: Apache-2.0 */
/* spela: inference and learning in int8, with the embeddings, the answer and its confidence. */
#include "spela.h"
#include "benchmark_model.h"
#include "contender.h"

#define INSTANCE_ALIGNMENT 8

static uint8_t arena[BENCHMARK_ARENA_BYTES] __attribute__((aligned(INSTANCE_ALIGNMENT)));
static spela_t *network;
static const int8_t *taken;
static uint16_t taken_label;

benchmark_facts_t benchmark_facts;

static uint32_t active_units(void) {
    uint32_t active = 0;
    spela_layer_view_t view;
    for (uint16_t layer = 0; spela_view(network, layer, &view) == SPELA_OK; layer++) {
        const size_t units = (layer == 0U) ? HIDDEN : OUTPUTS;
        for (size_t unit = 0; unit < units; unit++) {
            active += (view.activation[unit] != 0) ? 1U : 0U;
        }
    }
    return active;
}

uint8_t contender_start(void) {
    const spela_status_t status = spela_init(&network, &benchmark_model, arena, sizeof arena);
    spela_layer_view_t view;
    for (uint16_t layer = 0;
         (status == SPELA_OK) && (spela_view(network, layer, &view) == SPELA_OK); layer++) {
        benchmark_facts.weights += (uint32_t)view.weight_bytes;
    }
    benchmark_facts.infer_buffer = INFERENCE_ARENA_BYTES;
    benchmark_facts.learn_buffer = BENCHMARK_ARENA_BYTES - benchmark_facts.weights;
    return (uint8_t)status;
}

void contender_take(const int8_t sample[INPUTS], uint16_t label) {
    benchmark_facts.active = active_units(); /* of the step before */
    taken = sample;
    taken_label = label;
}

uint8_t benchmark_infer(void) {
    spela_result_t result;
    return (uint8_t)spela_infer(network, taken, INPUTS, &result);
}

uint8_t benchmark_learn(void) {
    return (uint8_t)spela_learn(network, taken, INPUTS, taken_label, NULL);
}
