/* The program around a contender: at each byte received, one sample, one counted call. */
#include "contender.h"
#include "port.h"

#define SAMPLE_SEED   1U
#define REQUEST_LEARN 'L'

/* A linear congruential generator (Numerical Recipes); its upper byte. */
int8_t draw(uint32_t *state) {
    *state = (*state * 1664525U) + 1013904223U;
    const int8_t value = (int8_t)(*state >> 24);
    return (value == INT8_MIN) ? (int8_t)-INT8_MAX : value;
}

void port_on_fault(const port_exception_t *exception) {
    (void)exception;
}

int main(void) {
    static int8_t sample[INPUTS];
    uint32_t state = SAMPLE_SEED;
    uint16_t label = 0;

    port_init();
    const uint8_t started = contender_start();
    for (;;) {
        const uint8_t request = port_read();
        uint8_t status = started;
        if (status == 0U) {
            for (size_t i = 0; i < INPUTS; i++) {
                sample[i] = draw(&state);
            }
            label = (uint16_t)((label + 1U) % CLASSES);
            contender_take(sample, label);
            status = (request == REQUEST_LEARN) ? benchmark_learn() : benchmark_infer();
        }
        port_write(status);
    }
}
