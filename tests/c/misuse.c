/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every refusal that spela.h documents, on a generated model called toy. Says what went wrong.
 *
 * Whatever is refused must leave the whole arena, the outputs and the caller's pointer as they
 * were. The arena is from malloc, so that a sanitizer sees the first byte beyond it.
 */
#include "toy_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t *arena; /* as a refused call must leave it */
static uint8_t snapshot[TOY_ARENA_BYTES];
static int failures;

static void take_snapshot(void) {
    memcpy(snapshot, arena, sizeof snapshot);
}

static void check(int holds, int line, const char *what) {
    if (!holds) {
        printf("%d: %s\n", line, what);
        failures++;
    }
}

static void check_refused(spela_status_t found, spela_status_t expected, int line,
                          const char *call) {
    if (found != expected) {
        printf("%d: %s is %d, not %d\n", line, call, (int)found, (int)expected);
        failures++;
    }
    check(memcmp(arena, snapshot, sizeof snapshot) == 0, line, "it changed the arena");
}

#define CHECK(condition)      check((condition), __LINE__, #condition)
#define REFUSED(call, status) check_refused((call), (status), __LINE__, #call)

/* A copy of the model that may be spoilt. */
static spela_layer_t layers[128];
static spela_model_t model;

static void restore_model(void) {
    model = toy_model;
    memcpy(layers, toy_model.layers, TOY_LAYERS * sizeof *layers);
    model.layers = layers;
}

/* Spoils the model by an assignment; what is refused then must be accepted without it. */
#define SPOILT(assignment, status)                                                                 \
    do {                                                                                           \
        spela_t *untouched = (spela_t *)&model;                                                    \
        restore_model();                                                                           \
        assignment;                                                                                \
        check_refused(spela_init(&untouched, &model, memory, TOY_ARENA_BYTES), (status), __LINE__, \
                      #assignment);                                                                \
        CHECK(untouched == (spela_t *)&model);                                                     \
    } while (0)

static void misuse_init(uint8_t *memory) {
    spela_t *network = (spela_t *)&model;
    REFUSED(spela_init(NULL, &toy_model, memory, TOY_ARENA_BYTES), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_init(&network, NULL, memory, TOY_ARENA_BYTES), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_init(&network, &toy_model, NULL, TOY_ARENA_BYTES), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_init(&network, &toy_model, memory, TOY_ARENA_BYTES - 1U), SPELA_ERROR_ARENA);
    REFUSED(spela_init(&network, &toy_model, memory, 0U), SPELA_ERROR_ARENA);
    for (uint32_t offset = 1U; offset < 8U; offset++) {
        REFUSED(spela_init(&network, &toy_model, memory + offset, TOY_ARENA_BYTES),
                SPELA_ERROR_ARENA);
    }
    CHECK(network == (spela_t *)&model);
}

static void misuse_model(uint8_t *memory) {
    const uint32_t last = TOY_LAYERS - 1U;
    SPOILT(model.layers = NULL, SPELA_ERROR_MODEL);
    SPOILT(model.layer_count = 0U, SPELA_ERROR_MODEL);
    SPOILT(model.layer_count = 17U, SPELA_ERROR_MODEL);
    SPOILT(model.classes = 0U, SPELA_ERROR_MODEL);
    SPOILT(model.classes = 1U, SPELA_ERROR_MODEL);
    SPOILT(model.loss = 3U, SPELA_ERROR_MODEL);
    SPOILT(model.loss = 255U, SPELA_ERROR_MODEL);
    SPOILT(model.flags |= 32U, SPELA_ERROR_MODEL);
    SPOILT(model.flags |= 128U, SPELA_ERROR_MODEL);
    /* a sample of nothing but the constant */
    SPOILT((model.flags |= SPELA_FLAG_BIAS, layers[0].inputs = 1U), SPELA_ERROR_MODEL);
    for (uint32_t i = 0U; i < TOY_LAYERS; i++) {
        const uint8_t bits = toy_model.layers[i].weight_bits;
        SPOILT(layers[i].kind = 1U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].kind = 255U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].exit.embeddings = NULL, SPELA_ERROR_MODEL);
        SPOILT(layers[i].exit.embedding_shift = 15U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].exit.embedding_shift = 255U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].exit.embedding_shift--, SPELA_ERROR_MODEL); /* vectors twice too long */
        SPOILT(layers[i].leak_shift = 31U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].leak_shift = 255U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].weight_bits = 0U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].weight_bits = 7U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].weight_bits = 17U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].weight_bits = 255U, SPELA_ERROR_MODEL);
        if (bits == 8U || (1U << 24) >> bits < 2U * toy_model.layers[i].inputs) {
            SPOILT(layers[i].weight_bits++, SPELA_ERROR_MODEL); /* sums could overflow */
        }
        if (bits > 8U && toy_model.layers[i].weights != NULL) {
            SPOILT(layers[i].weight_bits--, SPELA_ERROR_MODEL); /* some weight is too large */
        }
        SPOILT(layers[i].units = 0U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].units = 1U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].units = 4097U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].units = 65535U, SPELA_ERROR_MODEL);
        SPOILT(layers[i].inputs = 0U, SPELA_ERROR_MODEL);
        if (i > 0U) { /* the layers no longer chain */
            SPOILT(layers[i].inputs--, SPELA_ERROR_MODEL);
            SPOILT(layers[i - 1U].units--, SPELA_ERROR_MODEL);
        }
    }
    if ((toy_model.flags & SPELA_FLAG_INFERENCE_ONLY) != 0U) {
        SPOILT(layers[last].weights = NULL, SPELA_ERROR_MODEL);
    }
#ifdef SPELA_INFERENCE_ONLY
    SPOILT(model.flags &= (uint8_t)~SPELA_FLAG_INFERENCE_ONLY, SPELA_ERROR_MODEL);
#endif
#ifdef SPELA_INT8_ONLY
    SPOILT(model.flags |= SPELA_FLAG_WEIGHTS_INT16, SPELA_ERROR_MODEL);
#endif
#ifdef SPELA_INT16_ONLY
    SPOILT(model.flags &= (uint8_t)~SPELA_FLAG_WEIGHTS_INT16, SPELA_ERROR_MODEL);
#endif
}

/* Shapes whose weights need 2^32 bytes and more: the size must not wrap to a small one. */
static void misuse_sizes(uint8_t *memory) {
    static const int8_t embeddings[4 * 65536];
    static const spela_layer_t square = {
        .exit.embeddings = embeddings, .inputs = 4096U, .units = 4096U, .weight_bits = 12U};
    static const spela_layer_t wide = {
        .exit.embeddings = embeddings, .inputs = 65535U, .units = 65535U, .weight_bits = 8U};
    static const spela_layer_t widest = {
        .exit.embeddings = embeddings, .inputs = 65535U, .units = 4096U, .weight_bits = 8U};
#if !defined(SPELA_INFERENCE_ONLY) && !defined(SPELA_INT16_ONLY)
    SPOILT((model.layer_count = 1U, model.classes = 2U, model.flags = 0U, layers[0] = wide),
           SPELA_ERROR_MODEL);
    SPOILT((model.layer_count = 1U, model.classes = 2U, model.flags = 0U, layers[0] = widest),
           SPELA_ERROR_ARENA);
#endif
#if !defined(SPELA_INFERENCE_ONLY) && !defined(SPELA_INT8_ONLY)
    SPOILT((model.layer_count = 1U, model.classes = 2U, model.flags = SPELA_FLAG_WEIGHTS_INT16,
            layers[0] = square),
           SPELA_ERROR_ARENA);
#endif
    restore_model();
    for (uint32_t i = 0U; i < 128U; i++) {
        layers[i] = square;
    }
    spela_t *network = NULL;
    model.layer_count = 128U;
    model.classes = 2U;
    model.flags = SPELA_FLAG_WEIGHTS_INT16;
    REFUSED(spela_init(&network, &model, memory, TOY_ARENA_BYTES), SPELA_ERROR_MODEL);
    (void)wide;
    (void)widest;
}

static void misuse_infer(spela_t *network, const int8_t *sample) {
    const spela_result_t before = {7U, 7U, 7, 7};
    spela_result_t result = before;
    REFUSED(spela_infer(NULL, sample, TOY_INPUTS, &result), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_infer(network, NULL, TOY_INPUTS, &result), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_infer(network, sample, TOY_INPUTS, NULL), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_infer(network, sample, TOY_INPUTS - 1U, &result), SPELA_ERROR_SIZE);
    REFUSED(spela_infer(network, sample, TOY_INPUTS + 1U, &result), SPELA_ERROR_SIZE);
    REFUSED(spela_infer(network, sample, SIZE_MAX, &result), SPELA_ERROR_SIZE);
    REFUSED(spela_infer_exit(NULL, sample, TOY_INPUTS, 0U, &result), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_infer_exit(network, NULL, TOY_INPUTS, 0U, &result), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_infer_exit(network, sample, TOY_INPUTS, 0U, NULL), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_infer_exit(network, sample, 0U, 0U, &result), SPELA_ERROR_SIZE);
    REFUSED(spela_infer_exit(network, sample, TOY_INPUTS, TOY_LAYERS, &result),
            SPELA_ERROR_ARGUMENT);
    REFUSED(spela_infer_exit(network, sample, TOY_INPUTS, UINT16_MAX, &result),
            SPELA_ERROR_ARGUMENT);
    REFUSED(spela_infer_early(NULL, sample, TOY_INPUTS, &result), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_infer_early(network, NULL, TOY_INPUTS, &result), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_infer_early(network, sample, TOY_INPUTS, NULL), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_infer_early(network, sample, TOY_INPUTS - 1U, &result), SPELA_ERROR_SIZE);
    CHECK(memcmp(&result, &before, sizeof result) == 0);
}

static void misuse_learn(spela_t *network, const int8_t *sample) {
#ifdef SPELA_INFERENCE_ONLY
    (void)network; /* there is no spela_learn to misuse */
    (void)sample;
#else
    const spela_result_t before = {7U, 7U, 7, 7};
    spela_result_t result = before;
    REFUSED(spela_learn(NULL, sample, TOY_INPUTS, 0U, &result), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_learn(network, NULL, TOY_INPUTS, 0U, &result), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_learn(network, sample, TOY_INPUTS - 1U, 0U, &result), SPELA_ERROR_SIZE);
    REFUSED(spela_learn(network, sample, TOY_INPUTS + 1U, 0U, &result), SPELA_ERROR_SIZE);
    if ((toy_model.flags & SPELA_FLAG_INFERENCE_ONLY) != 0U) {
        REFUSED(spela_learn(network, sample, TOY_INPUTS, 0U, &result), SPELA_ERROR_READ_ONLY);
    } else {
        REFUSED(spela_learn(network, sample, TOY_INPUTS, TOY_CLASSES, &result), SPELA_ERROR_LABEL);
        REFUSED(spela_learn(network, sample, TOY_INPUTS, UINT16_MAX, &result), SPELA_ERROR_LABEL);
    }
    CHECK(memcmp(&result, &before, sizeof result) == 0);
#endif
}

static void misuse_views(spela_t *network) {
    const spela_layer_view_t view_before = {NULL, 7U, NULL, 7U, 7U, 7U};
    const spela_counters_t counters_before = {7U, 7U, 7U, 7U, 7U};
    spela_layer_view_t view = view_before;
    spela_counters_t counters = counters_before;
    REFUSED(spela_view(NULL, 0U, &view), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_view(network, 0U, NULL), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_view(network, TOY_LAYERS, &view), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_view(network, UINT16_MAX, &view), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_counters(NULL, &counters), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_counters(network, NULL), SPELA_ERROR_ARGUMENT);
    REFUSED(spela_reset(NULL), SPELA_ERROR_ARGUMENT);
    CHECK(view.weights == view_before.weights && view.weight_bytes == view_before.weight_bytes &&
          view.activation == view_before.activation && view.updates == view_before.updates &&
          view.halvings == view_before.halvings && view.pending == view_before.pending);
    REFUSED(spela_flush(NULL), SPELA_ERROR_ARGUMENT);
    CHECK(memcmp(&counters, &counters_before, sizeof counters) == 0);
    CHECK(spela_scores(NULL) == NULL);
    CHECK(spela_digest(NULL) == 0U);
}

int main(void) {
    uint8_t *const memory = malloc(TOY_ARENA_BYTES);
    int8_t *const sample = malloc(TOY_INPUTS);
    spela_t *network = NULL;
    spela_result_t result;
    if (memory == NULL || sample == NULL) {
        return 2;
    }
    arena = memory;
    memset(memory, 0xA5, TOY_ARENA_BYTES);
    memset(sample, 100, TOY_INPUTS);
    take_snapshot();
    misuse_init(memory);
    misuse_model(memory);
    misuse_sizes(memory);

    CHECK(spela_init(&network, &toy_model, memory, TOY_ARENA_BYTES) == SPELA_OK);
    CHECK((uint8_t *)network == memory);
#ifndef SPELA_INFERENCE_ONLY
    if ((toy_model.flags & SPELA_FLAG_INFERENCE_ONLY) == 0U) {
        CHECK(spela_learn(network, sample, TOY_INPUTS, 1U, NULL) == SPELA_OK);
        CHECK(spela_learn(network, sample, TOY_INPUTS, 0U, &result) == SPELA_OK);
    }
#endif
    CHECK(spela_infer(network, sample, TOY_INPUTS, &result) == SPELA_OK);
    take_snapshot();
    misuse_infer(network, sample);
    misuse_learn(network, sample);
    misuse_views(network);
    printf("%d failures\n", failures);
    free(sample);
    free(memory);
    return failures != 0;
}
