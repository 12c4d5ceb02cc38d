/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USART of STM32F0, F3, F7, G0, H7, L4 and L5, and their LPUART (reference manuals RM0385, 31.8,
 * and RM0438, USART and LPUART registers).
 */
#include "board.h"
#include "port.h"
#include "stm32.h"

typedef struct {
    volatile uint32_t control[3];
    volatile uint32_t baud_rate;
    volatile uint32_t guard_time;
    volatile uint32_t timeout;
    volatile uint32_t request;
    volatile uint32_t status;
    volatile uint32_t clear;
    volatile uint32_t rx_data;
    volatile uint32_t tx_data;
} usart_t;

#define STATUS_ERRORS       15U /* parity, framing, noise, overrun; the same bits clear them */
#define STATUS_RX_NOT_EMPTY (1U << 5)
#define STATUS_TX_EMPTY     (1U << 7)
#define CONTROL_USART       (1U << 0)
#define CONTROL_RX_ENABLE   (1U << 2)
#define CONTROL_TX_ENABLE   (1U << 3)

/* USART, oversampling by 16: clock / baud. LPUART: 256 times that. The sum needs 64 bits. */
#if BOARD_UART_LOW_POWER
#define BAUD_SCALE       256U
#define BAUD_DIVIDER_MIN 768
#define BAUD_DIVIDER_MAX 1048575
#else
#define BAUD_SCALE       1U
#define BAUD_DIVIDER_MIN 16
#define BAUD_DIVIDER_MAX 65535
#endif
#define BAUD_DIVIDER                                                                               \
    (((1ULL * BAUD_SCALE * BOARD_UART_CLOCK_HZ) + (BOARD_UART_BAUD / 2U)) / BOARD_UART_BAUD)
#if BAUD_DIVIDER < BAUD_DIVIDER_MIN || BAUD_DIVIDER > BAUD_DIVIDER_MAX
#error "BOARD_UART_BAUD cannot be had from BOARD_UART_CLOCK_HZ: the divider is out of range"
#endif

static usart_t *usart(void) {
    return (usart_t *)(uintptr_t)BOARD_UART_BASE;
}

void port_init(void) {
    stm32_enable();
    stm32_connect_pins();
    usart()->baud_rate = (uint32_t)BAUD_DIVIDER;
    usart()->control[0] = CONTROL_USART | CONTROL_TX_ENABLE | CONTROL_RX_ENABLE;
}

uint8_t port_read(void) {
    uint32_t status = usart()->status;
    while ((status & STATUS_RX_NOT_EMPTY) == 0U) {
        if ((status & STATUS_ERRORS) != 0U) {
            usart()->clear = STATUS_ERRORS;
        }
        status = usart()->status;
    }
    const uint8_t byte = (uint8_t)usart()->rx_data;
    /* Nothing is received while an overrun is flagged, even after the byte was read. */
    usart()->clear = status & STATUS_ERRORS;
    return byte;
}

void port_write(uint8_t byte) {
    while ((usart()->status & STATUS_TX_EMPTY) == 0U) {
        /* The transmitter is busy. */
    }
    usart()->tx_data = byte;
}
