/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks and pins of an STM32's serial line, as board.h lists them; for the USART drivers. */
#ifndef STM32_H
#define STM32_H

#include "board.h"

#include <stdint.h>

/* Sets the bits that the serial line depends on: clocks of peripherals, supply of ports. */
static void stm32_enable(void) {
    static const struct {
        uint32_t address;
        uint32_t mask;
    } bits[] = {BOARD_UART_ENABLES};
    for (uint32_t i = 0U; i < sizeof bits / sizeof bits[0]; i++) {
        volatile uint32_t *enable = (volatile uint32_t *)(uintptr_t)bits[i].address;
        *enable |= bits[i].mask;
        (void)*enable; /* a clock starts two cycles after the write: reading it back waits */
    }
}

#if BOARD_UART_GPIO_F1

/* General-purpose I/O of STM32F1 (RM0008, 9.2). */
typedef struct {
    volatile uint32_t configuration[2];
    volatile uint32_t input;
    volatile uint32_t output;
} stm32_gpio_t;

#define CONFIGURATION_INPUT_PULLED    8U  /* CNF 10, MODE 00; the output bit selects pull-up */
#define CONFIGURATION_OUTPUT_FUNCTION 10U /* CNF 10, MODE 10: alternate function, up to 2 MHz */

static void stm32_configure_pin(uintptr_t port, uint32_t pin, uint32_t configuration) {
    stm32_gpio_t *gpio = (stm32_gpio_t *)port;
    volatile uint32_t *half = &gpio->configuration[pin / 8U];
    const uint32_t four_bits = 4U * (pin % 8U);
    gpio->output |= 1U << pin;
    *half = (*half & ~(15U << four_bits)) | (configuration << four_bits);
}

/* Hands the pins to the USART; an open line idles. */
static void stm32_connect_pins(void) {
    stm32_configure_pin(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, CONFIGURATION_OUTPUT_FUNCTION);
    stm32_configure_pin(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, CONFIGURATION_INPUT_PULLED);
}

#else

/* General-purpose I/O of every other STM32 (RM0090, 8.4). */
typedef struct {
    volatile uint32_t mode;
    volatile uint32_t output_type;
    volatile uint32_t output_speed;
    volatile uint32_t pull;
    volatile uint32_t input;
    volatile uint32_t output;
    volatile uint32_t set_reset;
    volatile uint32_t lock;
    volatile uint32_t alternate[2];
} stm32_gpio_t;

#define MODE_ALTERNATE 2U
#define PULL_UP        1U

static void stm32_connect_pin(uintptr_t port, uint32_t pin, uint32_t function) {
    stm32_gpio_t *gpio = (stm32_gpio_t *)port;
    volatile uint32_t *alternate = &gpio->alternate[pin / 8U];
    const uint32_t two_bits = 2U * pin;
    const uint32_t four_bits = 4U * (pin % 8U);
    *alternate = (*alternate & ~(15U << four_bits)) | (function << four_bits);
    gpio->pull = (gpio->pull & ~(3U << two_bits)) | (PULL_UP << two_bits);
    gpio->mode = (gpio->mode & ~(3U << two_bits)) | (MODE_ALTERNATE << two_bits);
}

/* Hands the pins to the USART, with pull-ups: an open line idles. */
static void stm32_connect_pins(void) {
    stm32_connect_pin(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, BOARD_UART_TX_FUNCTION);
    stm32_connect_pin(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, BOARD_UART_RX_FUNCTION);
}

#endif

#endif /* STM32_H */
