/* SPDX-License-Identifier: Apache-2.0 */
/* Around README.md's program: readings come from the standard input whenever it asks for a sample.
 */
#include <stdio.h>
#include <stdlib.h>

#include "hum_front_end.h"
#include "sensor.h"

void sensor_interrupt(const hum_reading_t reading[HUM_AXES]);

void sensor_show(uint16_t label) {
    (void)printf("%u\n", (unsigned int)label);
}

static bool after_an_interrupt(void) {
    hum_reading_t reading[HUM_AXES];
    if (fread(reading, sizeof reading, 1U, stdin) != 1U) {
        exit(0);
    }
    sensor_interrupt(reading);
    return hum_ready();
}

#define hum_ready() after_an_interrupt()
#include "program.c"
