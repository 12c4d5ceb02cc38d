/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What filters learn, for cores with the vector extension MVE, its integer half: the sums of a
 * patch in assembly, as in spela_kernels_mve.c.
 */
#include "spela_convolution.h"

#ifdef SPELA_MVE_KERNELS

/* clang-format off */

/* Four values a turn, 5 instructions; the last turn of a run is predicated. */
__attribute__((naked)) void spela_add_runs(SPELA_ARGUMENT const int8_t *values,
                                           SPELA_ARGUMENT int32_t *sums,
                                           SPELA_ARGUMENT int32_t factor,
                                           SPELA_ARGUMENT const spela_runs_t *runs) {
    __asm__ volatile(
        "push    {r4-r8, lr}\n"
        "ldmia   r3, {r3-r6}\n"            /* count, length, pitch, width */
        "1: mov  r7, r0\n"
        "mov     r8, r1\n"
        "dlstp.32 lr, r4\n"
        "2: vldrb.s32 q0, [r7], #4\n"
        "vldrw.u32 q1, [r8]\n"
        "vmla.s32 q1, q0, r2\n"
        "vstrw.32 q1, [r8], #16\n"
        "letp    lr, 2b\n"
        "add     r0, r5\n"
        "add     r1, r1, r6, lsl #2\n"
        "subs    r3, #1\n"
        "bne     1b\n"
        "pop     {r4-r8, pc}\n");
}

/* clang-format on */

#endif /* SPELA_MVE_KERNELS */
