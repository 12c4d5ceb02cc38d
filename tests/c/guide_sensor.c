/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The product around the programs of docs/integration.md, on a Cortex-M: samples by a rule that the
 * tests know, and each answer as a line.
 */
#include "sensor.h"

#include "port.h"

#include <stdbool.h>

/* From the start: so many samples to classify, to learn, an idle moment, and to classify again. */
#define SHOWN   4U
#define LEARNED 80U

void port_on_fault(const uint32_t *report, uint32_t words) {
    (void)report;
    (void)words;
    sensor_fail();
}

static int8_t value(uint32_t sample, uint32_t k) {
    return (int8_t)((int32_t)((sample * 37U + k * k * 11U) % 255U) - 127);
}

static void end(uint8_t mark) {
    port_write(mark);
    port_write((uint8_t)'.');
    port_write((uint8_t)'\n');
    for (;;) {
    }
}

sensor_event_t sensor_wait(int8_t sample[PUMP_INPUTS], uint16_t *label) {
    static uint32_t number;
    const uint32_t n = number;
    number++;
    if (n == SHOWN + LEARNED) {
        return SENSOR_IDLE;
    }
    if (n > 2U * SHOWN + LEARNED) {
        end((uint8_t)' ');
    }
    const uint32_t shown = n < SHOWN ? n : n - SHOWN - LEARNED - 1U;
    const bool is_labelled = n >= SHOWN && n < SHOWN + LEARNED;
    for (uint32_t k = 0U; k < PUMP_INPUTS; k++) {
        sample[k] = value(is_labelled ? n : shown, k);
    }
    *label = (uint16_t)(n % PUMP_CLASSES);
    return is_labelled ? SENSOR_LABELLED : SENSOR_SAMPLE;
}

/* The core's own timer, every 4,000 ticks of its clock. */
void sensor_start(void) {
    port_init();
    *(volatile uint32_t *)0xE000E014U = 3999U;
    *(volatile uint32_t *)0xE000E018U = 0U;
    *(volatile uint32_t *)0xE000E010U = 7U;
}

int8_t sensor_read(void) {
    static uint32_t number;
    const uint32_t n = number;
    number++;
    return value(n / PUMP_INPUTS, n % PUMP_INPUTS);
}

void sensor_show(uint16_t label, int16_t margin) {
    const uint32_t word = ((uint32_t)label << 16) | (uint16_t)margin;
    static uint32_t lines;
    for (uint32_t shift = 32U; shift > 0U; shift -= 4U) {
        port_write((uint8_t)"0123456789abcdef"[(word >> (shift - 4U)) & 15U]);
    }
    port_write((uint8_t)'\n');
    lines++;
    if (lines == 40U) {
        end((uint8_t)' ');
    }
}

void sensor_fail(void) {
    end((uint8_t)'!');
}
