/* SPDX-License-Identifier: Apache-2.0 */
/* A line in one direction, for simulated chips: each byte is stored at one address. */
#include "port.h"

#define MAILBOX (*(volatile uint32_t *)0x50000000U)

void port_init(void) {}

uint8_t port_read(void) {
    return 0U;
}

void port_write(uint8_t byte) {
    MAILBOX = byte;
}
