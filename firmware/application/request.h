/* SPDX-License-Identifier: Apache-2.0 */
/** A request in hand, and its answer. Private to the application. */
#ifndef REQUEST_H
#define REQUEST_H

#include "application.h"

typedef struct {
    uint8_t command;
    uint8_t flags;
    uint16_t number;
    uint32_t argument;
    const uint8_t *data;
    uint32_t data_bytes;
    bool is_repeated; /**< it was answered before, and is not to be counted again */
} request_t;

static inline uint32_t half_at(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8);
}

static inline uint32_t word_at(const uint8_t *bytes) {
    return half_at(bytes) | (half_at(&bytes[2]) << 16);
}

/** Starts an answer that is sent as it is made; the caller writes the body and ends the frame. */
void answer_start(application_t *device, const request_t *request, uint32_t status);

/** An answer without a body. */
void answer_status(application_t *device, const request_t *request, uint32_t status);

/** Appends to the body of an answer that is kept; at most KEPT_BODY_BYTES in all. */
void keep_u16(application_t *device, uint32_t value);
void keep_u32(application_t *device, uint32_t value);

#endif /* REQUEST_H */
