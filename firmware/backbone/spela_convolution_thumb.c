/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Convolutions of all channels for ARMv7-M without the DSP extension: two positions at a time by
 * four output channels, so that what is loaded of the weights is used twice. Whole functions in
 * assembly, as in spela_kernels_thumb.c, whose layout of weights it is.
 */
#include "spela_convolution.h"

#ifdef SPELA_THUMB_CONVOLUTION

/* clang-format off */

/* Eight multiply-accumulates: 4 rows by 2 positions. r0 weights, r1 inputs; sums r2-r5 of the first
 * position, r6-r9 of the second; r10-r12 scratch. */
#define SPELA_COLUMN(first, second, row0, row1, row2, row3)     \
    "ldrsb   r10, [r1" first "\n"                               \
    "ldrsb   r11, [r1, #-" #second "]\n"                        \
    "ldrsb   r12, [r0" row0 "\n"                                \
    "mla     r2, r12, r10, r2\n"                                \
    "mla     r6, r12, r11, r6\n"                                \
    "ldrsb   r12, [r0, #-" #row1 "]\n"                          \
    "mla     r3, r12, r10, r3\n"                                \
    "mla     r7, r12, r11, r7\n"                                \
    "ldrsb   r12, [r0, #-" #row2 "]\n"                          \
    "mla     r4, r12, r10, r4\n"                                \
    "mla     r8, r12, r11, r8\n"                                \
    "ldrsb   r12, [r0, #-" #row3 "]\n"                          \
    "mla     r5, r12, r10, r5\n"                                \
    "mla     r9, r12, r11, r9\n"

/* 58 instructions for 4 rows by 2 positions by 4 columns. */
__attribute__((naked)) void spela_sum_pair(SPELA_ARGUMENT const int8_t *weights,
                                           SPELA_ARGUMENT const uint32_t *pairs,
                                           SPELA_ARGUMENT uint32_t columns,
                                           SPELA_ARGUMENT int32_t *sums) {
    __asm__ volatile(
        "push    {r3-r11, lr}\n"
        "add     lr, r1, r2, lsl #1\n"
        "movs    r2, #0\n"
        "movs    r3, #0\n"
        "movs    r4, #0\n"
        "movs    r5, #0\n"
        "movs    r6, #0\n"
        "movs    r7, #0\n"
        "mov     r8, #0\n"
        "mov     r9, #0\n"
        "1:\n"
        SPELA_COLUMN("], #8", 4, "], #16", 12, 8, 4)
        SPELA_COLUMN(", #-7]", 3, ", #-15]", 11, 7, 3)
        SPELA_COLUMN(", #-6]", 2, ", #-14]", 10, 6, 2)
        SPELA_COLUMN(", #-5]", 1, ", #-13]", 9, 5, 1)
        "cmp     r1, lr\n"
        "bne     1b\n"
        "pop     {r0}\n"
        "stmia   r0, {r2-r9}\n"
        "pop     {r4-r11, pc}\n");
}

/* clang-format on */

#endif
