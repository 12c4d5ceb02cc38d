/* SPDX-License-Identifier: Apache-2.0 */
/** The table of classes and the memory (docs/arithmetic-continual.md). */
#include "spela_continual.h"

#include "spela_network.h"

#ifdef SPELA_WITH_CONTINUAL

#define MEMORY_BYTES_MAX (UINT32_C(1) << 28)
#define LIMIT_STEP       (UINT32_C(1) << 22)
#define LIMIT_ONE        65536 /* a limit is Q1.14 times this */
#define LIMIT_MIN        LIMIT_ONE
#define LIMIT_MAX        (INT16_MAX * LIMIT_ONE)

const uint8_t spela_runtime_for_continual = 1U;
#ifdef SPELA_WITH_MEANS
const uint8_t spela_runtime_for_means = 1U;
#endif

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
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    if (SPELA_KEEPS_IN_FLASH(model) && !spela_memory_flash_is_valid(model)) {
        return false;
    }
#endif
    const bool has_means = SPELA_HAS_MEANS(model);
    uint32_t slots = (uint32_t)model->classes * continual->capacity; /* < 2^32 */
    slots += has_means ? 2U : 0U; /* the deviations and the sample that is drawn */
    return continual->known <= model->classes &&
           (continual->keeps == (uint8_t)SPELA_KEEPS_SAMPLES || has_means) &&
           (!has_means || continual->capacity == 1U) &&
           slots <= MEMORY_BYTES_MAX / spela_slot_bytes(model) &&
           (continual->memory == NULL) == (continual->seen == NULL) && limits_are_valid(model);
}

uint32_t spela_slot_bytes(const spela_model_t *model) {
    return spela_padded(spela_layer_inputs(model)) * (SPELA_HAS_MEANS(model) ? 2U : 1U);
}

uint32_t spela_deviation_bytes(const spela_model_t *model) {
    return SPELA_HAS_MEANS(model) ? spela_slot_bytes(model) : 0U;
}

uint32_t spela_memory_bytes(const spela_model_t *model, uint32_t classes) {
    return classes * model->continual->capacity * spela_slot_bytes(model);
}

/** Of the deviations, the memory, and the sample that is drawn. */
static uint32_t region_bytes(const spela_model_t *model) {
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    if (SPELA_KEEPS_IN_FLASH(model)) {
        return spela_memory_flash_bytes(model);
    }
#endif
    return spela_deviation_bytes(model) + spela_memory_bytes(model, model->classes) +
           spela_deviation_bytes(model) / 2U;
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
    return bytes + ((region_bytes(model) + 7U) & ~UINT32_C(7));
}

/** Where the deviations are, if there are any; the memory follows. */
static uint8_t *region_of(const spela_t *network) {
    return (uint8_t *)spela_limits(network) + spela_limit_bytes(network->model.pointer);
}

uint16_t *spela_deviations(const spela_t *network) {
    return (uint16_t *)(void *)region_of(network);
}

void *spela_slot(const spela_t *network, uint32_t label, uint32_t slot) {
    const spela_model_t *const model = network->model.pointer;
    return region_of(network) + spela_deviation_bytes(model) + spela_memory_bytes(model, label) +
           slot * spela_slot_bytes(model);
}

int8_t *spela_drawn(const spela_t *network) {
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    if (SPELA_KEEPS_IN_FLASH(network->model.pointer)) {
        return spela_flash_sample(network);
    }
#endif
    return spela_slot(network, network->model.pointer->classes, 0U);
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
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    if (SPELA_KEEPS_IN_FLASH(model)) {
        spela_restart_memory_flash(network);
        return;
    }
#endif
    const uint8_t *const initial = continual->memory;
    const uint32_t bytes = initial == NULL ? 0U
                                           : spela_deviation_bytes(model) +
                                                 spela_memory_bytes(model, continual->known);
    uint8_t *const region = region_of(network);
    for (uint32_t i = 0U; i < region_bytes(model); i++) {
        region[i] = i < bytes ? initial[i] : 0U;
    }
}

void spela_drop_class(const spela_t *network, uint32_t label) {
    const spela_class_t spare = {0U, 0U};
    spela_classes(network)[label] = spare;
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    if (SPELA_KEEPS_IN_FLASH(network->model.pointer)) {
        spela_clear_slots(network, label);
        if (!spela_sweep_memory_flash(network)) {
            spela_note_failure(network);
        }
        return;
    }
#endif
    uint8_t *const slots = spela_slot(network, label, 0U);
    for (uint32_t i = 0U; i < spela_memory_bytes(network->model.pointer, 1U); i++) {
        slots[i] = 0U;
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

uint64_t spela_seen_in_all(const spela_t *network) {
    uint64_t seen = 0U;
    for (uint32_t c = 0U; c < network->model.pointer->classes; c++) {
        seen += spela_classes(network)[c].seen; /* of spare classes, none */
    }
    return seen;
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
    uint32_t active = 0U;
    for (uint32_t c = 0U; c < model->classes; c++) {
        active += classes[c].is_active;
    }
    const bool is_rare =
        (uint64_t)classes[result->label].seen * active * 2U < spela_seen_in_all(network);
    return is_rare && result->margin < 2 * model->margin ? 1U : 0U;
}

#endif /* SPELA_WITH_CONTINUAL */
