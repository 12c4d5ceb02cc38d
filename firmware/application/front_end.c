/* SPDX-License-Identifier: Apache-2.0 */
/** What is asked of the front end: to take readings, and to give the sample that became of them. */
#include "request.h"

#ifdef SPELA_WITH_FRONT_END

/** Of PUSH: a new window begins. */
#define PUSH_RESTARTS 1U

uint32_t front_end_push(application_t *device, const request_t *request) {
    const uint32_t reading_bytes = APPLICATION_AXES * (uint32_t)sizeof(application_reading_t);
    if (request->data_bytes % reading_bytes != 0U) {
        return PROTOCOL_LENGTH;
    }
    if (request->argument > PUSH_RESTARTS) {
        return (uint32_t)SPELA_ERROR_ARGUMENT;
    }
    if (request->argument == PUSH_RESTARTS) {
        spela_front_end_restart(&APPLICATION_FRONT_END);
    }
    const application_reading_t *const values =
        (const application_reading_t *)(const void *)request->data;
    const uint32_t count = request->data_bytes / (uint32_t)sizeof(application_reading_t);
    uint32_t taken = 0U;
    bool is_ready = spela_sample_ready(&APPLICATION_FRONT_END);
    for (uint32_t at = 0U; at < count; at += APPLICATION_AXES) {
        taken += APPLICATION_PUSH(&values[at]) ? 1U : 0U;
        is_ready = spela_sample_ready(&APPLICATION_FRONT_END);
    }
    keep_u16(device, taken);
    keep_u16(device, is_ready ? 1U : 0U);
    return (uint32_t)SPELA_OK;
}

void answer_sample(application_t *device, const request_t *request) {
    const int8_t *const sample = spela_sample_take(&APPLICATION_FRONT_END);
    if (sample == NULL) {
        answer_status(device, request, PROTOCOL_NOT_READY);
        return;
    }
    answer_start(device, request, (uint32_t)SPELA_OK);
    frame_write_bytes(&device->writer, (const uint8_t *)sample, APPLICATION_INPUT_COUNT);
    frame_write_end(&device->writer);
}

static bool takes_sample(uint8_t command) {
#ifdef SPELA_WITH_CONTINUAL
    if (command == COMMAND_ASK) {
        return true;
    }
#endif
    return command == COMMAND_INFER || command == COMMAND_INFER_LAST ||
           command == COMMAND_INFER_EARLY || command == COMMAND_LEARN;
}

bool front_end_find_sample(request_t *request) {
    if (!takes_sample(request->command) || request->data_bytes > 0U) {
        return true;
    }
    request->data = (const uint8_t *)spela_sample_take(&APPLICATION_FRONT_END);
    request->data_bytes = APPLICATION_INPUT_COUNT;
    return request->data != NULL;
}

#endif /* SPELA_WITH_FRONT_END */
