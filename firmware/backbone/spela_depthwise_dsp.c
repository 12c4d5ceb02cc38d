/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Depthwise convolutions by 3 x 3 taps for cores with the DSP extension: two or four outputs at a
 * time, neighbours in a row of the channel's plane, whose taps come as pairs of int16. Whole
 * functions in assembly, as in spela_kernels_dsp.c.
 *
 * Weights are doubled, or more, and so are bias and sums: that is what requantising multiplies.
 */
#include "spela_depthwise.h"

#ifdef SPELA_DSP_DEPTHWISE

/* clang-format off */

/* A row of taps for two outputs whose windows begin one value apart: r12 holds its values 0 and 1,
 * lr 2 and 3. Sums r10, r11; weights 0 and 1 in `w01`, 1 and 2 in `w12`. */
#define SPELA_TAPS_1(row, w01, w12, sum)               \
    "ldrd    r12, lr, [" row "]\n"                     \
    "smlatb  r11, r12, " w01 ", " sum "\n"             \
    "smlad   r10, r12, " w01 ", r10\n"                 \
    "smlad   r11, lr, " w12 ", r11\n"                  \
    "smlabt  r10, lr, " w12 ", r10\n"

/* Two values apart: then r12 holds values 4 and 5. */
#define SPELA_TAPS_2(row, w01, w12, sum)               \
    "ldrd    r12, lr, [" row "]\n"                     \
    "smlad   r11, lr, " w01 ", " sum "\n"              \
    "smlad   r10, r12, " w01 ", r10\n"                 \
    "ldr     r12, [" row ", #8]\n"                     \
    "smlabt  r10, lr, " w12 ", r10\n"                  \
    "smlabt  r11, r12, " w12 ", r11\n"

/* The window's three rows, from r0 on, r1 bytes apart. The first begins both sums with r10. */
#define SPELA_ROWS(taps)                               \
    taps("r0", "r4", "r5", "r10")                      \
    "add     r2, r0, r1\n"                             \
    taps("r2", "r6", "r7", "r11")                      \
    "add     r2, r2, r1\n"                             \
    taps("r2", "r8", "r9", "r11")

/* One output. */
#define SPELA_TAPS(row, w01, w12)                      \
    "ldrd    r12, lr, [" row "]\n"                     \
    "smlad   r10, r12, " w01 ", r10\n"                 \
    "smlabt  r10, lr, " w12 ", r10\n"

/* r0 first taps, r1 bytes of a row, r3 target, r4-r9 weights; sp: the job up to its weights. */
#define SPELA_PLANE(taps, advance)                     \
    "push    {r4-r11, lr}\n"                           \
    "sub     sp, #44\n"                                \
    "mov     r12, sp\n"                                \
    "ldmia   r2!, {r4-r10}\n"                          \
    "stmia   r12!, {r4-r10}\n"                         \
    "ldmia   r2!, {r4-r7}\n"                           \
    "stmia   r12!, {r4-r7}\n"                          \
    "ldmia   r2, {r4-r9}\n"                            \
    "1: ldr  r10, [sp, #12]\n"                         \
    "cmp     r0, r10\n"                                \
    "beq     3f\n"                                     \
    "2: ldr  r10, [sp]\n"                              \
    SPELA_ROWS(taps)                                   \
    "ldrd    r12, lr, [sp, #16]\n"                     \
    "adds    r0, #" advance "\n"                       \
    "smmlar  r2, r10, r12, lr\n"                       \
    "smmlar  r12, r11, r12, lr\n"                      \
    "add     r2, r2, r10, asr #31\n"                   \
    "add     r12, r12, r11, asr #31\n"                 \
    "ldrd    r11, r10, [sp, #4]\n"                     \
    "asr     r2, r2, r10\n"                            \
    "asr     r12, r12, r10\n"                          \
    "ldr     r10, [sp, #12]\n"                         \
    "ssat    r2, #8, r2\n"                             \
    "ssat    r12, #8, r12\n"                           \
    "strb    r2, [r3]\n"                               \
    "strb    r12, [r3, r11]\n"                         \
    "add     r3, r3, r11, lsl #1\n"                    \
    "cmp     r0, r10\n"                                \
    "bne     2b\n"                                     \
    "3: ldr  r12, [sp, #40]\n"                         \
    "ldr     r10, [sp]\n"                              \
    "cmp     r12, #0\n"                                \
    "beq     4f\n"                                     \
    SPELA_TAPS("r0", "r4", "r5")                       \
    "add     r2, r0, r1\n"                             \
    SPELA_TAPS("r2", "r6", "r7")                       \
    "add     r2, r2, r1\n"                             \
    SPELA_TAPS("r2", "r8", "r9")                       \
    "ldrd    r12, lr, [sp, #16]\n"                     \
    "smmlar  r2, r10, r12, lr\n"                       \
    "add     r2, r2, r10, asr #31\n"                   \
    "ldrd    r11, r10, [sp, #4]\n"                     \
    "asr     r2, r2, r10\n"                            \
    "ssat    r2, #8, r2\n"                             \
    "strb    r2, [r3]\n"                               \
    "add     r3, r3, r11\n"                            \
    "4: ldr  r10, [sp, #12]\n"                         \
    "ldr     r11, [sp, #28]\n"                         \
    "add     r10, r10, r11\n"                          \
    "str     r10, [sp, #12]\n"                         \
    "ldr     r10, [sp, #32]\n"                         \
    "ldr     r11, [sp, #24]\n"                         \
    "add     r0, r0, r10\n"                            \
    "add     r3, r3, r11\n"                            \
    "ldr     r10, [sp, #36]\n"                         \
    "subs    r10, #1\n"                                \
    "str     r10, [sp, #36]\n"                         \
    "bne     1b\n"                                     \
    "add     sp, #44\n"                                \
    "pop     {r4-r11, pc}\n"

__attribute__((naked)) void spela_convolve_plane_1(SPELA_ARGUMENT const int16_t *plane,
                                                   SPELA_ARGUMENT uint32_t row_bytes,
                                                   SPELA_ARGUMENT spela_plane_job_t *job,
                                                   SPELA_ARGUMENT int8_t *target) {
    __asm__ volatile(SPELA_PLANE(SPELA_TAPS_1, "4"));
}

__attribute__((naked)) void spela_convolve_plane_2(SPELA_ARGUMENT const int16_t *plane,
                                                   SPELA_ARGUMENT uint32_t row_bytes,
                                                   SPELA_ARGUMENT spela_plane_job_t *job,
                                                   SPELA_ARGUMENT int8_t *target) {
    __asm__ volatile(SPELA_PLANE(SPELA_TAPS_2, "8"));
}

/* A row of taps for four outputs, in r10, r11, r2 and r3. */
#define SPELA_FOUR_TAPS_1(w01, w12, sum0, sum1, sum2, sum3, next) \
    "ldrd    r12, lr, [r0]\n"                          \
    "smlatb  r11, r12, " w01 ", " sum1 "\n"            \
    "smlad   r2, lr, " w01 ", " sum2 "\n"              \
    "smlatb  r3, lr, " w01 ", " sum3 "\n"              \
    "smlad   r10, r12, " w01 ", " sum0 "\n"            \
    "ldr     r12, [r0, #8]" next "\n"                  \
    "smlad   r11, lr, " w12 ", r11\n"                  \
    "smlabt  r10, lr, " w12 ", r10\n"                  \
    "smlabt  r2, r12, " w12 ", r2\n"                   \
    "smlad   r3, r12, " w12 ", r3\n"
#define SPELA_NEXT_1 "!"

#define SPELA_FOUR_TAPS_2(w01, w12, sum0, sum1, sum2, sum3, next) \
    "ldrd    r12, lr, [r0, #8]\n"                      \
    "smlabt  r11, r12, " w12 ", " sum1 "\n"            \
    "smlad   r2, r12, " w01 ", " sum2 "\n"             \
    "ldr     r12, [r0, #16]\n"                         \
    "smlad   r3, lr, " w01 ", " sum3 "\n"              \
    "smlabt  r2, lr, " w12 ", r2\n"                    \
    "smlabt  r3, r12, " w12 ", r3\n"                   \
    "ldrd    r12, lr, [r0]" next "\n"                  \
    "smlad   r11, lr, " w01 ", r11\n"                  \
    "smlad   r10, r12, " w01 ", " sum0 "\n"            \
    "smlabt  r10, lr, " w12 ", r10\n"
#define SPELA_NEXT_2 ", #16"

/* As above; target lies in the job, in place of the shift. */
#define SPELA_RECTIFIED_PLANE(four_taps, next, taps, advance) \
    "push    {r4-r11, lr}\n"                           \
    "sub     sp, #44\n"                                \
    "mov     r12, sp\n"                                \
    "ldmia   r2!, {r4-r10}\n"                          \
    "mov     r6, r3\n"                                 \
    "stmia   r12!, {r4-r10}\n"                         \
    "ldmia   r2!, {r4-r7}\n"                           \
    "stmia   r12!, {r4-r7}\n"                          \
    "ldmia   r2, {r4-r9}\n"                            \
    "1: ldr  r12, [sp, #12]\n"                         \
    "cmp     r0, r12\n"                                \
    "beq     3f\n"                                     \
    "2: ldr  r10, [sp]\n"                              \
    four_taps("r4", "r5", "r10", "r10", "r10", "r10", "") \
    "add     r0, r0, r1\n"                             \
    four_taps("r6", "r7", "r10", "r11", "r2", "r3", "") \
    "add     r0, r0, r1\n"                             \
    four_taps("r8", "r9", "r10", "r11", "r2", "r3", next) \
    "sub     r0, r0, r1, lsl #1\n"                     \
    "ldrd    r12, lr, [sp, #16]\n"                     \
    "smmla   r10, r10, r12, lr\n"                      \
    "smmla   r11, r11, r12, lr\n"                      \
    "smmla   r2, r2, r12, lr\n"                        \
    "smmla   r3, r3, r12, lr\n"                        \
    "ldrd    lr, r12, [sp, #4]\n"                      \
    "ssat    r10, #8, r10, asr #10\n"                  \
    "ssat    r11, #8, r11, asr #10\n"                  \
    "ssat    r2, #8, r2, asr #10\n"                    \
    "ssat    r3, #8, r3, asr #10\n"                    \
    "strb    r10, [r12]\n"                             \
    "strb    r11, [r12, lr]\n"                         \
    "add     r12, r12, lr, lsl #1\n"                   \
    "strb    r2, [r12]\n"                              \
    "strb    r3, [r12, lr]\n"                          \
    "add     r12, r12, lr, lsl #1\n"                   \
    "str     r12, [sp, #8]\n"                          \
    "ldr     r12, [sp, #12]\n"                         \
    "cmp     r0, r12\n"                                \
    "bne     2b\n"                                     \
    "3: ldr  r2, [sp, #40]\n"                          \
    "lsrs    r2, r2, #1\n"                             \
    "beq     4f\n"                                     \
    "ldr     r10, [sp]\n"                              \
    SPELA_ROWS(taps)                                   \
    "ldrd    r12, lr, [sp, #16]\n"                     \
    "adds    r0, #" advance "\n"                       \
    "smmla   r10, r10, r12, lr\n"                      \
    "smmla   r11, r11, r12, lr\n"                      \
    "ldrd    lr, r12, [sp, #4]\n"                      \
    "ssat    r10, #8, r10, asr #10\n"                  \
    "ssat    r11, #8, r11, asr #10\n"                  \
    "strb    r10, [r12]\n"                             \
    "strb    r11, [r12, lr]\n"                         \
    "add     r12, r12, lr, lsl #1\n"                   \
    "str     r12, [sp, #8]\n"                          \
    "ldr     r2, [sp, #40]\n"                          \
    "lsrs    r2, r2, #1\n"                             \
    "4: bcc  5f\n"                                     \
    "ldr     r10, [sp]\n"                              \
    SPELA_TAPS("r0", "r4", "r5")                       \
    "add     r2, r0, r1\n"                             \
    SPELA_TAPS("r2", "r6", "r7")                       \
    "add     r2, r2, r1\n"                             \
    SPELA_TAPS("r2", "r8", "r9")                       \
    "ldrd    r12, lr, [sp, #16]\n"                     \
    "smmla   r10, r10, r12, lr\n"                      \
    "ldrd    lr, r12, [sp, #4]\n"                      \
    "ssat    r10, #8, r10, asr #10\n"                  \
    "strb    r10, [r12]\n"                             \
    "add     r12, r12, lr\n"                           \
    "str     r12, [sp, #8]\n"                          \
    "5: ldrd r2, r3, [sp, #8]\n"                       \
    "ldrd    r10, r11, [sp, #24]\n"                    \
    "ldrd    r12, lr, [sp, #32]\n"                     \
    "add     r2, r2, r10\n"                            \
    "add     r3, r3, r11\n"                            \
    "add     r0, r0, r12\n"                            \
    "subs    lr, #1\n"                                 \
    "strd    r2, r3, [sp, #8]\n"                       \
    "str     lr, [sp, #36]\n"                          \
    "beq     6f\n"                                     \
    "cmp     r0, r3\n"                                 \
    "bne     2b\n"                                     \
    "b       3b\n"                                     \
    "6:\n"                                             \
    "add     sp, #44\n"                                \
    "pop     {r4-r11, pc}\n"

__attribute__((naked)) void spela_rectify_plane_1(SPELA_ARGUMENT const int16_t *plane,
                                                  SPELA_ARGUMENT uint32_t row_bytes,
                                                  SPELA_ARGUMENT spela_plane_job_t *job,
                                                  SPELA_ARGUMENT int8_t *target) {
    __asm__ volatile(
        SPELA_RECTIFIED_PLANE(SPELA_FOUR_TAPS_1, SPELA_NEXT_1, SPELA_TAPS_1, "4"));
}

__attribute__((naked)) void spela_rectify_plane_2(SPELA_ARGUMENT const int16_t *plane,
                                                  SPELA_ARGUMENT uint32_t row_bytes,
                                                  SPELA_ARGUMENT spela_plane_job_t *job,
                                                  SPELA_ARGUMENT int8_t *target) {
    __asm__ volatile(
        SPELA_RECTIFIED_PLANE(SPELA_FOUR_TAPS_2, SPELA_NEXT_2, SPELA_TAPS_2, "8"));
}

/* clang-format on */

#endif
