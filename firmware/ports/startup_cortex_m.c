/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up of a Cortex-M: vector table, memory, and what happens on a fault. */
#include "port.h"
#include "sections.h"

#include <stddef.h>

/* What the core pushed when it took a fault. */
typedef struct {
    uint32_t r0, r1, r2, r3, r12, lr, pc, xpsr;
} exception_t;

int main(void);
void Reset_Handler(void);
void Fault_Handler(void);
void port_fault(const exception_t *exception);

/* A firmware of one's own may have these; without, what they handle is a fault. */
#define IS_A_FAULT __attribute__((weak, alias("Fault_Handler")))
IS_A_FAULT void NMI_Handler(void);
IS_A_FAULT void SVC_Handler(void);
IS_A_FAULT void PendSV_Handler(void);
IS_A_FAULT void SysTick_Handler(void);

typedef void (*handler_t)(void);

typedef struct {
    const uint32_t *stack_top;
    handler_t handlers[15];
} vector_table_t;

/* The application enables no interrupts, so the core's own sixteen entries are the table. */
extern const vector_table_t port_vectors;
__attribute__((section(".vectors"), used)) const vector_table_t port_vectors = {
    port_stack_top,
    {
        Reset_Handler, /* reset */
        NMI_Handler,
        Fault_Handler, /* hard fault: every other fault escalates to it */
        Fault_Handler, /* memory management */
        Fault_Handler, /* bus */
        Fault_Handler, /* usage */
        Fault_Handler, /* secure (ARMv8-M), else reserved */
        NULL,
        NULL,
        NULL,
        SVC_Handler,
        Fault_Handler, /* debug monitor */
        NULL,
        PendSV_Handler,
        SysTick_Handler,
    },
};

#if defined(__ARM_FEATURE_MVE)
/* Coprocessor Access Control Register (ARMv8-M ARM, D1.2): coprocessors 10 and 11, full access. */
#define CPACR        (*(volatile uint32_t *)0xE000ED88U)
#define CPACR_VECTOR (15U << 20)
#endif

void Reset_Handler(void) {
#if defined(__ARM_FEATURE_MVE)
    CPACR |= CPACR_VECTOR; /* a compiler may use vector registers anywhere from here on */
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
    port_set_up_memory();
    (void)main();
    for (;;) {
        /* The application does not return. */
    }
}

/*
 * The stack lies at the bottom of RAM, so one that overflows leaves RAM and faults here, with a
 * stack pointer that must not be used: then start from the top again, and hand on NULL. Otherwise
 * the report has the 256 bytes kept for it, and needs less.
 */
__attribute__((naked)) void Fault_Handler(void) {
    __asm__ volatile(".syntax unified\n" /* gcc's default for ARMv6-M is divided syntax */
                     "mrs r0, msp\n"
                     "ldr r1, =port_stack_bottom + 256\n"
                     "cmp r0, r1\n"
                     "bhs 1f\n"
                     "ldr r1, =port_stack_top\n"
                     "mov sp, r1\n"
                     "movs r0, #0\n"
                     "1:\n"
                     "ldr r1, =port_fault\n"
                     "bx r1\n"
                     ".ltorg\n");
}

/* System control block of ARMv7-M and ARMv8-M: configurable and hard fault status, addresses. */
#define SCB_CFSR  0xE000ED28U
#define SCB_HFSR  0xE000ED2CU
#define SCB_MMFAR 0xE000ED34U
#define SCB_BFAR  0xE000ED38U

static uint32_t register_at(uint32_t address) {
#if defined(__ARM_ARCH) && __ARM_ARCH >= 7
    return *(const volatile uint32_t *)(uintptr_t)address;
#else
    (void)address; /* ARMv6-M has none of them */
    return 0U;
#endif
}

__attribute__((used)) void port_fault(const exception_t *exception) {
    uint32_t report[7] = {
        register_at(SCB_CFSR),
        register_at(SCB_HFSR),
        register_at(SCB_MMFAR),
        register_at(SCB_BFAR),
    };
    if (exception != NULL) {
        report[4] = exception->pc;
        report[5] = exception->lr;
        report[6] = exception->xpsr;
    }
    port_on_fault(report, (exception != NULL) ? 7U : 4U);
    for (;;) {
        /* For the debugger. */
    }
}
