/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole application, a line on which anything may come. The input is a number of parts, each
 * after its length: one that is even comes as it is, one that is odd in a frame, as a request.
 */
#define _POSIX_C_SOURCE 200809L

#include "application_on_a_line.h"
#include "line.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *input;
static size_t input_bytes;
static uint8_t part[LINE_BYTES_MAX];
static size_t part_bytes, part_at;
static uint8_t answer[LINE_BYTES_MAX];
static size_t answer_bytes;
static uint32_t owed; /* answers: one to each frame that is not empty */
static bool is_begun;
static jmp_buf over;

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

void port_init(void) {
    host_init();
}

static void next_part(void) {
    if (input_bytes < 2U) {
        longjmp(over, 1);
    }
    size_t length = input[0] | (size_t)(input[1] & 1U) << 8;
    const bool is_request = (input[1] & 2U) != 0U;
    input += 2;
    input_bytes -= 2U;
    length = length < input_bytes ? length : input_bytes;
    if (is_request) {
        uint8_t payload[600];
        memcpy(payload, input, length);
        part[0] = 0U; /* ends whatever noise has begun */
        part_bytes = 1U + line_encode(payload, length, &part[1]);
    } else {
        memcpy(part, input, length);
        part_bytes = length;
    }
    input += length;
    input_bytes -= length;
    part_at = 0U;
}

uint8_t port_read(void) {
    demand(owed == 0U);
    while (part_at == part_bytes) {
        next_part();
    }
    const uint8_t byte = part[part_at];
    part_at++;
    owed += byte == 0U && is_begun;
    is_begun = byte != 0U;
    return byte;
}

void port_write(uint8_t byte) {
    static uint8_t payload[LINE_BYTES_MAX];
    answer[answer_bytes] = byte;
    answer_bytes++;
    if (byte == 0U) {
        const size_t length = line_decode(answer, answer_bytes - 1U, payload);
        demand(owed == 1U && length != SIZE_MAX && length >= 2U);
        owed = 0U;
        answer_bytes = 0U;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    memset(&application, 0, sizeof application);
    input = data;
    input_bytes = size;
    part_bytes = part_at = answer_bytes = 0U;
    owed = 0U;
    is_begun = false;
    if (setjmp(over) == 0) {
        (void)application_main();
    }
    return 0;
}
