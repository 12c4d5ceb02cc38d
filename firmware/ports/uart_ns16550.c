/* SPDX-License-Identifier: Apache-2.0 */
/* UART of the kind of the 16550, its registers a byte apart (PC16550D, National Semiconductor, 8).
 */
#include "board.h"
#include "port.h"

#define REGISTER_DATA    0U
#define REGISTER_DIVIDER 0U /* two registers, while LINE_DIVIDER is set */
#define REGISTER_FIFO    2U
#define REGISTER_LINE    3U
#define REGISTER_STATUS  5U

#define FIFO_ENABLE     (1U << 0)
#define LINE_8_BITS     3U
#define LINE_DIVIDER    (1U << 7)
#define STATUS_RX_FULL  (1U << 0)
#define STATUS_TX_EMPTY (1U << 5)

#define BAUD_DIVIDER ((BOARD_UART_CLOCK_HZ + (8U * BOARD_UART_BAUD)) / (16U * BOARD_UART_BAUD))
#if BAUD_DIVIDER > 65535 || 640 * BOARD_UART_BAUD > 41 * BOARD_UART_CLOCK_HZ
#error "BOARD_UART_BAUD cannot be had from BOARD_UART_CLOCK_HZ: their quotient is 16 to 1048560"
#endif

static volatile uint8_t *uart(uint32_t number) {
    return (volatile uint8_t *)(uintptr_t)(BOARD_UART_BASE + number);
}

void port_init(void) {
    *uart(REGISTER_LINE) = LINE_DIVIDER;
    *uart(REGISTER_DIVIDER) = (uint8_t)(BAUD_DIVIDER & 0xFFU);
    *uart(REGISTER_DIVIDER + 1U) = (uint8_t)(BAUD_DIVIDER >> 8);
    *uart(REGISTER_LINE) = LINE_8_BITS;
    *uart(REGISTER_FIFO) = FIFO_ENABLE;
}

uint8_t port_read(void) {
    while ((*uart(REGISTER_STATUS) & STATUS_RX_FULL) == 0U) {
        /* Nothing received yet; reading clears what went wrong. */
    }
    return *uart(REGISTER_DATA);
}

void port_write(uint8_t byte) {
    while ((*uart(REGISTER_STATUS) & STATUS_TX_EMPTY) == 0U) {
        /* The transmitter is busy. */
    }
    *uart(REGISTER_DATA) = byte;
}
