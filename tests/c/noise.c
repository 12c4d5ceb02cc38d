/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise on the line of the whole application: none of it may be taken for a request, and nothing of
 * the network may change. Argument: how many frames. The kinds take turns: bytes at random; a
 * request with some bytes changed; one that lost bytes; one that got more; two run into each other.
 */
#define _POSIX_C_SOURCE 200809L

#include "../fuzz/application_on_a_line.h"
#include "../fuzz/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KINDS 5U

static uint64_t state = 88172645463325252U;
static uint64_t frames, told, answers[256];
static uint8_t line[2048];
static size_t line_bytes, line_at;
static uint8_t answer[64];
static size_t answer_bytes;
static uint32_t before;

static uint32_t draw(uint32_t bound) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 32) % bound);
}

static void fail(const char *what) {
    printf("%s, frame %llu\n", what, (unsigned long long)told);
    exit(1);
}

static void check_state(void) {
    if (spela_digest(application.network) != before) {
        fail("the network has changed");
    }
}

static uint8_t noise(void) {
    return (uint8_t)(1U + draw(255U)); /* a zero would end the frame */
}

/* A request that would be learned, without the zero byte. */
static size_t request(uint8_t *frame) {
    uint8_t payload[REQUEST_HEAD_BYTES + APPLICATION_INPUT_COUNT + 4U] = {COMMAND_LEARN};
    for (uint32_t i = 0U; i < APPLICATION_INPUT_COUNT; i++) {
        payload[REQUEST_HEAD_BYTES + i] = (uint8_t)draw(256U);
    }
    return line_encode(payload, REQUEST_HEAD_BYTES + APPLICATION_INPUT_COUNT, frame) - 1U;
}

static void next_frame(void) {
    const uint32_t kind = (uint32_t)(told % KINDS);
    const uint32_t room = 40U;
    line_bytes = kind == 0U ? 1U + draw(room) : request(line);
    switch (kind) {
    case 0U:
        for (size_t i = 0U; i < line_bytes; i++) {
            line[i] = noise();
        }
        break;
    case 1U: {
        const uint8_t first = line[0];
        for (uint32_t k = 1U + draw(8U); k > 0U; k--) {
            line[1U + draw((uint32_t)line_bytes - 1U)] = noise();
        }
        line[0] = (uint8_t)(first == 1U ? 2U : first - 1U); /* so that it is not what it was */
        break;
    }
    case 2U: {
        const uint32_t lost = 1U + draw(4U);
        const uint32_t at = draw((uint32_t)line_bytes - lost);
        memmove(&line[at], &line[at + lost], line_bytes - at - lost);
        line_bytes -= lost;
        break;
    }
    case 3U: {
        const uint32_t at = draw((uint32_t)line_bytes);
        const uint32_t more = 1U + draw(4U);
        memmove(&line[at + more], &line[at], line_bytes - at);
        for (uint32_t i = 0U; i < more; i++) {
            line[at + i] = noise();
        }
        line_bytes += more;
        break;
    }
    default:
        line_bytes += request(&line[line_bytes]);
        break;
    }
    line[line_bytes] = 0U;
    line_bytes++;
    line_at = 0U;
}

void port_init(void) {
    host_init();
}

uint8_t port_read(void) {
    if (line_at == line_bytes) {
        if (told == 0U) {
            before = spela_digest(application.network);
        } else if (told % 65536U == 0U || told == frames) {
            check_state();
        }
        if (told == frames) {
            printf(
                "%llu frames of noise: %llu malformed, %llu damaged, %llu overlong, 0 accepted\n",
                (unsigned long long)told, (unsigned long long)answers[PROTOCOL_MALFORMED],
                (unsigned long long)answers[PROTOCOL_DAMAGED],
                (unsigned long long)answers[PROTOCOL_OVERLONG]);
            exit(0);
        }
        next_frame();
        told++;
    }
    const uint8_t byte = line[line_at];
    line_at++;
    return byte;
}

void port_write(uint8_t byte) {
    uint8_t payload[64];
    if (answer_bytes == sizeof answer) {
        fail("an answer with a body");
    }
    answer[answer_bytes] = byte;
    answer_bytes++;
    if (byte != 0U) {
        return;
    }
    const size_t length = line_decode(answer, answer_bytes - 1U, payload);
    if (length == SIZE_MAX || length < 2U || payload[0] != COMMAND_NONE ||
        payload[1] < PROTOCOL_MALFORMED || payload[1] > PROTOCOL_OVERLONG) {
        fail("noise is taken for a request");
    }
    answers[payload[1]]++;
    answer_bytes = 0U;
}

int main(int count, char **arguments) {
    frames = count == 2 ? strtoull(arguments[1], NULL, 10) : 0U;
    return frames == 0U ? 2 : application_main();
}
