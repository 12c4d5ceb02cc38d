/* SPDX-License-Identifier: Apache-2.0 */
/* Flash in memory that forgives nothing, one operation of which can be made to fail. */
#ifndef RING_FLASH_H
#define RING_FLASH_H

#include "spela_store.h"

#define RING_FLASH_ADDRESS 0x40000U
#define RING_FLASH_BYTES   0x20000U

/* What fails: an operation that says so, or one that says that all is well. */
enum {
    RING_ERASE,
    RING_ERASE_IGNORED,
    RING_PROGRAM,
    RING_PROGRAM_TORN,
    RING_PROGRAM_IGNORED,
    RING_READ,
    RING_READ_WRONG,
    RING_KINDS
};

/* Starts anew, with blocks of which nothing is known. */
void ring_start(uint32_t bytes_of_block);

/* Lets the operation of a kind fail after so many more. */
void ring_fail(uint32_t kind, uint32_t after);

/* Operations that no flash would forgive. */
uint32_t ring_misuses(void);

/* Erases one word, as no flash can. */
void ring_erase_unit(uint32_t offset);

uint32_t ring_operations(uint32_t kind);
const uint8_t *ring_content(void);

#endif
