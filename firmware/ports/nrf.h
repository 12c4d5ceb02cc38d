/* SPDX-License-Identifier: Apache-2.0 */
/* What the serial lines of nRF51 and nRF52 share: crystal oscillator and pins. */
#ifndef NRF_H
#define NRF_H

#include "board.h"

#include <stdint.h>

#define NRF_CLOCK                0x40000000U /* nRF51 Series Reference Manual 3.0, 13.2 */
#define NRF_CLOCK_START_HF       0x000U
#define NRF_CLOCK_HF_STARTED     0x100U
#define NRF_GPIO                 0x50000000U /* 15.2 */
#define NRF_GPIO_PORT_BYTES      0x300U
#define NRF_GPIO_OUT_SET         0x508U
#define NRF_GPIO_CONFIGURATION   0x700U
#define NRF_GPIO_OUTPUT          3U  /* direction: output; input buffer disconnected */
#define NRF_GPIO_INPUT_PULLED_UP 12U /* direction: input, buffer connected, pull-up */

static volatile uint32_t *nrf_register(uint32_t base, uint32_t offset) {
    return (volatile uint32_t *)(uintptr_t)(base + offset);
}

/* The oscillator that runs after reset is too inaccurate for a serial line; the crystal is not. */
static void nrf_start_crystal(void) {
    *nrf_register(NRF_CLOCK, NRF_CLOCK_HF_STARTED) = 0U;
    *nrf_register(NRF_CLOCK, NRF_CLOCK_START_HF) = 1U;
    while (*nrf_register(NRF_CLOCK, NRF_CLOCK_HF_STARTED) == 0U) {
        /* Some hundred microseconds. */
    }
}

/* Sets up a pin that a peripheral is going to use; pins of port 1 count from 32. */
static void nrf_configure_pin(uint32_t pin, uint32_t configuration) {
    const uint32_t port = NRF_GPIO + (NRF_GPIO_PORT_BYTES * (pin / 32U));
    *nrf_register(port, NRF_GPIO_OUT_SET) = 1U << (pin % 32U);
    *nrf_register(port, NRF_GPIO_CONFIGURATION + (4U * (pin % 32U))) = configuration;
}

/* The line idles high, before the transmitter drives it and while nothing is plugged in. */
static void nrf_configure_pins(void) {
    nrf_configure_pin(BOARD_UART_TX_PIN, NRF_GPIO_OUTPUT);
    nrf_configure_pin(BOARD_UART_RX_PIN, NRF_GPIO_INPUT_PULLED_UP);
}

#endif /* NRF_H */
