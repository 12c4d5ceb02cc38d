/* SPDX-License-Identifier: Apache-2.0 */
/* USART of STM32F1, F2 and F4 (reference manuals RM0008, 27.6, and RM0090, 30.6). */
#include "board.h"
#include "port.h"
#include "stm32.h"

typedef struct {
    volatile uint32_t status;
    volatile uint32_t data;
    volatile uint32_t baud_rate;
    volatile uint32_t control_1;
} usart_t;

#define STATUS_RX_NOT_EMPTY (1U << 5)
#define STATUS_TX_EMPTY     (1U << 7)
#define CONTROL_RX_ENABLE   (1U << 2)
#define CONTROL_TX_ENABLE   (1U << 3)
#define CONTROL_USART       (1U << 13)

/* Oversampling by 16: the register holds clock / baud with four fraction bits. */
#define BAUD_DIVIDER ((BOARD_UART_CLOCK_HZ + (BOARD_UART_BAUD / 2U)) / BOARD_UART_BAUD)
#if BAUD_DIVIDER < 16 || BAUD_DIVIDER > 65535
#error "BOARD_UART_BAUD cannot be had from BOARD_UART_CLOCK_HZ: the divider is 16 to 65535"
#endif

static usart_t *usart(void) {
    return (usart_t *)(uintptr_t)BOARD_UART_BASE;
}

void port_init(void) {
    stm32_enable();
    stm32_connect_pins();
    usart()->baud_rate = BAUD_DIVIDER;
    usart()->control_1 = CONTROL_USART | CONTROL_TX_ENABLE | CONTROL_RX_ENABLE;
}

uint8_t port_read(void) {
    /* Reading status and then data also clears an overrun, noise or framing error. */
    while ((usart()->status & STATUS_RX_NOT_EMPTY) == 0U) {
        /* Nothing received yet. */
    }
    return (uint8_t)usart()->data;
}

void port_write(uint8_t byte) {
    while ((usart()->status & STATUS_TX_EMPTY) == 0U) {
        /* The transmitter is busy. */
    }
    usart()->data = byte;
}
