/* SPDX-License-Identifier: Apache-2.0 */
/** The table of classes and the memory of samples (docs/arithmetic-continual.md). */
#include "spela_continual.h"

#include "spela_network.h"

#ifdef SPELA_WITH_CONTINUAL

#define MEMORY_BYTES_MAX (UINT32_C(1) << 28)
#define LIMIT_STEP       (UINT32_C(1) << 22)
#define LIMIT_ONE        65536 /* a limit is Q1.14 times this */
#define LIMIT_MIN        LIMIT_ONE
#define LIMIT_MAX        (INT16_MAX * LIMIT_ONE)

const uint8_t spela_runtime_for_continual = 1U;

static const spela_continual_t *continual_of(const spela_t *network) {
    return network->model.pointer->continual;
}

/* ------------------------------------------------------------------------- the arena */

/** How many limits follow what is taught: one an exit, or none. */
static uint32_t limit_count(const spela_model_t *model) {
    return spela_follows(model) ? spela_exits(model) : 0U;
}

/** Whether limits stay within Q1.14 while they follow. */
static bool limits_are_valid(const spela_model_t *model) {
    const spela_continual_t *const continual = model->continual;
    if (continual->unknown_by > (uint32_t)SPELA_UNKNOWN_BY_MARGIN || continual->rise > LIMIT_STEP) {
        return false;
    }
    const uint32_t count = limit_count(model);
    if (count != 0U && continual->limits == NULL) {
        return false;
    }
    for (uint32_t i = 0U; i < count; i++) {
        if (continual->limits[i] <= 0) {
            return false;
        }
    }
    return true;
}

bool spela_continual_is_valid(const spela_model_t *model) {
    const spela_continual_t *const continual = model->continual;
    const uint32_t slots = (uint32_t)model->classes * continual->capacity; /* < 2^32 */
    return continual->known <= model->classes &&
           slots <= MEMORY_BYTES_MAX / spela_padded(spela_layer_inputs(model)) &&
           (continual->samples == NULL) == (continual->seen == NULL) && limits_are_valid(model);
}

uint32_t spela_memory_bytes(const spela_model_t *model, uint32_t classes) {
    return classes * model->continual->capacity * spela_padded(spela_layer_inputs(model));
}

uint32_t spela_limit_bytes(const spela_model_t *model) {
    return 4U * ((limit_count(model) + 1U) & ~UINT32_C(1));
}

int32_t *spela_limits(const spela_t *network) {
    return (int32_t *)(void *)&spela_classes(network)[network->model.pointer->classes];
}

uint32_t spela_continual_bytes(const spela_model_t *model) {
    const uint32_t bytes =
        model->classes * (uint32_t)sizeof(spela_class_t) + spela_limit_bytes(model);
    return bytes + ((spela_memory_bytes(model, model->classes) + 7U) & ~UINT32_C(7));
}

int8_t *spela_kept_samples(const spela_t *network, uint32_t label) {
    const spela_model_t *const model = network->model.pointer;
    int8_t *const memory = (int8_t *)spela_limits(network) + spela_limit_bytes(model);
    return memory + spela_memory_bytes(model, label);
}

void spela_restart_classes(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    const spela_continual_t *const continual = model->continual;
    for (uint32_t c = 0U; c < model->classes; c++) {
        const bool is_known = c < continual->known;
        const uint32_t seen = is_known && continual->seen != NULL ? continual->seen[c] : 0U;
        const spela_class_t state = {seen, is_known ? 1U : 0U};
        spela_classes(network)[c] = state;
    }
    for (uint32_t i = 0U; i < limit_count(model); i++) {
        spela_limits(network)[i] = continual->limits[i] * LIMIT_ONE;
    }
    if (continual->samples != NULL) {
        int8_t *const memory = spela_kept_samples(network, 0U);
        for (uint32_t i = 0U; i < spela_memory_bytes(model, continual->known); i++) {
            memory[i] = continual->samples[i];
        }
    }
}

/* ------------------------------------------------------------------------ the classes */

uint16_t spela_best_active(const spela_t *network, uint32_t other_than) {
    const spela_class_t *const classes = spela_classes(network);
    const int32_t *const scores = spela_scores(network);
    uint32_t best = SPELA_UNKNOWN;
    for (uint32_t c = 0U; c < network->model.pointer->classes; c++) {
        if (classes[c].is_active != 0U && c != other_than &&
            (best == SPELA_UNKNOWN || scores[c] > scores[best])) {
            best = c;
        }
    }
    return (uint16_t)best;
}

spela_status_t spela_class(const spela_t *network, uint16_t label, spela_class_t *found) {
    if (network == NULL || found == NULL || !SPELA_IS_CONTINUAL(network->model.pointer)) {
        return SPELA_ERROR_ARGUMENT;
    }
    if (label >= network->model.pointer->classes) {
        return SPELA_ERROR_LABEL;
    }
    *found = spela_classes(network)[label];
    return SPELA_OK;
}

spela_status_t spela_check_changeable(const spela_t *network) {
    if (network == NULL || !SPELA_IS_CONTINUAL(network->model.pointer)) {
        return SPELA_ERROR_ARGUMENT;
    }
    return SPELA_LEARNS(network->model.pointer) ? SPELA_OK : SPELA_ERROR_READ_ONLY;
}

/* cppcheck-suppress constParameterPointer ; it writes to the arena, which the network begins */
spela_status_t spela_add_class(spela_t *network, uint16_t *label) {
    const spela_status_t status = spela_check_changeable(network);
    if (status != SPELA_OK) {
        return status;
    }
    if (label == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    spela_class_t *const classes = spela_classes(network);
    for (uint16_t c = 0U; c < network->model.pointer->classes; c++) {
        if (classes[c].is_active == 0U) {
            classes[c].is_active = 1U;
            *label = c;
            return SPELA_OK;
        }
    }
    return SPELA_ERROR_LABEL;
}

/* ------------------------------------------------------------- what is unknown, and asked */

/** What of an answer is compared with its exit's limit. */
static int32_t compared(const spela_model_t *model, const spela_result_t *result) {
    return model->continual->unknown_by == (uint8_t)SPELA_UNKNOWN_BY_COSINE ? result->cosine
                                                                            : result->margin;
}

bool spela_is_unknown(const spela_t *network, const spela_result_t *result) {
    const spela_model_t *const model = network->model.pointer;
    return spela_follows(model) &&
           compared(model, result) * LIMIT_ONE < spela_limits(network)[result->exit];
}

void spela_follow(const spela_t *network, const spela_result_t *result) {
    const spela_continual_t *const continual = continual_of(network);
    if (!spela_follows(network->model.pointer)) {
        return;
    }
    int32_t *const limit = &spela_limits(network)[result->exit];
    const bool is_above = !spela_is_unknown(network, result);
    const int32_t step =
        is_above ? (int32_t)continual->rise : (int32_t)continual->rise - (int32_t)LIMIT_STEP;
    *limit = spela_clip(*limit + step, LIMIT_MIN, LIMIT_MAX); /* |limit| < 2^31 - 2^22 */
}

uint32_t spela_wants_label(const spela_t *network, const spela_result_t *result) {
    if (network == NULL || result == NULL || !SPELA_IS_CONTINUAL(network->model.pointer)) {
        return 0U;
    }
    const spela_model_t *const model = network->model.pointer;
    if (result->label >= model->classes || result->margin < model->margin) {
        return 1U;
    }
    const spela_class_t *const classes = spela_classes(network);
    uint64_t seen = 0U;
    uint32_t active = 0U;
    for (uint32_t c = 0U; c < model->classes; c++) {
        seen += classes[c].seen; /* of spare classes, none */
        active += classes[c].is_active;
    }
    const bool is_rare = (uint64_t)classes[result->label].seen * active * 2U < seen;
    return is_rare && result->margin < 2 * model->margin ? 1U : 0U;
}

/* ------------------------------------------------------------------------- the memory */

/** A number below `count`, drawn. */
static uint32_t draw(spela_t *network, uint32_t count) {
    network->dither_state = spela_next(network->dither_state);
    return (uint32_t)(((uint64_t)network->dither_state * count) >> 32);
}

uint32_t spela_kept_count(const spela_t *network, uint32_t label) {
    const uint32_t seen = spela_classes(network)[label].seen;
    const uint32_t capacity = continual_of(network)->capacity;
    return seen < capacity ? seen : capacity;
}

static int8_t *slot_of(const spela_t *network, uint32_t label, uint32_t slot) {
    return spela_kept_samples(network, label) +
           slot * spela_padded(spela_layer_inputs(network->model.pointer));
}

const int8_t *spela_draw_kept(spela_t *network, uint32_t except, uint16_t *label) {
    const uint32_t classes = network->model.pointer->classes;
    uint32_t count = 0U;
    for (uint32_t c = 0U; c < classes; c++) {
        count += c != except && spela_kept_count(network, c) != 0U ? 1U : 0U;
    }
    if (count == 0U) {
        return NULL;
    }
    uint32_t left = draw(network, count) + 1U;
    uint16_t chosen = 0U;
    for (;; chosen++) {
        left -= chosen != except && spela_kept_count(network, chosen) != 0U ? 1U : 0U;
        if (left == 0U) {
            break;
        }
    }
    *label = chosen;
    return slot_of(network, chosen, draw(network, spela_kept_count(network, chosen)));
}

void spela_keep_sample(spela_t *network, const int8_t *sample, uint16_t label) {
    const uint32_t capacity = continual_of(network)->capacity;
    const uint32_t inputs = spela_layer_inputs(network->model.pointer);
    uint32_t *const seen = &spela_classes(network)[label].seen;
    const uint32_t now = *seen == UINT32_MAX ? UINT32_MAX : *seen + 1U;
    const uint32_t slot = *seen < capacity || capacity == 0U ? *seen : draw(network, now);
    *seen = now;
    if (slot >= capacity) {
        return;
    }
    int8_t *const place = slot_of(network, label, slot);
    if (SPELA_HAS_FRONT(network->model.pointer)) {
        spela_write_inputs(network, place);
    } else {
        for (uint32_t i = 0U; i < inputs; i++) {
            place[i] = sample[i];
        }
    }
    for (uint32_t i = inputs; i < spela_padded(inputs); i++) {
        place[i] = 0;
    }
}

#endif /* SPELA_WITH_CONTINUAL */
