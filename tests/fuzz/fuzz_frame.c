/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of frames: any bytes, in a buffer of any size; and what is written is read again. */
#include "frame.h"
#include "line.h"
#include "port.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t sent[LINE_BYTES_MAX];
static size_t sent_bytes;

void port_write(uint8_t byte) {
    sent[sent_bytes] = byte;
    sent_bytes++;
}

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

/* What frame_read says of the bytes must be what another decoder says. */
static void read_line(const uint8_t *line, size_t count, uint32_t capacity) {
    static uint8_t payload[LINE_BYTES_MAX];
    uint8_t *const buffer = malloc(capacity + (capacity == 0U));
    frame_reader_t reader;
    size_t start = 0U;
    demand(buffer != NULL);
    frame_read_start(&reader, buffer, capacity);
    for (size_t i = 0U; i < count; i++) {
        uint32_t bytes = 0U;
        const frame_event_t event = frame_read(&reader, line[i], &bytes);
        if (line[i] != 0U) {
            demand(event == FRAME_PENDING);
            continue;
        }
        const size_t expected = line_decode(&line[start], i - start, payload);
        if (i == start) {
            demand(event == FRAME_PENDING);
        } else if (event == FRAME_READY) {
            demand(bytes == expected && memcmp(payload, buffer, bytes) == 0);
        } else {
            demand(event != FRAME_PENDING);
            demand(expected == SIZE_MAX || (event == FRAME_OVERLONG && expected + 4U > capacity));
        }
        start = i + 1U;
    }
    free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t payload[LINE_BYTES_MAX];
    if (size < 2U || size > 4096U) {
        return 0;
    }
    const uint32_t capacity = data[0];
    data++;
    size--;
    read_line(data, size, capacity);
    frame_writer_t writer;
    sent_bytes = 0U;
    frame_write_start(&writer);
    frame_write_bytes(&writer, data, size);
    frame_write_end(&writer);
    demand(memchr(sent, 0, sent_bytes) == &sent[sent_bytes - 1U]);
    demand(line_decode(sent, sent_bytes - 1U, payload) == size);
    demand(memcmp(payload, data, size) == 0);
    read_line(sent, sent_bytes, (uint32_t)size + 4U);
    read_line(sent, sent_bytes, (uint32_t)size + 3U);
    return 0;
}
