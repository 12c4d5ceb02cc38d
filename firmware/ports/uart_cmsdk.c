/* SPDX-License-Identifier: Apache-2.0 */
/* UART of Arm's CMSDK, as on the MPS2 boards (Cortex-M System Design Kit, DDI 0479, 4.3). */
#include "board.h"
#include "port.h"

typedef struct {
    volatile uint32_t data;
    volatile uint32_t state;
    volatile uint32_t control;
    volatile uint32_t interrupt;
    volatile uint32_t baud_divider;
} uart_t;

#define STATE_TX_FULL     (1U << 0)
#define STATE_RX_FULL     (1U << 1)
#define CONTROL_TX_ENABLE (1U << 0)
#define CONTROL_RX_ENABLE (1U << 1)

#define BAUD_DIVIDER ((BOARD_UART_CLOCK_HZ + (BOARD_UART_BAUD / 2U)) / BOARD_UART_BAUD)
#if BAUD_DIVIDER < 16 || BAUD_DIVIDER > 1048575
#error "BOARD_UART_BAUD cannot be had from BOARD_UART_CLOCK_HZ: the divider is 16 to 1048575"
#endif

static uart_t *uart(void) {
    return (uart_t *)(uintptr_t)BOARD_UART_BASE;
}

void port_init(void) {
    uart()->baud_divider = BAUD_DIVIDER;
    uart()->control = CONTROL_TX_ENABLE | CONTROL_RX_ENABLE;
}

uint8_t port_read(void) {
    while ((uart()->state & STATE_RX_FULL) == 0U) {
        /* Nothing received yet. */
    }
    return (uint8_t)uart()->data;
}

void port_write(uint8_t byte) {
    while ((uart()->state & STATE_TX_FULL) != 0U) {
        /* The transmitter is busy. */
    }
    uart()->data = byte;
}
