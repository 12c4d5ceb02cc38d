/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The int8 kernels for cores without the DSP extension: ARMv7-M (Cortex-M3) and ARMv6-M (M0, M0+),
 * and their counterparts in ARMv8-M.
 *
 * Whole functions in assembly, so that every compiler at every optimisation level runs the same
 * instructions. Inputs lie as in portable C.
 */
#include "spela_kernels.h"

#ifdef SPELA_THUMB_KERNELS

/* clang-format off */

#if __ARM_ARCH_ISA_THUMB == 2

/* Sixteen multiply-accumulates: 4 rows by 4 columns, 36 instructions, one column after the other.
 * r0 weights, r1 inputs; sums r2, r3, r10, r11; r4-r7, r12 scratch. */
#define SPELA_COLUMN(input, row0, row1, row2, row3)             \
    "ldrsh   r12, [r1" input "\n"                               \
    "ldrsb   r4, [r0" row0 "\n"                                 \
    "ldrsb   r5, [r0, #-" #row1 "]\n"                           \
    "ldrsb   r6, [r0, #-" #row2 "]\n"                           \
    "ldrsb   r7, [r0, #-" #row3 "]\n"                           \
    "mla     r2, r4, r12, r2\n"                                 \
    "mla     r3, r5, r12, r3\n"                                 \
    "mla     r10, r6, r12, r10\n"                               \
    "mla     r11, r7, r12, r11\n"
#define SPELA_BLOCK                                             \
    SPELA_COLUMN("], #8", "], #16", 12, 8, 4)                   \
    SPELA_COLUMN(", #-6]", ", #-15]", 11, 7, 3)                 \
    SPELA_COLUMN(", #-4]", ", #-14]", 10, 6, 2)                 \
    SPELA_COLUMN(", #-2]", ", #-13]", 9, 5, 1)

/* Four rows at a time, two blocks of columns in each turn of the inner loop. It is entered in the
 * middle if their number is odd. */
__attribute__((naked)) void spela_dense_int8(SPELA_ARGUMENT const int8_t *weights,
                                             SPELA_ARGUMENT const int16_t *wide,
                                             SPELA_ARGUMENT const spela_shape_t *shape,
                                             SPELA_ARGUMENT int32_t *sums) {
    /* sp: wide, whether the number of blocks is odd, sums, their end */
    __asm__ volatile(
        "push    {r4-r8, r10, r11, lr}\n"
        "ldrd    r4, r2, [r2]\n"           /* rows, columns */
        "add     lr, r1, r2, lsl #1\n"
        "ubfx    r2, r2, #2, #1\n"
        "add     r4, r3, r4, lsl #2\n"
        "push    {r1-r4}\n"
        "1: ldrd r1, r12, [sp]\n"
        "movs    r2, #0\n"
        "movs    r3, #0\n"
        "mov     r10, #0\n"
        "mov     r11, #0\n"
        "2: tbb  [pc, r12]\n"
        "3: .byte (4f - 3b) / 2, (5f - 3b) / 2\n"
        "4:\n" SPELA_BLOCK
        "5:\n" SPELA_BLOCK
        "cmp     r1, lr\n"
        "bne     4b\n"
        "ldrd    r4, r5, [sp, #8]\n"
        "stmia   r4!, {r2, r3, r10, r11}\n"
        "str     r4, [sp, #8]\n"
        "cmp     r4, r5\n"
        "bne     1b\n"
        "add     sp, #16\n"
        "pop     {r4-r8, r10, r11, pc}\n");
}

/* One weight: its row's multiplier times the input, the dither and the weight itself are added, all
 * with 16 fraction bits; the sum is below 2^23 + 2^22 + 2^16. r3 weights, r12 multiplier, lr
 * scratch. */
#define SPELA_WEIGHT(column, input, dither)                     \
    "ldrsb   lr, [r3, #" #column "]\n"                          \
    "add     lr, " #dither ", lr, lsl #16\n"                    \
    "mla     lr, r12, " #input ", lr\n"                         \
    "ssat    lr, #8, lr, asr #16\n"                             \
    "strb    lr, [r3, #" #column "]\n"

/* One row of a block: 22 instructions for 4 weights. r0 block, r1 rows, r4-r7 inputs, r8-r11
 * dither. */
#define SPELA_ROW                                               \
    "ldrd    r3, r12, [r1], #8\n"                               \
    "add     r3, r3, r0\n"                                      \
    SPELA_WEIGHT(0, r4, r8)                                     \
    SPELA_WEIGHT(1, r5, r9)                                     \
    SPELA_WEIGHT(2, r6, r10)                                    \
    SPELA_WEIGHT(3, r7, r11)

/* Block by block of columns; blocks whose inputs are all zero only have their numbers drawn. */
__attribute__((naked)) void spela_update_int8(SPELA_ARGUMENT int8_t *weights,
                                              SPELA_ARGUMENT const spela_shape_t *shape,
                                              SPELA_ARGUMENT spela_update_t *update) {
    /* sp: rows, wide, its end, state, multiplier, increment, update */
    __asm__ volatile(
        "push    {r2, r4-r11, lr}\n"
        "ldr     r5, [r1, #4]\n"           /* columns */
        "ldmia   r2, {r4, r9-r12, lr}\n"   /* wide, rows, rows_end, state, multiplier, increment */
        "mov     r2, r10\n"
        "add     r10, r4, r5, lsl #1\n"
        "mov     r3, r9\n"
        "mov     r9, r4\n"
        "push    {r3, r9-r12, lr}\n"
        "1: ldrd r12, r6, [sp, #12]\n"
        "ldr     r7, [sp, #20]\n"
        "ldr     r1, [sp, #4]\n"
        "mla     r8, r12, r6, r7\n"
        "mla     r9, r8, r6, r7\n"
        "mla     r10, r9, r6, r7\n"
        "mla     r11, r10, r6, r7\n"
        "ldrd    r4, r6, [r1], #8\n"
        "str     r1, [sp, #4]\n"
        "str     r11, [sp, #12]\n"
        "orrs    r3, r4, r6\n"
        "beq     3f\n"
        "asr     r5, r4, #16\n"
        "sxth    r4, r4\n"
        "asr     r7, r6, #16\n"
        "sxth    r6, r6\n"
        "lsr     r8, r8, #16\n"
        "lsr     r9, r9, #16\n"
        "lsr     r10, r10, #16\n"
        "lsr     r11, r11, #16\n"
        "ldr     r1, [sp]\n"
        "2:\n" SPELA_ROW SPELA_ROW
        "cmp     r1, r2\n"
        "bne     2b\n"
        "3: ldrd r4, r5, [sp, #4]\n"
        "adds    r0, #16\n"
        "cmp     r4, r5\n"
        "bne     1b\n"
        "ldr     r3, [sp, #12]\n"
        "ldr     r2, [sp, #24]\n"
        "str     r3, [r2, #12]\n"
        "add     sp, #28\n"
        "pop     {r4-r11, pc}\n");
}

#else /* ARMv6-M */

/* Four multiply-accumulates: 4 rows by one column. r0 weights; r1-r4 offsets of the rows, since
 * sign-extending loads have no others; r7 input; sums r8-r11; r5 scratch. */
#define SPELA_COLUMN                                            \
    "ldrsb   r5, [r0, r1]\n"                                    \
    "muls    r5, r7, r5\n"                                      \
    "add     r8, r5\n"                                          \
    "ldrsb   r5, [r0, r2]\n"                                    \
    "muls    r5, r7, r5\n"                                      \
    "add     r9, r5\n"                                          \
    "ldrsb   r5, [r0, r3]\n"                                    \
    "muls    r5, r7, r5\n"                                      \
    "add     r10, r5\n"                                         \
    "ldrsb   r5, [r0, r4]\n"                                    \
    "muls    r5, r7, r5\n"                                      \
    "add     r11, r5\n"

/* Four rows at a time, a block of columns in each turn of the inner loop: 64 instructions. */
__attribute__((naked)) void spela_dense_int8(SPELA_ARGUMENT const int8_t *weights,
                                             SPELA_ARGUMENT const int16_t *wide,
                                             SPELA_ARGUMENT const spela_shape_t *shape,
                                             SPELA_ARGUMENT int32_t *sums) {
    /* r12 inputs; sp: their end, wide, sums, their end */
    __asm__ volatile(
        ".syntax unified\n" /* gcc's default for ARMv6-M is divided syntax */
        "push    {r4-r7, lr}\n"
        "mov     r4, r8\n"
        "mov     r5, r9\n"
        "mov     r6, r10\n"
        "mov     r7, r11\n"
        "push    {r4-r7}\n"
        "ldmia   r2!, {r4, r5}\n"          /* rows, columns */
        "lsls    r4, r4, #2\n"
        "adds    r4, r4, r3\n"
        "lsls    r5, r5, #1\n"
        "adds    r5, r5, r1\n"
        "sub     sp, #16\n"
        "str     r5, [sp]\n"
        "str     r1, [sp, #4]\n"
        "str     r3, [sp, #8]\n"
        "str     r4, [sp, #12]\n"
        "movs    r1, #0\n"
        "movs    r2, #4\n"
        "movs    r3, #8\n"
        "movs    r4, #12\n"
        "1: mov  r8, r1\n"
        "mov     r9, r1\n"
        "mov     r10, r1\n"
        "mov     r11, r1\n"
        "ldr     r5, [sp, #4]\n"
        "2: ldmia r5!, {r6, r7}\n"
        "mov     r12, r5\n"
        "mov     lr, r7\n"
        "sxth    r7, r6\n"
        SPELA_COLUMN
        "adds    r0, #1\n"
        "asrs    r7, r6, #16\n"
        SPELA_COLUMN
        "adds    r0, #1\n"
        "mov     r6, lr\n"
        "sxth    r7, r6\n"
        SPELA_COLUMN
        "adds    r0, #1\n"
        "asrs    r7, r6, #16\n"
        SPELA_COLUMN
        "adds    r0, #13\n"
        "mov     r5, r12\n"
        "ldr     r6, [sp]\n"
        "cmp     r5, r6\n"
        "bne     2b\n"
        "ldr     r5, [sp, #8]\n"
        "mov     r6, r8\n"
        "mov     r7, r9\n"
        "stmia   r5!, {r6, r7}\n"
        "mov     r6, r10\n"
        "mov     r7, r11\n"
        "stmia   r5!, {r6, r7}\n"
        "str     r5, [sp, #8]\n"
        "ldr     r6, [sp, #12]\n"
        "cmp     r5, r6\n"
        "bne     1b\n"
        "add     sp, #16\n"
        "pop     {r4-r7}\n"
        "mov     r8, r4\n"
        "mov     r9, r5\n"
        "mov     r10, r6\n"
        "mov     r11, r7\n"
        "pop     {r4-r7, pc}\n");
}

/* One weight: 10 instructions, or 5 if its step is zero, as most are. r0 column, r1 rows, r3 input,
 * r4 dither; r5-r7 scratch. */
#define SPELA_WEIGHT                                            \
    "ldmia   r1!, {r5, r6}\n"                                   \
    "muls    r6, r3, r6\n"                                      \
    "adds    r6, r6, r4\n"                                      \
    "asrs    r6, r6, #16\n"                                     \
    "beq     7f\n"                                              \
    "ldrsb   r7, [r0, r5]\n"                                    \
    "adds    r6, r6, r7\n"                                      \
    "sxtb    r7, r6\n"                                          \
    "cmp     r6, r7\n"                                          \
    "beq     6f\n"                                              \
    "asrs    r6, r6, #31\n"                                     \
    "movs    r7, #127\n"                                        \
    "eors    r6, r6, r7\n" /* 127 or -128 */                    \
    "6: strb r6, [r0, r5]\n"                                    \
    "7:\n"

/* Column by column; where the input is zero, only its number is drawn. */
__attribute__((naked)) void spela_update_int8(SPELA_ARGUMENT int8_t *weights,
                                              SPELA_ARGUMENT const spela_shape_t *shape,
                                              SPELA_ARGUMENT spela_update_t *update) {
    /* r8 end of rows, r9 state, r10 multiplier, r11 increment, r12 wide; sp: rows, end of wide,
     * update */
    __asm__ volatile(
        ".syntax unified\n"
        "push    {r4-r7, lr}\n"
        "mov     r4, r8\n"
        "mov     r5, r9\n"
        "mov     r6, r10\n"
        "mov     r7, r11\n"
        "push    {r2, r4-r7}\n"
        "ldr     r1, [r1, #4]\n"           /* columns */
        "ldmia   r2!, {r3-r6}\n"           /* wide, rows, rows_end, state */
        "mov     r12, r3\n"
        "mov     r8, r5\n"
        "mov     r9, r6\n"
        "ldmia   r2!, {r5, r6}\n"          /* multiplier, increment */
        "mov     r10, r5\n"
        "mov     r11, r6\n"
        "lsls    r5, r1, #1\n"
        "adds    r5, r5, r3\n"
        "push    {r4, r5}\n"
        "mov     r2, r12\n"
        "1: mov  r7, r9\n"
        "mov     r6, r10\n"
        "muls    r7, r6, r7\n"
        "add     r7, r11\n"
        "mov     r9, r7\n"
        "movs    r6, #0\n"
        "ldrsh   r3, [r2, r6]\n"
        "adds    r2, #2\n"
        "cmp     r3, #0\n"
        "beq     3f\n"
        "lsrs    r4, r7, #16\n"
        "ldr     r1, [sp]\n"
        "2:\n" SPELA_WEIGHT SPELA_WEIGHT
        "cmp     r1, r8\n"
        "bne     2b\n"
        "3: adds r0, #1\n"
        "lsls    r6, r2, #29\n" /* wide is 8-aligned: zero behind the last column of a block */
        "bne     4f\n"
        "adds    r0, #12\n"
        "4: ldr  r6, [sp, #4]\n"
        "cmp     r2, r6\n"
        "bne     1b\n"
        "add     sp, #8\n"
        "pop     {r2, r4-r7}\n"
        "mov     r3, r9\n"
        "str     r3, [r2, #12]\n"
        "mov     r8, r4\n"
        "mov     r9, r5\n"
        "mov     r10, r6\n"
        "mov     r11, r7\n"
        "pop     {r4-r7, pc}\n");
}

#endif

/* clang-format on */

#endif /* SPELA_THUMB_KERNELS */
