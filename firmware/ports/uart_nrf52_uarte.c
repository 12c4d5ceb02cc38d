/* SPDX-License-Identifier: Apache-2.0 */
/* UARTE of nRF52 (nRF52840 Product Specification 1.7, 6.34): every byte passes through RAM. */
#include "board.h"
#include "nrf.h"
#include "port.h"

#define TASK_START_RX 0x000U
#define TASK_START_TX 0x008U
#define EVENT_RX_END  0x110U
#define EVENT_TX_END  0x120U
#define EVENT_ERROR   0x124U
#define ERROR_SOURCE  0x480U
#define ENABLE        0x500U
#define PIN_TX        0x50CU
#define PIN_RX        0x514U
#define BAUD_RATE     0x524U
#define RX_POINTER    0x534U
#define RX_BYTES_MAX  0x538U
#define TX_POINTER    0x544U
#define TX_BYTES_MAX  0x548U

#define ENABLE_UARTE      8U
#define ERROR_SOURCES_ALL 15U /* overrun, parity, framing, break */

/* The rates that the specification lists; the steps between them are not documented. */
#if BOARD_UART_BAUD == 9600
#define BAUD_REGISTER 0x00275000U
#elif BOARD_UART_BAUD == 19200
#define BAUD_REGISTER 0x004EA000U
#elif BOARD_UART_BAUD == 38400
#define BAUD_REGISTER 0x009D0000U
#elif BOARD_UART_BAUD == 57600
#define BAUD_REGISTER 0x00EB0000U
#elif BOARD_UART_BAUD == 115200
#define BAUD_REGISTER 0x01D60000U
#elif BOARD_UART_BAUD == 230400
#define BAUD_REGISTER 0x03B00000U
#elif BOARD_UART_BAUD == 460800
#define BAUD_REGISTER 0x07400000U
#elif BOARD_UART_BAUD == 921600
#define BAUD_REGISTER 0x0F000000U
#elif BOARD_UART_BAUD == 1000000
#define BAUD_REGISTER 0x10000000U
#else
#error "BOARD_UART_BAUD cannot be had: 9600 times 1, 2, 4, 6, 12, 24, 48 or 96, or 1000000"
#endif
#if BOARD_UART_CLOCK_HZ != 16000000
#error "the UARTE of nRF52 runs on 16 MHz"
#endif

/* Where the DMA puts and fetches a byte: in RAM, since it does not reach flash. */
static volatile uint8_t received;
static volatile uint8_t sent;

static volatile uint32_t *uarte(uint32_t offset) {
    return nrf_register(BOARD_UART_BASE, offset);
}

void port_init(void) {
    nrf_start_crystal();
    nrf_configure_pins();
    *uarte(PIN_TX) = BOARD_UART_TX_PIN;
    *uarte(PIN_RX) = BOARD_UART_RX_PIN;
    *uarte(BAUD_RATE) = BAUD_REGISTER;
    *uarte(ENABLE) = ENABLE_UARTE;
    *uarte(RX_POINTER) = (uint32_t)(uintptr_t)&received;
    *uarte(RX_BYTES_MAX) = 1U;
    *uarte(TX_POINTER) = (uint32_t)(uintptr_t)&sent;
    *uarte(TX_BYTES_MAX) = 1U;
    *uarte(TASK_START_RX) = 1U;
}

/*
 * The next transfer starts only when this byte has been taken, so that none overwrites another:
 * bytes that arrive in between wait in the receiver's queue.
 */
uint8_t port_read(void) {
    while (*uarte(EVENT_RX_END) == 0U) {
        /* Nothing received yet. */
    }
    if (*uarte(EVENT_ERROR) != 0U) {
        *uarte(EVENT_ERROR) = 0U;
        *uarte(ERROR_SOURCE) = ERROR_SOURCES_ALL; /* cleared by writing ones; reception goes on */
    }
    *uarte(EVENT_RX_END) = 0U;
    const uint8_t byte = received;
    *uarte(TASK_START_RX) = 1U;
    return byte;
}

void port_write(uint8_t byte) {
    sent = byte;
    *uarte(EVENT_TX_END) = 0U;
    *uarte(TASK_START_TX) = 1U;
    while (*uarte(EVENT_TX_END) == 0U) {
        /* Waits until it is sent, so that there is room for the next. */
    }
}
