/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Convolutions of all channels for cores with the DSP extension: two positions at a time by two
 * output channels, so that what is widened of the weights is used twice, and requantised where the
 * sums are. Whole functions in assembly, as in spela_kernels_dsp.c, whose layout of weights it is.
 */
#include "spela_convolution.h"

#ifdef SPELA_DSP_CONVOLUTION

/* clang-format off */

/* Four inputs a turn: their bytes 0 and 2, then 1 and 3; the other position's lie between. */
__attribute__((naked)) uint32_t *spela_widen_apart(SPELA_ARGUMENT const int8_t *inputs,
                                                   SPELA_ARGUMENT uint32_t count,
                                                   SPELA_ARGUMENT uint32_t *pairs) {
    __asm__ volatile(
        "subs    r1, #8\n"
        "blo     2f\n"
        "push    {r4, r5}\n"
        "1: ldr  r3, [r0], #4\n"
        "ldr     r5, [r0], #4\n"
        "sxtb16  r4, r3\n"
        "sxtb16  r3, r3, ror #8\n"
        "sxtb16  r12, r5\n"
        "sxtb16  r5, r5, ror #8\n"
        "strd    r4, r3, [r2], #16\n"
        "strd    r12, r5, [r2], #16\n"
        "subs    r1, #8\n"
        "bhs     1b\n"
        "pop     {r4, r5}\n"
        "2: adds r1, #4\n"
        "bmi     3f\n"
        "ldr     r3, [r0], #4\n"
        "subs    r1, #4\n"
        "sxtb16  r12, r3\n"
        "sxtb16  r3, r3, ror #8\n"
        "strd    r12, r3, [r2], #16\n"
        "3: adds r1, #4\n"
        "beq     5f\n"                     /* one to three over: the rest of their block is zero */
        "movs    r3, #0\n"
        "4: subs r1, #1\n"
        "ldrb    r12, [r0, r1]\n"
        "orr     r3, r12, r3, lsl #8\n"
        "bne     4b\n"
        "sxtb16  r12, r3\n"
        "sxtb16  r3, r3, ror #8\n"
        "strd    r12, r3, [r2], #16\n"
        "5: mov  r0, r2\n"
        "bx      lr\n");
}

/* Sixteen multiply-accumulates: 2 output channels by 2 positions by 4 columns, 14 instructions.
 * r0 weights, r1 inputs; sums r2, r3 of the first channel, r10, r11 of the second; r4-r9, r12
 * scratch. */
#define SPELA_BLOCK                         \
    "ldrd    r8, r9, [r0], #16\n"           \
    "ldmia   r1!, {r4-r7}\n"                \
    "sxtb16  r12, r8\n"                     \
    "smlad   r2, r12, r4, r2\n"             \
    "smlad   r3, r12, r6, r3\n"             \
    "sxtb16  r12, r9\n"                     \
    "smlad   r10, r12, r4, r10\n"           \
    "smlad   r11, r12, r6, r11\n"           \
    "sxtb16  r8, r8, ror #8\n"              \
    "smlad   r2, r8, r5, r2\n"              \
    "smlad   r3, r8, r7, r3\n"              \
    "sxtb16  r9, r9, ror #8\n"              \
    "smlad   r10, r9, r5, r10\n"            \
    "smlad   r11, r9, r7, r11\n"

/* One channel's two sums to outputs, as spela_requantized does it if the operator is narrowing.
 * r1 its record; r4-r7 scratch. */
#define SPELA_REQUANTIZE(first, second, to_first, to_second)       \
    "ldmia   r1!, {r4-r7}\n"                                       \
    "add     " first ", r4, " first ", lsl #1\n"                   \
    "add     " second ", r4, " second ", lsl #1\n"                 \
    "smmlar  " to_first ", " first ", r5, r6\n"                    \
    "smmlar  " to_second ", " second ", r5, r6\n"                  \
    "add     " to_first ", " to_first ", " first ", asr #31\n"     \
    "add     " to_second ", " to_second ", " second ", asr #31\n"  \
    "asr     " to_first ", " to_first ", r7\n"                     \
    "asr     " to_second ", " to_second ", r7\n"                   \
    "ssat    " to_first ", #8, " to_first "\n"                     \
    "ssat    " to_second ", #8, " to_second "\n"

/* A turn of the inner loop is four blocks; the first is entered part-way. */
__attribute__((naked)) void spela_convolve_pair(SPELA_ARGUMENT const int8_t *weights,
                                                SPELA_ARGUMENT const uint32_t *pairs,
                                                SPELA_ARGUMENT const spela_pair_job_t *job,
                                                SPELA_ARGUMENT int8_t *target) {
    /* sp: inputs, blocks over, target, bytes from the end of this pair of rows back to the start of
     * the next, records, end of the target, step; lr end of the inputs */
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "ldmia   r2, {r4-r7}\n"            /* columns, records, channels, step */
        "add     lr, r1, r4, lsl #2\n"
        "ubfx    r2, r4, #2, #2\n"
        "lsl     r4, r4, #2\n"
        "subs    r4, #8\n"
        "add     r6, r3, r6\n"
        "push    {r1-r7}\n"
        "1: ldrd r1, r12, [sp]\n"
        "movs    r2, #0\n"
        "movs    r3, #0\n"
        "mov     r10, #0\n"
        "mov     r11, #0\n"
        "2: tbb  [pc, r12]\n"
        "3: .byte (4f - 3b) / 2, (7f - 3b) / 2, (6f - 3b) / 2, (5f - 3b) / 2\n"
        "4:\n" SPELA_BLOCK
        "5:\n" SPELA_BLOCK
        "6:\n" SPELA_BLOCK
        "7:\n" SPELA_BLOCK
        "cmp     r1, lr\n"
        "bne     4b\n"
        "ldr     r1, [sp, #16]\n"
        SPELA_REQUANTIZE("r2", "r3", "r8", "r9")
        SPELA_REQUANTIZE("r10", "r11", "r2", "r3")
        "str     r1, [sp, #16]\n"
        "ldrd    r4, r7, [sp, #8]\n"       /* target, bytes back */
        "ldrd    r5, r6, [sp, #20]\n"      /* its end, step */
        "add     r6, r6, r4\n"
        "strb    r9, [r6]\n"
        "strb    r3, [r6, #1]\n"
        "strb    r8, [r4], #1\n"
        "strb    r2, [r4], #1\n"
        /* 8 bytes less than a row of blocks, and 8 bytes, in turn */
        "ldr     r1, [sp]\n"
        "sub     r0, r0, r7\n"
        "sub     r1, lr, r1\n"
        "sub     r7, r1, r7\n"
        "strd    r4, r7, [sp, #8]\n"
        "cmp     r4, r5\n"
        "bne     1b\n"
        "add     sp, #28\n"
        "pop     {r4-r11, pc}\n");
}

/* clang-format on */

#endif
