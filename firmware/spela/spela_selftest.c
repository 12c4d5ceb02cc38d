/* SPDX-License-Identifier: Apache-2.0 */
/** The self-test: it takes the steps that the integer reference took, and compares the bits. */
#include "spela_network.h"

/** CRC-32 over what an exit answered. */
static uint32_t add_answer(uint32_t crc, const spela_result_t *result) {
    return spela_crc_words(crc, result->label | (uint32_t)result->exit << 16,
                           (uint16_t)result->cosine | (uint32_t)(uint16_t)result->margin << 16);
}

/** CRC-32 over all that a network answers to a sample: every exit with its scores, early exit. */
static uint32_t add_answers(uint32_t crc, spela_t *network, const int8_t *sample, size_t inputs) {
    const spela_model_t *const model = network->model.pointer;
    spela_result_t result = {0U, 0U, 0, 0};
    const uint16_t exits = spela_exits(model);
    for (uint16_t exit = 0U; exit < exits; exit++) {
        (void)spela_infer_exit(network, sample, inputs, exit, &result); /* it cannot fail */
        crc = add_answer(crc, &result);
        for (uint32_t c = 0U; c < model->classes; c++) {
            crc = spela_crc_word(crc, (uint32_t)spela_scores(network)[c]);
        }
    }
    (void)spela_infer_early(network, sample, inputs, &result);
    return add_answer(crc, &result);
}

spela_status_t spela_selftest(const spela_selftest_t *test, void *arena, size_t arena_bytes) {
    spela_t *network = NULL;
    if (test == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    const spela_status_t status = spela_init(&network, test->model, arena, arena_bytes);
    if (status != SPELA_OK) {
        return status;
    }
    const size_t inputs = spela_sample_inputs(test->model);
    uint32_t crc = UINT32_C(0xFFFFFFFF);
    for (uint32_t i = 0U; i < test->model->layer_count; i++) {
        const spela_layer_t *const layer = spela_layer(network, i);
        if (!SPELA_IS_CONVOLUTION(layer)) {
            crc = spela_crc_bytes(crc, layer->exit.embeddings,
                                  (size_t)spela_padded(layer->units) *
                                      spela_padded(test->model->classes));
        }
    }
    for (uint32_t step = 0U; step < test->steps; step++) {
        const int8_t *const sample = test->samples + step % test->sample_count * inputs;
        crc = add_answers(crc, network, sample, inputs);
#ifndef SPELA_INFERENCE_ONLY
        if (SPELA_LEARNS(test->model)) {
            (void)spela_learn(network, sample, inputs, test->labels[step], NULL);
        }
#endif
        crc = spela_crc_word(crc, spela_digest(network));
    }
    return ~crc == test->crc ? SPELA_OK : SPELA_ERROR_SELFTEST;
}
