/* SPDX-License-Identifier: Apache-2.0 */
/** Classes that come and go: they are added, rehearsed and forgotten. */
#include "request.h"
#ifdef SPELA_WITH_CONTINUAL
#include "spela_continual.h"
#endif

#ifdef SPELA_WITH_CONTINUAL

/** The most samples of a request to rehearse: its host waits for the answer. */
#define REHEARSED_MAX 64U

void answer_classes(application_t *device, const request_t *request) {
    answer_start(device, request, (uint32_t)SPELA_OK);
    for (uint32_t c = 0U; c < APPLICATION_CLASS_COUNT; c++) {
        spela_class_t known = {0U, 0U};
        (void)spela_class(device->network, (uint16_t)c, &known); /* c is a class: it cannot fail */
        frame_write_u32(&device->writer, known.seen);
        frame_write_u32(&device->writer, known.is_active);
    }
    frame_write_end(&device->writer);
}

/** Gives a class a name, or none, and lets its figures begin. */
static void begin(application_t *device, uint32_t label, const request_t *named) {
    static const class_figures_t none = {0, 0U, 0U, 0U, 0};
    for (uint32_t i = 0U; i < NAME_BYTES; i++) {
        device->kept.names[label][i] = named != NULL && i < named->data_bytes ? named->data[i] : 0U;
    }
    device->kept.classes[label] = none;
}

static uint32_t add(application_t *device, const request_t *request) {
    if (request->data_bytes > NAME_BYTES) {
        return PROTOCOL_LENGTH;
    }
    uint16_t label = 0U;
    const spela_status_t status = spela_add_class(device->network, &label);
    if (status == SPELA_OK) {
        begin(device, label, request);
        keep_u16(device, label);
    }
    return (uint32_t)status;
}

static uint32_t forget(application_t *device, const request_t *request) {
    if (request->data_bytes != 0U) {
        return PROTOCOL_LENGTH;
    }
    if (request->argument >= APPLICATION_CLASS_COUNT) {
        return (uint32_t)SPELA_ERROR_LABEL;
    }
    const spela_status_t status = spela_forget(device->network, (uint16_t)request->argument);
    if (status == SPELA_OK || status == SPELA_ERROR_FLASH) { /* either way it is spare */
        begin(device, request->argument, NULL);
        device->kept.baseline = NO_BASELINE; /* the guard has samples of it, maybe */
        guard_set_baseline(device);
    }
    return (uint32_t)status;
}

static uint32_t rehearse(application_t *device, const request_t *request) {
    if (request->data_bytes != 0U) {
        return PROTOCOL_LENGTH;
    }
    if (request->argument > REHEARSED_MAX) {
        return (uint32_t)SPELA_ERROR_ARGUMENT;
    }
    return (uint32_t)spela_rehearse(device->network, request->argument);
}

uint32_t classes_change(application_t *device, const request_t *request) {
    if (device->kept.is_frozen != 0U) {
        return PROTOCOL_FROZEN;
    }
    switch (request->command) {
    case COMMAND_ADD_CLASS:
        return add(device, request);
    case COMMAND_FORGET:
        return forget(device, request);
    default:
        return rehearse(device, request);
    }
}

#endif /* SPELA_WITH_CONTINUAL */
