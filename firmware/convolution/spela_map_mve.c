/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The map of a convolution, for cores with the vector extension MVE, its integer half: what is done
 * for each position beside its sums, in assembly as in spela_kernels_mve.c.
 */
#include "spela_convolution.h"

#ifdef SPELA_MVE_KERNELS

/* clang-format off */

/* Sixteen values a turn; the last turn of a run is predicated. */
__attribute__((naked)) void spela_copy_runs(SPELA_ARGUMENT const int8_t *values,
                                            SPELA_ARGUMENT void *patch,
                                            SPELA_ARGUMENT const spela_runs_t *runs) {
    __asm__ volatile(
        "push    {r4-r7, lr}\n"
        "ldmia   r2, {r2-r5}\n"            /* count, length, pitch, width */
        "1: mov  r6, r0\n"
        "mov     r7, r1\n"
        "dlstp.8 lr, r3\n"
        "2: vldrb.u8 q0, [r6], #16\n"
        "vstrb.8 q0, [r7], #16\n"
        "letp    lr, 2b\n"
        "add     r0, r4\n"
        "add     r1, r5\n"
        "subs    r2, #1\n"
        "bne     1b\n"
        "pop     {r4-r7, pc}\n");
}

/* Four filters a turn. Places that are not wanted go where sums were. */
__attribute__((naked)) uint32_t spela_keep_greatest(SPELA_ARGUMENT const int32_t *sums,
                                                    SPELA_ARGUMENT const spela_maxima_t *maxima) {
    __asm__ volatile(
        "push    {r4, r5, lr}\n"
        "ldmia   r1, {r1-r5}\n"            /* maxima, places, filters, shift, place */
        "cmp     r2, #0\n"
        "it      eq\n"
        "moveq   r2, r0\n"
        "vdup.32 q2, r5\n"
        "movw    r5, #32767\n"
        "vdup.32 q3, r5\n"
        "rsb     r4, r4, #0\n"
        "dlstp.32 lr, r3\n"
        "1: vldrw.u32 q0, [r0], #16\n"
        "vldrh.s32 q1, [r1]\n"
        "vrshl.s32 q0, r4\n"
        "vmin.s32 q0, q0, q3\n"
        "vptt.s32 gt, q0, q1\n"
        "vstrht.32 q0, [r1]\n"
        "vstrbt.32 q2, [r2]\n"
        "adds    r1, #8\n"
        "adds    r2, #4\n"
        "letp    lr, 1b\n"
        "mov     r0, r3\n"
        "pop     {r4, r5, pc}\n");
}

/* Eight values a turn. */
__attribute__((naked)) uint32_t spela_narrow(SPELA_ARGUMENT int16_t *map,
                                             SPELA_ARGUMENT uint32_t count) {
    __asm__ volatile(
        "push    {r4, lr}\n"
        "mov     r2, r0\n"
        "vmov.i32 q1, #0\n"
        "dlstp.16 lr, r1\n"
        "1: vldrh.u16 q0, [r2], #16\n"
        "vorr    q1, q1, q0\n"
        "letp    lr, 1b\n"
        "movs    r4, #0\n"
        "vmaxv.u16 r4, q1\n"              /* its bits are those of the greatest value */
        "clz     r4, r4\n"
        "rsb     r4, r4, #32\n"
        "subs    r4, #7\n"
        "it      lo\n"
        "movlo   r4, #0\n"
        "rsb     r3, r4, #0\n"
        "movs    r2, #127\n"
        "vdup.16 q1, r2\n"
        "mov     r2, r0\n"
        "dlstp.16 lr, r1\n"
        "2: vldrh.u16 q0, [r2], #16\n"
        "vrshl.s16 q0, r3\n"
        "vmin.s16 q0, q0, q1\n"
        "vstrb.16 q0, [r0], #8\n"
        "letp    lr, 2b\n"
        "mov     r0, r4\n"
        "pop     {r4, pc}\n");
}

/* clang-format on */

#endif /* SPELA_MVE_KERNELS */
