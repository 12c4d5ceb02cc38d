/* SPDX-License-Identifier: Apache-2.0 */
/** What is kept of the classes, and rehearsed: samples, or means (docs/arithmetic-continual.md). */
#include "spela_continual.h"

#include "spela_network.h"

#ifdef SPELA_WITH_CONTINUAL

#define FRACTION_BITS 8U
#define FRACTION_ONE  256 /* 2^8 */
#define WEIGHT_MAX    8U
#define NOISE_BITS    7U
#define NOISE_ONE     128 /* z = 128 would be noise of one deviation */
#define INPUT_MAX     INT8_MAX

/* -------------------------------------------------------------------------- a mean */

/** The shift by which a mean of so many samples, one or more, follows the last of them. */
static uint32_t mean_weight(uint64_t count) {
    const uint32_t bits = count >> WEIGHT_MAX != 0U ? WEIGHT_MAX + 1U : spela_bits((uint32_t)count);
    return bits - 1U;
}

/** Has a class's mean, and the deviations, follow a sample of it that is counted already. */
static void follow_mean(const spela_t *network, uint16_t label, const int8_t *sample) {
    const uint32_t seen = spela_classes(network)[label].seen;
    const uint32_t own_weight = mean_weight(seen);
    const uint32_t weight = mean_weight(spela_seen_in_all(network));
    int16_t *const mean = spela_slot(network, label, 0U);
    uint16_t *const deviations = spela_deviations(network);
    for (uint32_t i = 0U; i < spela_layer_inputs(network->model.pointer); i++) {
        const int32_t value = sample[i] * FRACTION_ONE;
        const int32_t apart = value - mean[i];
        if (seen > 1U) { /* else it is the first */
            const int32_t deviation = deviations[i];
            const int32_t change = (apart < 0 ? -apart : apart) - deviation;
            deviations[i] = (uint16_t)(deviation + spela_shift_right_rounded(change, weight));
        }
        mean[i] = (int16_t)(mean[i] + spela_shift_right_rounded(apart, own_weight));
    }
}

/** Draws a sample near a mean. */
static const int8_t *draw_near(spela_t *network, uint16_t label) {
    const int16_t *const mean = spela_slot(network, label, 0U);
    const uint16_t *const deviations = spela_deviations(network);
    int8_t *const drawn = spela_drawn(network);
    uint32_t state = network->dither_state;
    for (uint32_t i = 0U; i < spela_layer_inputs(network->model.pointer); i++) {
        state = spela_next(state);
        const int32_t z = (int32_t)(state >> 24) + (int32_t)((state >> 16) & 255U) - 255;
        const int32_t scaled = mean[i] * NOISE_ONE + (int32_t)deviations[i] * z;
        drawn[i] = (int8_t)spela_clip(spela_shift_right_rounded(scaled, FRACTION_BITS + NOISE_BITS),
                                      -INPUT_MAX, INPUT_MAX);
    }
    network->dither_state = state;
    return drawn;
}

/* ------------------------------------------------------------------------- the memory */

/** A number below `count`, drawn. */
static uint32_t draw(spela_t *network, uint32_t count) {
    network->dither_state = spela_next(network->dither_state);
    return (uint32_t)(((uint64_t)network->dither_state * count) >> 32);
}

uint32_t spela_kept_count(const spela_t *network, uint32_t label) {
    const uint32_t seen = spela_classes(network)[label].seen;
    const uint32_t capacity = network->model.pointer->continual->capacity;
    return seen < capacity ? seen : capacity;
}

const int8_t *spela_recall_kept(spela_t *network, uint16_t label, uint32_t slot) {
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    if (SPELA_KEEPS_IN_FLASH(network->model.pointer)) {
        const int8_t *const sample = spela_read_slot(network, label, slot);
        if (sample == NULL) {
            spela_note_failure(network);
        }
        return sample;
    }
#endif
    return SPELA_HAS_MEANS(network->model.pointer) ? draw_near(network, label)
                                                   : spela_slot(network, label, slot);
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
    uint32_t passed = 0U;
    while (left != 0U) {
        left -= passed != except && spela_kept_count(network, passed) != 0U ? 1U : 0U;
        passed++;
    }
    const uint16_t chosen = (uint16_t)(passed - 1U);
    *label = chosen;
    const bool is_mean = SPELA_HAS_MEANS(network->model.pointer);
    const uint32_t slot = is_mean ? 0U : draw(network, spela_kept_count(network, chosen));
    return spela_recall_kept(network, chosen, slot);
}

/** Copies a sample, or what a frozen network made of it; what pads it stays. */
static void copy_inputs(const spela_t *network, const int8_t *sample, int8_t *place) {
    if (SPELA_HAS_FRONT(network->model.pointer)) {
        spela_write_inputs(network, place);
        return;
    }
    for (uint32_t i = 0U; i < spela_layer_inputs(network->model.pointer); i++) {
        place[i] = sample[i];
    }
}

void spela_keep_sample(spela_t *network, const int8_t *sample, uint16_t label) {
    const uint32_t capacity = network->model.pointer->continual->capacity;
    uint32_t *const seen = &spela_classes(network)[label].seen;
    const uint32_t now = *seen == UINT32_MAX ? UINT32_MAX : *seen + 1U;
    if (SPELA_HAS_MEANS(network->model.pointer)) {
        *seen = now;
        copy_inputs(network, sample, spela_drawn(network));
        follow_mean(network, label, spela_drawn(network));
        return;
    }
    const uint32_t slot = *seen < capacity || capacity == 0U ? *seen : draw(network, now);
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    if (slot < capacity && SPELA_KEEPS_IN_FLASH(network->model.pointer)) {
        copy_inputs(network, sample, spela_drawn(network));
        if (spela_write_slot(network, label, slot)) {
            *seen = now;
        } else {
            spela_note_failure(network); /* it is as if the sample had not been seen */
        }
        return;
    }
#endif
    *seen = now;
    if (slot < capacity) {
        copy_inputs(network, sample, spela_slot(network, label, slot));
    }
}

#endif /* SPELA_WITH_CONTINUAL */
