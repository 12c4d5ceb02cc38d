/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UART0 of SiFive's FE310 (FE310-G000 Manual: UART, clocks (PRCI), GPIO). The core and the UART run
 * on the crystal. Addresses and bits are those of QEMU's model and of Zephyr's and RIOT's drivers.
 */
#include "board.h"
#include "port.h"

typedef struct {
    volatile uint32_t tx_data;
    volatile uint32_t rx_data;
    volatile uint32_t tx_control;
    volatile uint32_t rx_control;
    volatile uint32_t interrupts_enabled;
    volatile uint32_t interrupts_pending;
    volatile uint32_t divider;
} uart_t;

#define TX_FULL  (1U << 31)
#define RX_EMPTY (1U << 31)
#define ENABLE   (1U << 0)

#define PRCI_RING       0x10008000U
#define PRCI_CRYSTAL    0x10008004U
#define CLOCK_ENABLE    (1U << 30)
#define CLOCK_READY     (1U << 31)
#define PRCI_PLL        0x10008008U
#define PLL_SELECT      (1U << 16)
#define PLL_OF_CRYSTAL  (1U << 17)
#define PLL_BYPASS      (1U << 18)
#define PRCI_DIVIDER    0x1000800CU /* of what the PLL gives */
#define DIVIDE_BY_1     (1U << 8)
#define GPIO_IOF_ENABLE 0x10012038U
#define GPIO_IOF_SELECT 0x1001203CU
#define UART_PINS       ((1U << 16) | (1U << 17)) /* RX, TX: function 0 */

#define BAUD_DIVIDER ((BOARD_UART_CLOCK_HZ + (BOARD_UART_BAUD / 2U)) / BOARD_UART_BAUD)
#if BAUD_DIVIDER < 16 || BAUD_DIVIDER > 65536
#error "BOARD_UART_BAUD cannot be had from BOARD_UART_CLOCK_HZ: their quotient is 16 to 65536"
#endif

static uart_t *uart(void) {
    return (uart_t *)(uintptr_t)BOARD_UART_BASE;
}

static volatile uint32_t *at(uint32_t address) {
    return (volatile uint32_t *)(uintptr_t)address;
}

static void start_clock(uint32_t address) {
    *at(address) |= CLOCK_ENABLE;
    while ((*at(address) & CLOCK_READY) == 0U) {
        /* Waits until it oscillates. */
    }
}

void port_init(void) {
    start_clock(PRCI_RING);
    start_clock(PRCI_CRYSTAL);
    /* Also leaves the PLL for the ring oscillator: a boot loader may have chosen it. */
    *at(PRCI_PLL) = PLL_OF_CRYSTAL | PLL_BYPASS;
    *at(PRCI_DIVIDER) = DIVIDE_BY_1;
    *at(PRCI_PLL) |= PLL_SELECT;
    uart()->divider = BAUD_DIVIDER - 1U;
    uart()->tx_control = ENABLE;
    uart()->rx_control = ENABLE;
    *at(GPIO_IOF_SELECT) &= ~UART_PINS;
    *at(GPIO_IOF_ENABLE) |= UART_PINS;
}

uint8_t port_read(void) {
    uint32_t data = uart()->rx_data;
    while ((data & RX_EMPTY) != 0U) {
        data = uart()->rx_data; /* Nothing received yet. */
    }
    return (uint8_t)data;
}

void port_write(uint8_t byte) {
    while ((uart()->tx_data & TX_FULL) != 0U) {
        /* The transmitter is busy. */
    }
    uart()->tx_data = byte;
}
