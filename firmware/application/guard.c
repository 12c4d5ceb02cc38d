/* SPDX-License-Identifier: Apache-2.0 */
/** The guard: a few samples that are never learned tell when learning goes wrong. */
#include "request.h"

/** What LEARN says when the guard did not look, and what it adds when the guard went back. */
#define NOT_LOOKED UINT16_MAX
#define WENT_BACK  0x8000U

#ifdef APPLICATION_GUARD_SAMPLES

uint32_t guard_look(application_t *device) {
    uint32_t right = 0U;
    for (uint32_t i = 0U; i < APPLICATION_GUARD_SAMPLES; i++) {
        spela_result_t result;
        const int8_t *const sample = &APPLICATION_GUARD_INPUTS[i * APPLICATION_INPUT_COUNT];
        if (spela_infer(device->network, sample, APPLICATION_INPUT_COUNT, &result) == SPELA_OK &&
            result.label == APPLICATION_GUARD_LABELS[i]) {
            right++;
        }
    }
    return right;
}

void guard_set_baseline(application_t *device) {
    if (device->kept.baseline == NO_BASELINE) {
        device->kept.baseline = (uint16_t)guard_look(device);
    }
}

/** Back to the checkpoint, or to the factory's weights. */
static void go_back(application_t *device) {
    const uint32_t times = device->kept.times_back;
    if (state_load(device, STORE_CHECKPOINT) != (uint32_t)SPELA_OK) {
        (void)spela_reset(device->network);
        device->kept.baseline = NO_BASELINE;
        guard_set_baseline(device);
    }
    device->kept.times_back = (uint16_t)(times < UINT16_MAX ? times + 1U : times);
    device->kept.since_look = 0U;
}

uint32_t guard_count(application_t *device) {
    kept_t *const kept = &device->kept;
    kept->since_look++;
    if (kept->since_look < APPLICATION_GUARD_INTERVAL) {
        return NOT_LOOKED;
    }
    kept->since_look = 0U;
    const uint32_t right = guard_look(device);
    if (right + APPLICATION_GUARD_DROP >= kept->baseline) {
        return right;
    }
    go_back(device);
    return right | WENT_BACK;
}

uint32_t guard_answer(application_t *device) {
    keep_u16(device, APPLICATION_GUARD_SAMPLES);
    keep_u16(device, guard_look(device));
    keep_u16(device, device->kept.baseline);
    keep_u16(device, APPLICATION_GUARD_DROP);
    keep_u16(device, APPLICATION_GUARD_INTERVAL);
    keep_u16(device, device->kept.times_back);
    return (uint32_t)SPELA_OK;
}

#else

uint32_t guard_look(application_t *device) {
    (void)device;
    return 0U;
}

void guard_set_baseline(application_t *device) {
    device->kept.baseline = 0U;
}

uint32_t guard_count(application_t *device) {
    (void)device;
    return NOT_LOOKED;
}

uint32_t guard_answer(application_t *device) {
    for (uint32_t i = 0U; i < 6U; i++) {
        keep_u16(device, 0U);
    }
    return (uint32_t)SPELA_OK;
}

#endif
