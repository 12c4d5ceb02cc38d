/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PL011 of RP2040 (RP2040 Datasheet: resets 2.14, clocks 2.15, crystal 2.16, GPIO 2.19, UART 4.2).
 * The crystal clocks the core and the UART; the PLLs stay off.
 */
#include "board.h"
#include "port.h"

#define RESETS           0x4000C000U
#define RESETS_RESET     (RESETS + 0x0U)
#define RESETS_DONE      (RESETS + 0x8U)
#define RESET_IO_BANK0   (1U << 5)
#define RESET_PADS_BANK0 (1U << 8)
#define RESET_UART       (BOARD_UART_BASE == 0x40034000U ? 1U << 22 : 1U << 23)

#define XOSC             0x40024000U
#define XOSC_CONTROL     (XOSC + 0x0U)
#define XOSC_STATUS      (XOSC + 0x4U)
#define XOSC_STARTUP     (XOSC + 0xCU)
#define XOSC_1_TO_15_MHZ 0xAA0U
#define XOSC_ENABLE      (0xFABU << 12)
#define XOSC_STABLE      (1U << 31)

#define CLOCKS            0x40008000U
#define CLOCK_REF_CONTROL (CLOCKS + 0x30U) /* the core's clock after reset */
#define CLOCK_REF_CHOSEN  (CLOCKS + 0x38U)
#define CLOCK_REF_XOSC    2U
#define CLOCK_UART        (CLOCKS + 0x48U) /* CLK_PERI */
#define CLOCK_UART_XOSC   (4U << 5)
#define CLOCK_UART_ENABLE (1U << 11)

#define PIN_CONTROL(pin)  (0x40014004U + (8U * (pin)))
#define PIN_FUNCTION_UART 2U
#define PAD(pin)          (0x4001C004U + (4U * (pin)))
#define PAD_PULL_DOWN     (1U << 2)
#define PAD_PULL_UP       (1U << 3)

#define UART_DATA         (BOARD_UART_BASE + 0x00U)
#define UART_ERRORS       (BOARD_UART_BASE + 0x04U)
#define UART_FLAGS        (BOARD_UART_BASE + 0x18U)
#define UART_DIVIDER      (BOARD_UART_BASE + 0x24U)
#define UART_FRACTION     (BOARD_UART_BASE + 0x28U)
#define UART_LINE         (BOARD_UART_BASE + 0x2CU)
#define UART_CONTROL      (BOARD_UART_BASE + 0x30U)
#define FLAG_RX_EMPTY     (1U << 4)
#define FLAG_TX_FULL      (1U << 5)
#define LINE_8_BITS_FIFO  0x70U
#define CONTROL_UART      (1U << 0)
#define CONTROL_TX_ENABLE (1U << 8)
#define CONTROL_RX_ENABLE (1U << 9)

/* Clock / (16 * baud), with six fraction bits. */
#define BAUD_DIVIDER (((4U * BOARD_UART_CLOCK_HZ) + (BOARD_UART_BAUD / 2U)) / BOARD_UART_BAUD)
#if BAUD_DIVIDER < 64 || BAUD_DIVIDER > 4194240
#error "BOARD_UART_BAUD cannot be had from BOARD_UART_CLOCK_HZ: their quotient is 16 to 1048560"
#endif
#if BOARD_UART_CLOCK_HZ < 1000000 || BOARD_UART_CLOCK_HZ > 15000000
#error "BOARD_UART_CLOCK_HZ is the crystal's frequency: 1 to 15 MHz"
#endif

/* A millisecond, in steps of 256 cycles. */
#define XOSC_DELAY ((BOARD_UART_CLOCK_HZ / 1000U + 128U) / 256U)

static volatile uint32_t *at(uint32_t address) {
    return (volatile uint32_t *)(uintptr_t)address;
}

static void start_clocks(void) {
    *at(XOSC_STARTUP) = XOSC_DELAY;
    *at(XOSC_CONTROL) = XOSC_1_TO_15_MHZ | XOSC_ENABLE;
    while ((*at(XOSC_STATUS) & XOSC_STABLE) == 0U) {
        /* Waits until the crystal oscillates. */
    }
    *at(CLOCK_REF_CONTROL) = CLOCK_REF_XOSC;
    while ((*at(CLOCK_REF_CHOSEN) & (1U << CLOCK_REF_XOSC)) == 0U) {
        /* Waits until it has switched over, without a glitch. */
    }
    *at(CLOCK_UART) = CLOCK_UART_XOSC | CLOCK_UART_ENABLE;
}

static void leave_reset(uint32_t peripherals) {
    *at(RESETS_RESET) &= ~peripherals;
    while ((*at(RESETS_DONE) & peripherals) != peripherals) {
        /* Takes a few cycles. */
    }
}

/* Hands a pin to the UART, with a pull-up: an open line idles. */
static void connect_pin(uint32_t pin) {
    *at(PAD(pin)) = (*at(PAD(pin)) & ~PAD_PULL_DOWN) | PAD_PULL_UP;
    *at(PIN_CONTROL(pin)) = PIN_FUNCTION_UART;
}

void port_init(void) {
    start_clocks();
    leave_reset(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART);
    *at(UART_DIVIDER) = BAUD_DIVIDER / 64U;
    *at(UART_FRACTION) = BAUD_DIVIDER % 64U;
    *at(UART_LINE) = LINE_8_BITS_FIFO; /* makes the divider take effect */
    *at(UART_CONTROL) = CONTROL_UART | CONTROL_TX_ENABLE | CONTROL_RX_ENABLE;
    connect_pin(BOARD_UART_TX_PIN);
    connect_pin(BOARD_UART_RX_PIN);
}

uint8_t port_read(void) {
    while ((*at(UART_FLAGS) & FLAG_RX_EMPTY) != 0U) {
        /* Nothing received yet. */
    }
    const uint8_t byte = (uint8_t)*at(UART_DATA);
    *at(UART_ERRORS) = 0U; /* any write clears an overrun, framing, parity or break error */
    return byte;
}

void port_write(uint8_t byte) {
    while ((*at(UART_FLAGS) & FLAG_TX_FULL) != 0U) {
        /* The transmitter is busy. */
    }
    *at(UART_DATA) = byte;
}
