/* SPDX-License-Identifier: Apache-2.0 */
/** Everything that the application keeps in RAM, apart from the stack. */
#ifndef APPLICATION_H
#define APPLICATION_H

#include "application_config.h"
#include "frame.h"
#include "protocol.h"
#include "spela.h"

/** The most data of a request: a sample, or 64 bytes. It starts at a multiple of 4 bytes. */
#define APPLICATION_DATA_BYTES  (APPLICATION_INPUT_COUNT > 64U ? APPLICATION_INPUT_COUNT : 64U)
#define APPLICATION_FRAME_BYTES (REQUEST_HEAD_BYTES + APPLICATION_DATA_BYTES + FRAME_CRC_BYTES)

struct application {
    uint8_t arena[APPLICATION_ARENA_SIZE] __attribute__((aligned(8)));
    uint8_t frame[APPLICATION_FRAME_BYTES] __attribute__((aligned(4)));
    spela_t *network; /**< NULL if spela_init refused */
    frame_reader_t reader;
    frame_writer_t writer;
    last_request_t last;
};

extern application_t application;

#endif /* APPLICATION_H */
