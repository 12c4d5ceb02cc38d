/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No board at all: the application as a process, with standard input and output for a serial line.
 *
 * Not part of a generated project. To use it in one, in place of the board's port:
 *     cc -Imodel -Ispela -Istore -Iapplication -Iport \
 *         model/x.c spela/x.c store/x.c application/x.c port_host.c
 * (x: every file), without the store but with -DSPELA_INFERENCE_ONLY if the project was generated
 * so. Its flash ends with the process.
 */
#define _POSIX_C_SOURCE 200809L

#include "port.h"
#ifndef SPELA_INFERENCE_ONLY
#include "spela_store.h"

#include <string.h>
#endif

#include <stdlib.h>
#include <unistd.h>

typedef struct {
    uint8_t bytes[4096];
    size_t length;
    size_t next; /* of the queue: the first byte not taken yet */
} queue_t;

static queue_t received;
static queue_t sent;

#ifndef SPELA_INFERENCE_ONLY
/* The end of a board's flash; what it erases at once is a power of two, and so is this. */
#define FLASH_BYTES 0x100000U

static uint8_t flash[FLASH_BYTES];
#endif

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

/* Standard input and output are open already. */
void port_init(void) {
#ifndef SPELA_INFERENCE_ONLY
    memset(flash, 0xFF, sizeof flash);
#endif
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

#ifndef SPELA_INFERENCE_ONLY

static uint8_t *flash_at(uint32_t address, uint32_t bytes) {
    const uint32_t offset = address % FLASH_BYTES;
    return bytes <= FLASH_BYTES - offset ? &flash[offset] : NULL;
}

bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes) {
    uint8_t *const place = flash_at(address, bytes);
    (void)store;
    if (place == NULL) {
        return false;
    }
    memset(place, 0xFF, bytes);
    return true;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    uint8_t *const place = flash_at(address, store->unit_bytes);
    if (place == NULL) {
        return false;
    }
    for (uint32_t i = 0U; i < store->unit_bytes; i++) {
        if (place[i] != 0xFFU) {
            return false; /* a unit is programmed once */
        }
    }
    memcpy(place, data, store->unit_bytes);
    return true;
}

bool spela_flash_read(const spela_store_t *store, uint32_t address, uint32_t *data,
                      uint32_t bytes) {
    const uint8_t *const place = flash_at(address, bytes);
    (void)store;
    if (place == NULL) {
        return false;
    }
    memcpy(data, place, bytes);
    return true;
}

#endif
