/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The sum of two maps for cores with the DSP extension: four values at a time, each with its two
 * roundings by one multiplication. A whole function in assembly, as in spela_kernels_dsp.c.
 */
#include "spela_elementwise.h"

#ifdef SPELA_DSP_ADD

/* clang-format off */

/* A value in `to`, already widened, to the scale of the sum. r5 factor, r6 bias, r7 multiplier,
 * r8 rounding, r9 shift; r3 scratch. */
#define SPELA_SCALE(to)                     \
    "mla     " to ", " to ", r5, r6\n"      \
    "add     r3, r8, " to ", asr #31\n"     \
    "smmlar  " to ", " to ", r7, r3\n"      \
    "asr     " to ", " to ", r9\n"

/* The same of a byte of r4, added to a sum. */
#define SPELA_ADD(sum, bit)                 \
    "sbfx    r2, r4, #" bit ", #8\n"        \
    SPELA_SCALE("r2")                       \
    "add     " sum ", " sum ", r2\n"

/* A sum to an output. */
#define SPELA_FINISH(sum)                   \
    "lsl     " sum ", " sum ", #1\n"        \
    "add     r3, r8, " sum ", asr #31\n"    \
    "smmlar  " sum ", " sum ", r7, r3\n"    \
    "asr     " sum ", " sum ", r9\n"        \
    "ssat    " sum ", #8, " sum "\n"

__attribute__((naked)) void spela_add_fours(SPELA_ARGUMENT const int8_t *first,
                                            SPELA_ARGUMENT const int8_t *second,
                                            SPELA_ARGUMENT const spela_add_job_t *job,
                                            SPELA_ARGUMENT int8_t *target) {
    /* sp: the job, target */
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "sub     sp, #60\n"
        "mov     r12, sp\n"
        "ldmia   r2!, {r4-r10}\n"
        "stmia   r12!, {r4-r10}\n"
        "ldmia   r2!, {r4-r10}\n"
        "stmia   r12!, {r4-r10}\n"
        "str     r3, [r12]\n"
        "1: ldrd r5, r6, [sp]\n"
        "ldrd    r7, r8, [sp, #8]\n"
        "ldr     r9, [sp, #16]\n"
        "ldr     r4, [r0], #4\n"
        "sxtb    r10, r4\n"
        "sbfx    r11, r4, #8, #8\n"
        "sbfx    r12, r4, #16, #8\n"
        "asr     lr, r4, #24\n"
        SPELA_SCALE("r10")
        SPELA_SCALE("r11")
        SPELA_SCALE("r12")
        SPELA_SCALE("lr")
        "ldr     r5, [sp, #20]\n"
        "ldrd    r6, r7, [sp, #24]\n"
        "ldrd    r8, r9, [sp, #32]\n"
        "ldr     r4, [r1], #4\n"
        SPELA_ADD("r10", "0")
        SPELA_ADD("r11", "8")
        SPELA_ADD("r12", "16")
        SPELA_ADD("lr", "24")
        "ldrd    r7, r8, [sp, #40]\n"
        "ldrd    r9, r5, [sp, #48]\n"
        SPELA_FINISH("r10")
        SPELA_FINISH("r11")
        SPELA_FINISH("r12")
        SPELA_FINISH("lr")
        "ldr     r2, [sp, #56]\n"
        "bfi     r10, r11, #8, #8\n"
        "bfi     r10, r12, #16, #8\n"
        "bfi     r10, lr, #24, #8\n"
        "str     r10, [r2], #4\n"
        "str     r2, [sp, #56]\n"
        "cmp     r0, r5\n"
        "bne     1b\n"
        "add     sp, #60\n"
        "pop     {r4-r11, pc}\n");
}

/* clang-format on */

#endif
