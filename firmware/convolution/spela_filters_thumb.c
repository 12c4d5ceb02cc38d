/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What filters learn, for cores without the DSP extension, ARMv7-M and ARMv6-M and their
 * counterparts in ARMv8-M: the sums of a patch in assembly, as in spela_kernels_thumb.c.
 */
#include "spela_convolution.h"

#ifdef SPELA_THUMB_KERNELS

/* clang-format off */

#if __ARM_ARCH_ISA_THUMB == 2

/* Four values a turn, 12 instructions. */
__attribute__((naked)) void spela_add_runs(SPELA_ARGUMENT const int8_t *values,
                                           SPELA_ARGUMENT int32_t *sums,
                                           SPELA_ARGUMENT int32_t factor,
                                           SPELA_ARGUMENT const spela_runs_t *runs) {
    __asm__ volatile(
        "push    {r4-r8, r10, r11, lr}\n"
        "ldmia   r3, {r3, r10-r12}\n"     /* count, length, pitch, width */
        "sub     r11, r11, r10\n"
        "sub     r12, r12, r10\n"
        "1: subs lr, r10, #4\n"
        "blo     3f\n"
        "2: ldmia r1, {r4-r7}\n"
        "ldrsb   r8, [r0], #4\n"
        "mla     r4, r8, r2, r4\n"
        "ldrsb   r8, [r0, #-3]\n"
        "mla     r5, r8, r2, r5\n"
        "ldrsb   r8, [r0, #-2]\n"
        "mla     r6, r8, r2, r6\n"
        "ldrsb   r8, [r0, #-1]\n"
        "mla     r7, r8, r2, r7\n"
        "stmia   r1!, {r4-r7}\n"
        "subs    lr, #4\n"
        "bhs     2b\n"
        "3: adds lr, #4\n"
        "beq     5f\n"
        "4: ldrsb r8, [r0], #1\n"
        "ldr     r4, [r1]\n"
        "mla     r4, r8, r2, r4\n"
        "str     r4, [r1], #4\n"
        "subs    lr, #1\n"
        "bne     4b\n"
        "5: add  r0, r11\n"
        "add     r1, r1, r12, lsl #2\n"
        "subs    r3, #1\n"
        "bne     1b\n"
        "pop     {r4-r8, r10, r11, pc}\n");
}

#else /* ARMv6-M, ARMv8-M Baseline */

/* One value: r4 its sum. r0 values, r2 factor, r3 scratch. */
#define SPELA_VALUE(index, sum)                                 \
    "ldrb    r3, [r0, #" #index "]\n"                           \
    "sxtb    r3, r3\n"                                          \
    "muls    r3, r2\n"                                          \
    "adds    " sum ", r3\n"

/* Four values a turn, 22 instructions. */
__attribute__((naked)) void spela_add_runs(SPELA_ARGUMENT const int8_t *values,
                                           SPELA_ARGUMENT int32_t *sums,
                                           SPELA_ARGUMENT int32_t factor,
                                           SPELA_ARGUMENT const spela_runs_t *runs) {
    /* r8 count, r9 length, r10 and r11 from the end of a run to the next one, r12 values left */
    __asm__ volatile(
        ".syntax unified\n" /* gcc's default for ARMv6-M is divided syntax */
        "push    {r4-r7, lr}\n"
        "mov     r4, r8\n"
        "mov     r5, r9\n"
        "mov     r6, r10\n"
        "mov     r7, r11\n"
        "push    {r4-r7}\n"
        "ldmia   r3!, {r4-r7}\n"          /* count, length, pitch, width */
        "mov     r8, r4\n"
        "mov     r9, r5\n"
        "subs    r6, r5\n"
        "mov     r10, r6\n"
        "subs    r7, r5\n"
        "lsls    r7, #2\n"
        "mov     r11, r7\n"
        "1: mov  r3, r9\n"
        "subs    r3, #4\n"
        "blo     3f\n"
        "2: mov  r12, r3\n"
        "ldmia   r1!, {r4-r7}\n"
        SPELA_VALUE(0, "r4")
        SPELA_VALUE(1, "r5")
        SPELA_VALUE(2, "r6")
        SPELA_VALUE(3, "r7")
        "subs    r1, #16\n"
        "stmia   r1!, {r4-r7}\n"
        "adds    r0, #4\n"
        "mov     r3, r12\n"
        "subs    r3, #4\n"
        "bhs     2b\n"
        "3: adds r3, #4\n"
        "beq     5f\n"
        "mov     r5, r3\n"
        "4: ldr  r4, [r1]\n"
        SPELA_VALUE(0, "r4")
        "stmia   r1!, {r4}\n"
        "adds    r0, #1\n"
        "subs    r5, #1\n"
        "bne     4b\n"
        "5: add  r0, r10\n"
        "add     r1, r11\n"
        "mov     r3, r8\n"
        "subs    r3, #1\n"
        "mov     r8, r3\n"
        "bne     1b\n"
        "pop     {r4-r7}\n"
        "mov     r8, r4\n"
        "mov     r9, r5\n"
        "mov     r10, r6\n"
        "mov     r11, r7\n"
        "pop     {r4-r7, pc}\n");
}

#endif

/* clang-format on */

#endif /* SPELA_THUMB_KERNELS */
