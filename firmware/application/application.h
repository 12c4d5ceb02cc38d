/* SPDX-License-Identifier: Apache-2.0 */
/** Everything that the application keeps in RAM, apart from the stack. */
#ifndef APPLICATION_H
#define APPLICATION_H

#include "application_config.h"
#include "frame.h"
#include "spela.h"

/** The longest request: a labelled sample. The sample starts at a multiple of 4 bytes. */
#define APPLICATION_FRAME_BYTES                                                                    \
    ((APPLICATION_INPUT_COUNT > 8U ? APPLICATION_INPUT_COUNT : 8U) + 4U + FRAME_CRC_BYTES)

typedef struct {
    uint8_t arena[APPLICATION_ARENA_SIZE] __attribute__((aligned(8)));
    uint8_t frame[APPLICATION_FRAME_BYTES] __attribute__((aligned(4)));
    spela_t *network;
    frame_reader_t reader;
    frame_writer_t writer;
} application_t;

extern application_t application;

#endif /* APPLICATION_H */
