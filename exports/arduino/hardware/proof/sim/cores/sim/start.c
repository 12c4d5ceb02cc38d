/* SPDX-License-Identifier: Apache-2.0 */
/** From reset to main on a bare simulated core, and how a program says something there. */
#include "start.h"

extern uint32_t data_begin[], data_end[], data_load[], bss_begin[], bss_end[], stack_top[];
extern void (*const constructors_begin[])(void);
extern void (*const constructors_end[])(void);

int main(void);
void reset(void);

static uint32_t semihost(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void say(char c) {
    (void)semihost(0x03U, &c); /* SYS_WRITEC */
}

uint32_t hundredths(void) {
    return semihost(0x10U, 0); /* SYS_CLOCK */
}

static void stop(void) {
    for (;;) {
        (void)semihost(0x18U, (const void *)0x20023); /* SYS_EXIT, a run-time error */
    }
}

void reset(void) {
    for (uint32_t *to = data_begin, *from = data_load; to != data_end; to++, from++) {
        *to = *from;
    }
    for (uint32_t *to = bss_begin; to != bss_end; to++) {
        *to = 0U;
    }
    for (void (*const *one)(void) = constructors_begin; one != constructors_end; one++) {
        (*one)();
    }
    (void)main();
    (void)semihost(0x18U, (const void *)0x20026); /* SYS_EXIT, a program's end */
    stop();
}

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {
    stack_top,
    {reset, stop, stop, stop, stop, stop, stop, stop, stop, stop, stop, stop, stop, stop, stop},
};
