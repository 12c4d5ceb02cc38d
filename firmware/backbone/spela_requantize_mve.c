/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Lines of sums to outputs for cores with the vector extension MVE, if the operator is narrowing:
 * four at a time. A whole function in assembly, as in spela_kernels_mve.c.
 */
#include "spela_requantize.h"

#ifdef SPELA_MVE_REQUANTIZE

/* clang-format off */

/* 18 instructions for four outputs. Predicated at the end: neither sums nor records are read, nor
 * outputs written, behind the last. VRMULH is the product's upper half, rounded as it should be. */
__attribute__((naked)) void spela_narrow(SPELA_ARGUMENT const spela_line_t *line,
                                         SPELA_ARGUMENT const int32_t *sums,
                                         SPELA_ARGUMENT int8_t *target) {
    /* q0 addresses of four channels' records, r4 bytes from there to the next four, r6 step, r8
     * number of the first output */
    __asm__ volatile(
        "push    {r4-r8, lr}\n"
        "ldmia   r0, {r3-r6}\n"            /* channel, channel step, count, step */
        "mov     r8, #0\n"
        "vidup.u32 q0, r8, #1\n"
        "lsl     r4, r4, #4\n"
        "vmul.i32 q0, q0, r4\n"
        "vadd.i32 q0, q0, r3\n"
        "lsl     r4, r4, #2\n"
        "mov     r8, #0\n"
        "dlstp.32 lr, r5\n"
        "1: vldrw.u32 q2, [r1], #16\n"
        "vshl.i32 q2, q2, #1\n"
        "vldrw.u32 q1, [q0]\n"             /* bias */
        "vadd.i32 q2, q2, q1\n"
        "vldrw.u32 q1, [q0, #4]\n"         /* multiplier */
        "vrmulh.s32 q3, q2, q1\n"
        "vldrw.u32 q1, [q0, #8]\n"         /* rounding */
        "vadd.i32 q3, q3, q1\n"
        "vshr.s32 q2, q2, #31\n"
        "vadd.i32 q3, q3, q2\n"
        "vldrw.u32 q1, [q0, #12]\n"        /* shift */
        "vneg.s32 q1, q1\n"
        "vshl.s32 q3, q3, q1\n"
        "vqmovnb.s32 q3, q3\n"
        "vqmovnb.s16 q3, q3\n"
        "vidup.u32 q1, r8, #1\n"
        "vmul.i32 q1, q1, r6\n"
        "vstrb.32 q3, [r2, q1]\n"
        "vadd.i32 q0, q0, r4\n"
        "letp    lr, 1b\n"
        "pop     {r4-r8, pc}\n");
}

/* clang-format on */

#endif
