/* SPDX-License-Identifier: Apache-2.0 */
/** How a network learns its memory again, and how it forgets a class
 *  (docs/arithmetic-continual.md). Included by spela_learn.c alone. */
#ifndef SPELA_LEARN_CONTINUAL_H
#define SPELA_LEARN_CONTINUAL_H

#define FORGET_PASSES    6U  /**< over the samples of a class that is forgotten */
#define FORGET_REHEARSED 4U  /**< samples of other classes after each of these */
#define FORGET_DRAWN     20U /**< samples that stand for a mean */

/** Rehearses samples of all classes but `except`; false if there are none, or flash does not give
 *  one. */
static bool rehearse(spela_t *network, uint32_t steps, uint32_t except) {
    for (uint32_t i = 0U; i < steps; i++) {
        uint16_t label = 0U;
        const int8_t *const kept = spela_draw_kept(network, except, &label);
        if (kept == NULL) {
            return false;
        }
        spela_read_sample(network, 0U, kept);
        learn_sample(network, kept, label, false, NULL);
    }
    return true;
}

spela_status_t spela_rehearse(spela_t *network, uint32_t steps) {
    const spela_status_t status = spela_check_changeable(network);
    if (status != SPELA_OK) {
        return status;
    }
    const bool is_done = rehearse(network, steps, SPELA_UNKNOWN);
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    const spela_status_t flash = spela_take_failure(network);
    if (flash != SPELA_OK) {
        return flash;
    }
#endif
    return is_done ? SPELA_OK : SPELA_ERROR_LABEL;
}

/** What the last exit takes a sample of the memory for, if it is not of class `label`. */
static uint16_t best_other(spela_t *network, const int8_t *kept, uint16_t label) {
    const uint32_t last = network->model.pointer->layer_count - 1U;
    const int8_t *map = kept;
    spela_read_sample(network, 0U, kept);
    for (uint32_t i = 0U; i <= last; i++) {
#ifdef SPELA_WITH_CONVOLUTION
        if (SPELA_IS_CONVOLUTION(spela_layer(network, i))) {
            map = spela_run_layer_convolution(network, i, map, false);
            continue;
        }
        if (SPELA_IS_READOUT(spela_layer(network, i)) && i < last) {
            continue; /* nothing needs its activation */
        }
#endif
        if (SPELA_IS_TAP(spela_layer(network, i)) && i < last) {
            continue; /* nor this one's */
        }
        (void)spela_run_exit(network, i, map);
    }
    spela_score(network, last);
    return spela_best_class(network, label);
}

/** Teaches that each sample of a class is of the other class that it is most like. */
static void unlearn(spela_t *network, uint16_t label) {
    const uint32_t drawn = SPELA_HAS_MEANS(network->model.pointer) ? FORGET_DRAWN : 1U;
    const uint32_t count = spela_kept_count(network, label) * drawn;
    for (uint32_t k = 0U; k < FORGET_PASSES * count; k++) {
        const int8_t *const kept = spela_recall_kept(network, label, k % count);
#ifdef SPELA_WITH_MEMORY_IN_FLASH
        if (kept == NULL) {
            return;
        }
#endif
        const uint16_t other = best_other(network, kept, label);
        if (other == SPELA_UNKNOWN) {
            return; /* the class is the only one */
        }
        spela_read_sample(network, 0U, kept);
        learn_sample(network, kept, other, false, NULL);
        (void)rehearse(network, FORGET_REHEARSED, label); /* there may be no others */
    }
}

spela_status_t spela_forget(spela_t *network, uint16_t label) {
    const spela_status_t status = spela_check_changeable(network);
    if (status != SPELA_OK) {
        return status;
    }
    if (label >= network->model.pointer->classes || spela_classes(network)[label].is_active == 0U) {
        return SPELA_ERROR_LABEL;
    }
    unlearn(network, label);
    spela_drop_class(network, label);
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    return spela_take_failure(network);
#else
    return SPELA_OK;
#endif
}

#endif /* SPELA_LEARN_CONTINUAL_H */
