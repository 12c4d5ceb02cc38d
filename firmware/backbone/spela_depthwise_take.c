/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A channel's plane for the depthwise kernels. A whole function in assembly, as in
 * spela_kernels_thumb.c, for cores with 32-bit Thumb instructions.
 */
#include "spela_depthwise.h"

#ifdef SPELA_PLANE_DEPTHWISE

/* clang-format off */

/* Two values of a row. */
#define SPELA_TAKE_PAIR                     \
    "ldrsb   r2, [r0]\n"                    \
    "ldrsb   r3, [r0, r4]\n"                \
    "add     r0, r0, r4, lsl #1\n"          \
    "strh    r2, [r1], #2\n"                \
    "strh    r3, [r1], #2\n"

__attribute__((naked)) void spela_take_plane(SPELA_ARGUMENT const int8_t *channel,
                                             SPELA_ARGUMENT int16_t *plane,
                                             SPELA_ARGUMENT const spela_take_job_t *job) {
    /* the job in r4-r9; r11 the plane's end of pairs, or before it */
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "ldmia   r2, {r4-r9}\n"
        "1: add  r11, r1, r6\n"
        "2: tbb  [pc, r9]\n"
        "3: .byte (4f - 3b) / 2, (5f - 3b) / 2, (6f - 3b) / 2, (7f - 3b) / 2, (8f - 3b) / 2, 0\n"
        "4:\n" SPELA_TAKE_PAIR
        "5:\n" SPELA_TAKE_PAIR
        "6:\n" SPELA_TAKE_PAIR
        "7:\n" SPELA_TAKE_PAIR
        "8: cmp  r1, r11\n"
        "blo     4b\n"
        "beq     9f\n"
        "ldrsb   r2, [r0]\n"
        "add     r0, r0, r4\n"
        "strh    r2, [r1], #2\n"
        "9: add  r0, r0, r5\n"
        "add     r1, r1, r8\n"
        "subs    r7, #1\n"
        "bne     1b\n"
        "pop     {r4-r11, pc}\n");
}

/* clang-format on */

#endif
