/* SPDX-License-Identifier: Apache-2.0 */
/** The guard, for which the protocol keeps room: no model has one yet. */
#include "request.h"

/** What LEARN says when the guard did not look. */
#define NOT_LOOKED UINT16_MAX

/** Numbers of GUARD's answer. */
#define GUARD_NUMBERS 6U

void guard_set_baseline(application_t *device) {
    device->kept.baseline = 0U;
}

uint32_t guard_count(const application_t *device) {
    (void)device;
    return NOT_LOOKED;
}

uint32_t guard_answer(application_t *device) {
    for (uint32_t i = 0U; i < GUARD_NUMBERS; i++) {
        keep_u16(device, 0U);
    }
    return (uint32_t)SPELA_OK;
}
