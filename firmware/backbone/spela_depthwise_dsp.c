/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Depthwise convolutions by 3 x 3 taps for cores with the DSP extension: two outputs at a time,
 * neighbours in a row of the channel's plane, whose taps come as pairs of int16. Whole functions in
 * assembly, as in spela_kernels_dsp.c.
 *
 * Weights are doubled, and so are bias and sums: that is what requantising multiplies.
 */
#include "spela_depthwise.h"

#ifdef SPELA_DSP_DEPTHWISE

#define SPELA_ARGUMENT __attribute__((unused))

/* clang-format off */

__attribute__((naked)) void spela_take_plane(SPELA_ARGUMENT const int8_t *channel,
                                             SPELA_ARGUMENT int16_t *plane,
                                             SPELA_ARGUMENT const spela_take_job_t *job) {
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "ldmia   r2, {r4-r8}\n"            /* step, row step, columns, rows, bytes of a row */
        "lsl     r9, r4, #1\n"
        "add     r10, r9, r4\n"
        "1: mov  r11, r0\n"
        "mov     r12, r1\n"
        "subs    lr, r6, #4\n"
        "blo     3f\n"
        "2: ldrsb r2, [r11]\n"
        "ldrsb   r3, [r11, r4]\n"
        "strh    r2, [r12], #2\n"
        "strh    r3, [r12], #2\n"
        "ldrsb   r2, [r11, r9]\n"
        "ldrsb   r3, [r11, r10]\n"
        "strh    r2, [r12], #2\n"
        "strh    r3, [r12], #2\n"
        "add     r11, r11, r4, lsl #2\n"
        "subs    lr, #4\n"
        "bhs     2b\n"
        "3: adds lr, #4\n"
        "beq     5f\n"
        "4: ldrsb r2, [r11]\n"
        "add     r11, r11, r4\n"
        "subs    lr, #1\n"
        "strh    r2, [r12], #2\n"
        "bne     4b\n"
        "5: add  r0, r0, r5\n"
        "add     r1, r1, r8\n"
        "subs    r7, #1\n"
        "bne     1b\n"
        "pop     {r4-r11, pc}\n");
}

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
    "1: ldr  r10, [sp, #20]\n"                         \
    "cmp     r0, r10\n"                                \
    "beq     3f\n"                                     \
    "2: ldr  r10, [sp, #16]\n"                         \
    taps("r0", "r4", "r5", "r10")                      \
    "add     r2, r0, r1\n"                             \
    taps("r2", "r6", "r7", "r11")                      \
    "add     r2, r2, r1\n"                             \
    taps("r2", "r8", "r9", "r11")                      \
    "ldrd    r12, lr, [sp]\n"                          \
    "adds    r0, #" advance "\n"                       \
    "smmlar  r2, r10, r12, lr\n"                       \
    "smmlar  r12, r11, r12, lr\n"                      \
    "add     r2, r2, r10, asr #31\n"                   \
    "add     r12, r12, r11, asr #31\n"                 \
    "ldrd    r10, r11, [sp, #8]\n"                     \
    "asr     r2, r2, r10\n"                            \
    "asr     r12, r12, r10\n"                          \
    "ldr     r10, [sp, #20]\n"                         \
    "ssat    r2, #8, r2\n"                             \
    "ssat    r12, #8, r12\n"                           \
    "strb    r2, [r3]\n"                               \
    "strb    r12, [r3, r11]\n"                         \
    "add     r3, r3, r11, lsl #1\n"                    \
    "cmp     r0, r10\n"                                \
    "bne     2b\n"                                     \
    "3: ldr  r12, [sp, #40]\n"                         \
    "ldr     r10, [sp, #16]\n"                         \
    "cmp     r12, #0\n"                                \
    "beq     4f\n"                                     \
    SPELA_TAPS("r0", "r4", "r5")                       \
    "add     r2, r0, r1\n"                             \
    SPELA_TAPS("r2", "r6", "r7")                       \
    "add     r2, r2, r1\n"                             \
    SPELA_TAPS("r2", "r8", "r9")                       \
    "ldrd    r12, lr, [sp]\n"                          \
    "smmlar  r2, r10, r12, lr\n"                       \
    "add     r2, r2, r10, asr #31\n"                   \
    "ldrd    r10, r11, [sp, #8]\n"                     \
    "asr     r2, r2, r10\n"                            \
    "ssat    r2, #8, r2\n"                             \
    "strb    r2, [r3]\n"                               \
    "add     r3, r3, r11\n"                            \
    "4: ldrd r10, r11, [sp, #20]\n"                    \
    "add     r10, r10, r11\n"                          \
    "str     r10, [sp, #20]\n"                         \
    "ldrd    r10, r11, [sp, #28]\n"                    \
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
                                                   SPELA_ARGUMENT const spela_plane_job_t *job,
                                                   SPELA_ARGUMENT int8_t *target) {
    __asm__ volatile(SPELA_PLANE(SPELA_TAPS_1, "4"));
}

__attribute__((naked)) void spela_convolve_plane_2(SPELA_ARGUMENT const int16_t *plane,
                                                   SPELA_ARGUMENT uint32_t row_bytes,
                                                   SPELA_ARGUMENT const spela_plane_job_t *job,
                                                   SPELA_ARGUMENT int8_t *target) {
    __asm__ volatile(SPELA_PLANE(SPELA_TAPS_2, "8"));
}

/* clang-format on */

#endif
