/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Depthwise convolutions by 3 x 3 taps for ARMv7-M without the DSP extension: four outputs at a
 * time, neighbours in a row of the channel's plane. Whole functions in assembly, as in
 * spela_kernels_thumb.c. Weights, bias and sums are doubled, as on cores with the DSP extension.
 */
#include "spela_depthwise.h"

#ifdef SPELA_THUMB_DEPTHWISE

/* clang-format off */

/* A tap's value in r12, times a weight, to an output's sum. */
#define SPELA_TO(sum, weight)                          \
    "mla     " sum ", r12, " weight ", " sum "\n"

#define SPELA_WEIGHTS(at)                              \
    "ldrd    r4, r5, [r9, #44 + " #at "]\n"            \
    "ldr     r6, [r9, #44 + " #at " + 8]\n"

/* A row of taps for four outputs: sums r10, r11, r2, r7; weights r4-r6. */
#define SPELA_FOUR_TAPS_1                              \
    "ldrsh   r12, [r0]\n"                              \
    SPELA_TO("r10", "r4")                              \
    "ldrsh   r12, [r0, #2]\n"                          \
    SPELA_TO("r10", "r5") SPELA_TO("r11", "r4")        \
    "ldrsh   r12, [r0, #4]\n"                          \
    SPELA_TO("r10", "r6") SPELA_TO("r11", "r5") SPELA_TO("r2", "r4") \
    "ldrsh   r12, [r0, #6]\n"                          \
    SPELA_TO("r11", "r6") SPELA_TO("r2", "r5") SPELA_TO("r7", "r4") \
    "ldrsh   r12, [r0, #8]\n"                          \
    SPELA_TO("r2", "r6") SPELA_TO("r7", "r5")          \
    "ldrsh   r12, [r0, #10]\n"                         \
    SPELA_TO("r7", "r6")

#define SPELA_FOUR_TAPS_2                              \
    "ldrsh   r12, [r0]\n"                              \
    SPELA_TO("r10", "r4")                              \
    "ldrsh   r12, [r0, #2]\n"                          \
    SPELA_TO("r10", "r5")                              \
    "ldrsh   r12, [r0, #4]\n"                          \
    SPELA_TO("r10", "r6") SPELA_TO("r11", "r4")        \
    "ldrsh   r12, [r0, #6]\n"                          \
    SPELA_TO("r11", "r5")                              \
    "ldrsh   r12, [r0, #8]\n"                          \
    SPELA_TO("r11", "r6") SPELA_TO("r2", "r4")         \
    "ldrsh   r12, [r0, #10]\n"                         \
    SPELA_TO("r2", "r5")                               \
    "ldrsh   r12, [r0, #12]\n"                         \
    SPELA_TO("r2", "r6") SPELA_TO("r7", "r4")          \
    "ldrsh   r12, [r0, #14]\n"                         \
    SPELA_TO("r7", "r5")                               \
    "ldrsh   r12, [r0, #16]\n"                         \
    SPELA_TO("r7", "r6")

/* One output: sum r10. */
#define SPELA_TAPS                                     \
    "ldrsh   r12, [r0]\n"                              \
    SPELA_TO("r10", "r4")                              \
    "ldrsh   r12, [r0, #2]\n"                          \
    SPELA_TO("r10", "r5")                              \
    "ldrsh   r12, [r0, #4]\n"                          \
    SPELA_TO("r10", "r6")

/* r4 multiplier, r5 rounding, r6 step, r8 shift. */
#define SPELA_SCALING                                  \
    "ldrd    r4, r5, [r9, #16]\n"                      \
    "ldrd    r6, r8, [r9, #4]\n"

#define SPELA_FINISH(sum)                              \
    "smull   r12, lr, " sum ", r4\n"                   \
    "lsls    r12, r12, #1\n" /* carry: rounds */       \
    "adc     lr, lr, r5\n"                             \
    "add     lr, lr, " sum ", asr #31\n"               \
    "asr     lr, lr, r8\n"                             \
    "ssat    lr, #8, lr\n"                             \
    "strb    lr, [r3]\n"                               \
    "add     r3, r3, r6\n"

/* r0 first taps, r1 bytes of a row, r3 target, r9 the job. */
#define SPELA_PLANE(four_taps, advance, advance_one)   \
    "push    {r4-r11, lr}\n"                           \
    "mov     r9, r2\n"                                 \
    "1: ldr  r12, [r9, #12]\n"                         \
    "cmp     r0, r12\n"                                \
    "beq     3f\n"                                     \
    "2: ldr  r10, [r9]\n"                              \
    "mov     r11, r10\n"                               \
    "mov     r2, r10\n"                                \
    "mov     r7, r10\n"                                \
    SPELA_WEIGHTS(0) four_taps                         \
    "add     r0, r0, r1\n"                             \
    SPELA_WEIGHTS(12) four_taps                        \
    "add     r0, r0, r1\n"                             \
    SPELA_WEIGHTS(24) four_taps                        \
    SPELA_SCALING                                      \
    "sub     r0, r0, r1, lsl #1\n"                     \
    SPELA_FINISH("r10") SPELA_FINISH("r11")            \
    SPELA_FINISH("r2") SPELA_FINISH("r7")              \
    "adds    r0, #" advance "\n"                       \
    "ldr     r12, [r9, #12]\n"                         \
    "cmp     r0, r12\n"                                \
    "bne     2b\n"                                     \
    "3: ldr  r7, [r9, #40]\n"                          \
    "cmp     r7, #0\n"                                 \
    "beq     5f\n"                                     \
    "4: ldr  r10, [r9]\n"                              \
    SPELA_WEIGHTS(0) SPELA_TAPS                        \
    "add     r0, r0, r1\n"                             \
    SPELA_WEIGHTS(12) SPELA_TAPS                       \
    "add     r0, r0, r1\n"                             \
    SPELA_WEIGHTS(24) SPELA_TAPS                       \
    SPELA_SCALING                                      \
    "sub     r0, r0, r1, lsl #1\n"                     \
    SPELA_FINISH("r10")                                \
    "adds    r0, #" advance_one "\n"                   \
    "subs    r7, #1\n"                                 \
    "bne     4b\n"                                     \
    "5: ldr  r10, [r9, #12]\n"                         \
    "ldrd    r4, r5, [r9, #24]\n"                      \
    "ldrd    r6, r7, [r9, #32]\n"                      \
    "add     r10, r10, r5\n"                           \
    "str     r10, [r9, #12]\n"                         \
    "add     r3, r3, r4\n"                             \
    "add     r0, r0, r6\n"                             \
    "subs    r7, #1\n"                                 \
    "str     r7, [r9, #36]\n"                          \
    "bne     1b\n"                                     \
    "pop     {r4-r11, pc}\n"

__attribute__((naked)) void spela_convolve_plane_1(SPELA_ARGUMENT const int16_t *plane,
                                                   SPELA_ARGUMENT uint32_t row_bytes,
                                                   SPELA_ARGUMENT spela_plane_job_t *job,
                                                   SPELA_ARGUMENT int8_t *target) {
    __asm__ volatile(SPELA_PLANE(SPELA_FOUR_TAPS_1, "8", "2"));
}

__attribute__((naked)) void spela_convolve_plane_2(SPELA_ARGUMENT const int16_t *plane,
                                                   SPELA_ARGUMENT uint32_t row_bytes,
                                                   SPELA_ARGUMENT spela_plane_job_t *job,
                                                   SPELA_ARGUMENT int8_t *target) {
    __asm__ volatile(SPELA_PLANE(SPELA_FOUR_TAPS_2, "16", "4"));
}

/* clang-format on */

#endif
