/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the application needs of a board: a serial line, and somewhere to report a fault.
 *
 * To run the application on a board of your own, implement the first three functions; to embed
 * only the library (spela/ and model/), none of this is needed.
 */
#ifndef PORT_H
#define PORT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Clocks, pins and the UART: 8 data bits, no parity, 1 stop bit, the baud rate of board.h. */
void port_init(void);

/** Waits for a received byte. A byte with a line error is handed on: the CRC will show it. */
uint8_t port_read(void);

/** Waits until the transmitter has room, then sends. */
void port_write(uint8_t byte);

/**
 * Called on a fault or an unexpected interrupt; implemented by the application. When
 * it returns, the core stays in an endless loop, in which a debugger finds it.
 *
 * @param report  what the core tells of it, in the order of the protocol's frame of a fault:
 *                Cortex-M: CFSR, HFSR, MMFAR, BFAR, and, unless the stack overflowed, PC, LR, xPSR;
 *                RISC-V: MCAUSE, MTVAL, MSTATUS, and PC, RA and SP where it happened
 * @param words   how many these are
 */
void port_on_fault(const uint32_t *report, uint32_t words);

#ifdef __cplusplus
}
#endif
#endif /* PORT_H */
