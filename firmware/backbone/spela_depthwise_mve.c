/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Depthwise convolutions for cores with the vector extension MVE: four outputs at a time, by any
 * taps. A whole function in assembly, as in spela_kernels_mve.c.
 */
#include "spela_depthwise.h"

#ifdef SPELA_MVE_DEPTHWISE

/* clang-format off */

/* Five instructions a tap. */
__attribute__((naked)) void spela_sum_four(SPELA_ARGUMENT const spela_window_t *window,
                                           SPELA_ARGUMENT const int16_t *taps,
                                           SPELA_ARGUMENT uint32_t apart,
                                           SPELA_ARGUMENT const int8_t *weights,
                                           SPELA_ARGUMENT int32_t *sums) {
    /* r4 rows left, r5 columns, r6 and r7 bytes from tap to tap and from row to row, r8 padding of a
     * row of weights; q1 where the four windows lie, q2 sums */
    __asm__ volatile(
        "push    {r4-r10, lr}\n"
        "ldmia   r0, {r4-r8}\n"
        "lsl     r6, r6, #1\n"
        "lsl     r7, r7, #1\n"
        "mov     r10, #0\n"
        "vidup.u32 q1, r10, #1\n"
        "vmul.i32 q1, q1, r2\n"
        "vmov.i32 q2, #0\n"
        "1: mov  r9, r1\n"
        "dls     lr, r5\n"
        "2: ldrsb r10, [r3], #1\n"
        "vldrh.s32 q0, [r9, q1, uxtw #1]\n"
        "vmla.s32 q2, q0, r10\n"
        "add     r9, r9, r6\n"
        "le      lr, 2b\n"
        "add     r3, r3, r8\n"
        "add     r1, r1, r7\n"
        "subs    r4, #1\n"
        "bne     1b\n"
        "ldr     r0, [sp, #32]\n"
        "vstrw.32 q2, [r0]\n"
        "pop     {r4-r10, pc}\n");
}

/* clang-format on */

#endif
