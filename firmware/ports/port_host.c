/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No board at all: the application as a process, with standard input and output for a serial line.
 *
 * Not part of a generated project. To use it in one, in place of the board's port:
 *     cc -Imodel -Ispela -Iapplication -Iport model/x.c spela/x.c application/x.c port_host.c
 * (x: every file), with -DSPELA_INFERENCE_ONLY if the project was generated so.
 */
#define _POSIX_C_SOURCE 200809L

#include "port.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct {
    uint8_t bytes[4096];
    size_t length;
    size_t next; /* of the queue: the first byte not taken yet */
} queue_t;

static queue_t received;
static queue_t sent;

static void flush(void) {
    size_t done = 0U;
    while (done < sent.length) {
        const ssize_t written = write(STDOUT_FILENO, &sent.bytes[done], sent.length - done);
        if (written <= 0) {
            exit(EXIT_FAILURE);
        }
        done += (size_t)written;
    }
    sent.length = 0U;
}

void port_init(void) {
    /* Standard input and output are open already. */
}

/* The application ends with the line: it has no other way out. */
uint8_t port_read(void) {
    if (received.next == received.length) {
        flush(); /* the host gets its answer before the application waits again */
        const ssize_t count = read(STDIN_FILENO, received.bytes, sizeof received.bytes);
        if (count <= 0) {
            exit(count == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
        }
        received.length = (size_t)count;
        received.next = 0U;
    }
    const uint8_t byte = received.bytes[received.next];
    received.next++;
    return byte;
}

void port_write(uint8_t byte) {
    if (sent.length == sizeof sent.bytes) {
        flush();
    }
    sent.bytes[sent.length] = byte;
    sent.length++;
}
