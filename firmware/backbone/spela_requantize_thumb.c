/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Lines of sums to outputs for cores without the DSP extension, if the operator is narrowing. Whole
 * functions in assembly, as in spela_kernels_thumb.c.
 */
#include "spela_requantize.h"

#ifdef SPELA_THUMB_REQUANTIZE

/* clang-format off */

#if __ARM_ARCH_ISA_THUMB == 2

/* 14 instructions an output. */
__attribute__((naked)) void spela_narrow(SPELA_ARGUMENT const spela_line_t *line,
                                         SPELA_ARGUMENT const int32_t *sums,
                                         SPELA_ARGUMENT int8_t *target) {
    /* r3 channel, r4 bytes to the next one, r5 outputs left, r6 step; r7-r9, r12 its record */
    __asm__ volatile(
        "push    {r4-r9, lr}\n"
        "ldmia   r0, {r3-r6}\n"
        "lsl     r4, r4, #4\n"
        "1: ldmia r3, {r7-r9, r12}\n"
        "add     r3, r3, r4\n"
        "ldr     r0, [r1], #4\n"
        "add     r7, r7, r0, lsl #1\n"
        "smull   r0, lr, r7, r8\n"
        "lsls    r0, r0, #1\n"             /* carry: rounds */
        "adc     lr, lr, r9\n"
        "add     lr, lr, r7, asr #31\n"
        "asr     lr, lr, r12\n"
        "ssat    lr, #8, lr\n"
        "strb    lr, [r2]\n"
        "add     r2, r2, r6\n"
        "subs    r5, #1\n"
        "bne     1b\n"
        "pop     {r4-r9, pc}\n");
}

#else /* ARMv6-M */

/* 35 instructions an output. The product of v and m is that of spela_product: m >= 0, and halves of
 * v are signed and unsigned. */
__attribute__((naked)) void spela_narrow(SPELA_ARGUMENT const spela_line_t *line,
                                         SPELA_ARGUMENT const int32_t *sums,
                                         SPELA_ARGUMENT int8_t *target) {
    /* r3 channel, r8 from behind its record to the next one, r9 end of the sums, r10 step */
    __asm__ volatile(
        ".syntax unified\n"
        "push    {r4-r7, lr}\n"
        "mov     r4, r8\n"
        "mov     r5, r9\n"
        "mov     r6, r10\n"
        "push    {r4-r6}\n"
        "ldmia   r0!, {r3-r6}\n"
        "lsls    r4, r4, #4\n"
        "subs    r4, #16\n"
        "mov     r8, r4\n"
        "lsls    r5, r5, #2\n"
        "adds    r5, r5, r1\n"
        "mov     r9, r5\n"
        "mov     r10, r6\n"
        "1: ldmia r3!, {r4, r5}\n"         /* bias, m */
        "ldmia   r1!, {r6}\n"
        "lsls    r6, r6, #1\n"
        "adds    r4, r4, r6\n"             /* v */
        "uxth    r6, r4\n"
        "asrs    r4, r4, #16\n"
        "uxth    r7, r5\n"
        "lsrs    r5, r5, #16\n"
        "mov     r0, r6\n"
        "muls    r0, r7, r0\n"             /* low, low */
        "lsrs    r0, r0, #16\n"
        "muls    r6, r5, r6\n"             /* low, high */
        "adds    r6, r6, r0\n"
        "muls    r7, r4, r7\n"             /* high, low */
        "muls    r5, r4, r5\n"             /* high, high */
        "lsrs    r0, r6, #16\n"
        "adds    r5, r5, r0\n"
        "uxth    r6, r6\n"
        "adds    r7, r7, r6\n"
        "asrs    r7, r7, #16\n"            /* carry: rounds */
        "adcs    r5, r7\n"
        "ldmia   r3!, {r0, r7}\n"          /* rounding, shift */
        "adds    r5, r5, r0\n"
        "asrs    r4, r4, #31\n"
        "adds    r5, r5, r4\n"
        "asrs    r5, r7\n"
        "sxtb    r0, r5\n"
        "cmp     r0, r5\n"
        "beq     2f\n"
        "asrs    r5, r5, #31\n"
        "movs    r0, #127\n"
        "eors    r0, r5\n"                 /* 127 or -128 */
        "2: strb r0, [r2]\n"
        "add     r2, r10\n"
        "add     r3, r8\n"
        "cmp     r1, r9\n"
        "bne     1b\n"
        "pop     {r4-r6}\n"
        "mov     r8, r4\n"
        "mov     r9, r5\n"
        "mov     r10, r6\n"
        "pop     {r4-r7, pc}\n");
}

#endif

/* clang-format on */

#endif
