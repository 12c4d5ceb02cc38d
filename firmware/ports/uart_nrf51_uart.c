/* SPDX-License-Identifier: Apache-2.0 */
/* UART of nRF51 (nRF51 Series Reference Manual 3.0, 29). */
#include "board.h"
#include "nrf.h"
#include "port.h"

#define TASK_START_RX  0x000U
#define TASK_START_TX  0x008U
#define EVENT_RX_READY 0x108U
#define EVENT_TX_READY 0x11CU
#define EVENT_ERROR    0x124U
#define ERROR_SOURCE   0x480U
#define ENABLE         0x500U
#define PIN_TX         0x50CU
#define PIN_RX         0x514U
#define RX_DATA        0x518U
#define TX_DATA        0x51CU
#define BAUD_RATE      0x524U

#define ENABLE_UART       4U
#define ERROR_SOURCES_ALL 15U /* overrun, parity, framing, break */

/* 2^32 * baud / 16 MHz, in steps of 2^12, as in the manual's table. */
#define BAUD_REGISTER                                                                              \
    ((((BOARD_UART_BAUD * 0x100000000ULL) / BOARD_UART_CLOCK_HZ) + 0x800U) & 0xFFFFF000U)
#if BOARD_UART_CLOCK_HZ != 16000000
#error "the UART of nRF51 runs on 16 MHz"
#endif
#if BOARD_UART_BAUD < 1200 || BOARD_UART_BAUD > 1000000
#error "BOARD_UART_BAUD cannot be had: it is 1200 to 1000000"
#endif

static volatile uint32_t *uart(uint32_t offset) {
    return nrf_register(BOARD_UART_BASE, offset);
}

void port_init(void) {
    nrf_start_crystal();
    nrf_configure_pins();
    *uart(PIN_TX) = BOARD_UART_TX_PIN;
    *uart(PIN_RX) = BOARD_UART_RX_PIN;
    *uart(BAUD_RATE) = (uint32_t)BAUD_REGISTER;
    *uart(ENABLE) = ENABLE_UART;
    *uart(TASK_START_RX) = 1U;
    *uart(TASK_START_TX) = 1U;
}

uint8_t port_read(void) {
    while (*uart(EVENT_RX_READY) == 0U) {
        /* Nothing received yet. */
    }
    if (*uart(EVENT_ERROR) != 0U) {
        *uart(EVENT_ERROR) = 0U;
        *uart(ERROR_SOURCE) = ERROR_SOURCES_ALL; /* cleared by writing ones; reception goes on */
    }
    /* In this order: taking a byte lets the next one move up, which sets the event again. */
    *uart(EVENT_RX_READY) = 0U;
    return (uint8_t)*uart(RX_DATA);
}

void port_write(uint8_t byte) {
    *uart(EVENT_TX_READY) = 0U;
    *uart(TX_DATA) = byte;
    while (*uart(EVENT_TX_READY) == 0U) {
        /* Waits until it is sent, so that there is room for the next. */
    }
}
