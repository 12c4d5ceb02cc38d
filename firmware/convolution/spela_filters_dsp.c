/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What filters learn, for cores with the DSP extension: the sums of a patch in assembly, as in
 * spela_kernels_dsp.c, so that every compiler at every optimisation level runs the same
 * instructions.
 */
#include "spela_convolution.h"

#ifdef SPELA_DSP_KERNELS

/* clang-format off */

/* Four values a turn, 11 instructions: SXTB16 widens bytes 0 and 2, and with a rotation 1 and 3. */
__attribute__((naked)) void spela_add_runs(SPELA_ARGUMENT const int8_t *values,
                                           SPELA_ARGUMENT int32_t *sums,
                                           SPELA_ARGUMENT int32_t factor,
                                           SPELA_ARGUMENT const spela_runs_t *runs) {
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "ldmia   r3, {r3, r10-r12}\n"     /* count, length, pitch, width */
        "sub     r11, r11, r10\n"
        "sub     r12, r12, r10\n"
        "1: subs lr, r10, #4\n"
        "blo     3f\n"
        "2: ldr  r8, [r0], #4\n"
        "ldmia   r1, {r4-r7}\n"
        "sxtb16  r9, r8\n"
        "sxtb16  r8, r8, ror #8\n"
        "smlabb  r4, r9, r2, r4\n"
        "smlabb  r5, r8, r2, r5\n"
        "smlatb  r6, r9, r2, r6\n"
        "smlatb  r7, r8, r2, r7\n"
        "stmia   r1!, {r4-r7}\n"
        "subs    lr, #4\n"
        "bhs     2b\n"
        "3: adds lr, #4\n"
        "beq     5f\n"
        "4: ldrsb r8, [r0], #1\n"
        "ldr     r4, [r1]\n"
        "smlabb  r4, r8, r2, r4\n"
        "str     r4, [r1], #4\n"
        "subs    lr, #1\n"
        "bne     4b\n"
        "5: add  r0, r11\n"
        "add     r1, r1, r12, lsl #2\n"
        "subs    r3, #1\n"
        "bne     1b\n"
        "pop     {r4-r11, pc}\n");
}

/* clang-format on */

#endif /* SPELA_DSP_KERNELS */
