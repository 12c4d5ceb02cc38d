/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The map of a convolution, for cores with the DSP extension: what is done for each position beside
 * its sums, in assembly as in spela_kernels_dsp.c.
 */
#include "spela_convolution.h"

#ifdef SPELA_DSP_KERNELS

/* clang-format off */

/* Four values a turn; then two, then one, if bits of what is left say so. */
__attribute__((naked)) void spela_copy_runs(SPELA_ARGUMENT const int8_t *values,
                                            SPELA_ARGUMENT void *patch,
                                            SPELA_ARGUMENT const spela_runs_t *runs) {
    __asm__ volatile(
        "push    {r4-r6, lr}\n"
        "ldmia   r2, {r2-r5}\n"            /* count, length, pitch, width */
        "sub     r4, r4, r3\n"
        "sub     r5, r5, r3\n"
        "1: subs r12, r3, #4\n"
        "blo     3f\n"
        "2: ldr  r6, [r0], #4\n"
        "str     r6, [r1], #4\n"
        "subs    r12, #4\n"
        "bhs     2b\n"
        "3: lsls r12, r12, #31\n"          /* bit 1 to the carry, bit 0 to the sign */
        "itt     cs\n"
        "ldrhcs  r6, [r0], #2\n"
        "strhcs  r6, [r1], #2\n"
        "itt     mi\n"
        "ldrbmi  r6, [r0], #1\n"
        "strbmi  r6, [r1], #1\n"
        "add     r0, r4\n"
        "add     r1, r5\n"
        "subs    r2, #1\n"
        "bne     1b\n"
        "pop     {r4-r6, pc}\n");
}

/* Four filters a turn. A sum times 2^(32 - shift) has its rounded value in the upper word; that is
 * at least -2^15 + 1, and 2^15 at most, so that one less is within int16, and one more saturates. */
__attribute__((naked)) uint32_t spela_keep_greatest(SPELA_ARGUMENT const int32_t *sums,
                                                    SPELA_ARGUMENT const spela_maxima_t *maxima) {
    /* r1 maxima, r2 places, r3 end of sums, r8 2^(32 - shift), r9 -1, r10 1 twice, r11 the place four
     * times, lr 0; sp: sums */
    __asm__ volatile(
        "push    {r0, r4-r11, lr}\n"
        "ldmia   r1, {r1-r5}\n"            /* maxima, places, filters, shift, place */
        "bics    r3, r3, #3\n"
        "it      ne\n"
        "cmpne   r4, #1\n"                 /* 2^31 and 2^32 would not fit */
        "bls     3f\n"
        "add     r3, r0, r3, lsl #2\n"
        "rsb     r4, r4, #32\n"
        "mov     lr, #1\n"
        "lsl     r8, lr, r4\n"
        "mov     r9, #-1\n"
        "mov     r10, #0x00010001\n"
        "orr     r11, r5, r5, lsl #8\n"
        "orr     r11, r11, r11, lsl #16\n"
        "mov     lr, #0\n"
        "1: ldmia r0!, {r4-r7}\n"
        "smmlar  r4, r4, r8, r9\n"
        "smmlar  r5, r5, r8, r9\n"
        "smmlar  r6, r6, r8, r9\n"
        "smmlar  r7, r7, r8, r9\n"
        "pkhbt   r4, r4, r5, lsl #16\n"
        "pkhbt   r6, r6, r7, lsl #16\n"
        "ldr     r5, [r1]\n"
        "ldr     r7, [r1, #4]\n"
        "qadd16  r4, r4, r10\n"
        "qadd16  r6, r6, r10\n"
        "ssub16  r12, r5, r4\n"            /* what is not less than the new one stays */
        "sel     r5, r5, r4\n"
        "sel     r4, lr, r9\n"
        "ssub16  r12, r7, r6\n"
        "sel     r7, r7, r6\n"
        "sel     r6, lr, r9\n"
        "str     r5, [r1], #4\n"
        "str     r7, [r1], #4\n"
        "cbz     r2, 2f\n"
        "pkhbt   r5, r4, r6, lsl #16\n"    /* filters 0 and 2, 1 and 3: a byte of each */
        "pkhtb   r7, r6, r4, asr #16\n"
        "bic     r5, r5, #0xff00ff00\n"
        "and     r7, r7, #0xff00ff00\n"
        "orr     r5, r5, r7\n"
        "ldr     r4, [r2]\n"
        "uadd8   r5, r5, r5\n"
        "sel     r4, r11, r4\n"
        "str     r4, [r2], #4\n"
        "2: cmp  r0, r3\n"
        "bne     1b\n"
        "3: ldr  r1, [sp], #4\n"
        "subs    r0, r0, r1\n"
        "lsrs    r0, r0, #2\n"
        "pop     {r4-r11, pc}\n");
}

/* clang-format on */

#endif /* SPELA_DSP_KERNELS */
