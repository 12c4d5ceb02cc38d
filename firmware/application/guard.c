/* SPDX-License-Identifier: Apache-2.0 */
/** The guard: a few samples that are never learned tell when learning goes wrong. */
#include "request.h"

/** What LEARN says when the guard did not look, and what it adds when the guard went back. */
#define NOT_LOOKED UINT16_MAX
#define WENT_BACK  0x8000U

/** Numbers of GUARD's answer, where there is no guard. */
#define GUARD_NUMBERS 6U

#ifdef APPLICATION_GUARD_SAMPLES

/** How many of the guard's samples the network gets right. */
static uint32_t look(application_t *device) {
    uint32_t right = 0U;
    for (uint32_t i = 0U; i < APPLICATION_GUARD_SAMPLES; i++) {
        spela_result_t result;
        const spela_status_t status = spela_infer(device->network, application_guard_samples[i],
                                                  APPLICATION_INPUT_COUNT, &result);
        if (status == SPELA_OK && result.label == application_guard_labels[i]) {
            right++;
        }
    }
    return right;
}

void guard_set_baseline(application_t *device) {
    kept_t *const kept = &device->kept;
    if (kept->baseline == NO_BASELINE || kept->guard != APPLICATION_GUARD_TAG) {
        kept->baseline = (uint16_t)look(device);
        kept->guard = APPLICATION_GUARD_TAG;
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
    const uint32_t right = look(device);
    if (right + APPLICATION_GUARD_DROP >= kept->baseline) {
        return right;
    }
    go_back(device);
    return right | WENT_BACK;
}

uint32_t guard_answer(application_t *device) {
    keep_u16(device, APPLICATION_GUARD_SAMPLES);
    keep_u16(device, look(device));
    keep_u16(device, device->kept.baseline);
    keep_u16(device, APPLICATION_GUARD_DROP);
    keep_u16(device, APPLICATION_GUARD_INTERVAL);
    keep_u16(device, device->kept.times_back);
    return (uint32_t)SPELA_OK;
}

#else

void guard_set_baseline(application_t *device) {
    device->kept.baseline = 0U;
    device->kept.guard = 0U;
}

uint32_t guard_count(application_t *device) {
    (void)device;
    return NOT_LOOKED;
}

uint32_t guard_answer(application_t *device) {
    for (uint32_t i = 0U; i < GUARD_NUMBERS; i++) {
        keep_u16(device, 0U);
    }
    return (uint32_t)SPELA_OK;
}

#endif
