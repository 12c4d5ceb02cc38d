/* SPDX-License-Identifier: Apache-2.0 */
/* The program around a contender: for each frame received, one sample and one counted call. */
#include "contender.h"
#include "frame.h"
#include "port.h"

#define SAMPLE_SEED 1U

/* The first byte of a request; any other is answered without a call. */
#define REQUEST_INFER 'I'
#define REQUEST_LEARN 'L'
#define REQUEST_BYTES 64U

/* A linear congruential generator (Numerical Recipes); its upper byte. */
int8_t draw(uint32_t *state) {
    *state = (*state * 1664525U) + 1013904223U;
    const int8_t value = (int8_t)(*state >> 24);
    return (value == INT8_MIN) ? (int8_t)-INT8_MAX : value;
}

void port_on_fault(const uint32_t *report, uint32_t words) {
    (void)report;
    (void)words;
}

/* The first byte of the next request. */
static uint8_t receive(frame_reader_t *reader) {
    uint32_t length = 0;
    while ((frame_read(reader, port_read(), &length) != FRAME_READY) || (length == 0U)) {
        /* Not yet, or not a request. */
    }
    return reader->bytes[0];
}

int main(void) {
    static uint8_t bytes[REQUEST_BYTES];
    static int8_t sample[INPUTS];
    static frame_reader_t reader;
    static frame_writer_t writer;
    uint32_t state = SAMPLE_SEED;
    uint16_t label = 0;

    port_init();
    frame_read_start(&reader, bytes, sizeof bytes);
    const uint8_t started = contender_start();
    for (;;) {
        const uint8_t request = receive(&reader);
        uint8_t status = started;
        if ((status == 0U) && ((request == REQUEST_INFER) || (request == REQUEST_LEARN))) {
            for (size_t i = 0; i < INPUTS; i++) {
                sample[i] = draw(&state);
            }
            label = (uint16_t)((label + 1U) % CLASSES);
            contender_take(sample, label);
            status = (request == REQUEST_LEARN) ? benchmark_learn() : benchmark_infer();
        }
        frame_write_start(&writer);
        frame_write_u8(&writer, request);
        frame_write_u8(&writer, status);
        frame_write_u16(&writer, 0U); /* an answer's number, which simulators that boot look at */
        frame_write_end(&writer);
    }
}
