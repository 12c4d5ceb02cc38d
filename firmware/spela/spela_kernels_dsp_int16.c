/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The int16 kernels for cores with the DSP extension, beside those of spela_kernels_dsp.c.
 *
 * Four weights of a row are two words: columns 0 and 1, 2 and 3. Inputs, which int8 weights want in
 * another order (spela_input_index), are put into this one block by block.
 */
#include "spela_kernels.h"

#if defined(SPELA_DSP_KERNELS) && !defined(SPELA_INT8_ONLY)

/* clang-format off */

/* Sixteen multiply-accumulates: 4 rows by 4 columns, 14 instructions. |sum| <= 2^30.
 * r0 weights, r1 wide inputs; sums r2, r3, r10, r11; r4-r9, r12 scratch. */
#define SPELA_BLOCK                         \
    "ldrd    r8, r9, [r1], #8\n"            \
    "ldmia   r0!, {r4-r7}\n"                \
    "pkhbt   r12, r8, r9, lsl #16\n"        \
    "pkhtb   r9, r9, r8, asr #16\n"         \
    "smlad   r2, r4, r12, r2\n"             \
    "smlad   r3, r6, r12, r3\n"             \
    "smlad   r2, r5, r9, r2\n"              \
    "smlad   r3, r7, r9, r3\n"              \
    "ldmia   r0!, {r4-r7}\n"                \
    "smlad   r10, r4, r12, r10\n"           \
    "smlad   r11, r6, r12, r11\n"           \
    "smlad   r10, r5, r9, r10\n"            \
    "smlad   r11, r7, r9, r11\n"

/* Four rows at a time, two blocks of columns in each turn of the inner loop. It is entered in the
 * middle if their number is odd. */
__attribute__((naked)) void spela_dense_int16(SPELA_ARGUMENT const int16_t *weights,
                                              SPELA_ARGUMENT const int16_t *wide,
                                              SPELA_ARGUMENT const spela_shape_t *shape,
                                              SPELA_ARGUMENT int32_t *sums) {
    /* sp: wide, whether the number of blocks is odd, sums, their end */
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
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
        "ldrd    r8, r9, [sp, #8]\n"
        "stmia   r8!, {r2, r3, r10, r11}\n"
        "str     r8, [sp, #8]\n"
        "cmp     r8, r9\n"
        "bne     1b\n"
        "add     sp, #16\n"
        "pop     {r4-r11, pc}\n");
}

/* One row of a block: 21 instructions for 4 weights. r0 block, r1 updates, r2 the greatest weight,
 * twice; r4 inputs 0 and 2, r5 inputs 1 and 3, r6-r9 dither in the order 0, 1, 2, 3, all of them
 * times 2^8: so a step is the upper half of multiplier * input + dither, |step| <= 2^14. */
#define SPELA_ROW                           \
    "ldrd    r10, r11, [r1], #8\n"          \
    "smlabb  r12, r11, r4, r6\n"            \
    "smlabb  r3, r11, r5, r7\n"             \
    "smlabt  lr, r11, r4, r8\n"             \
    "smlabt  r11, r11, r5, r9\n"            \
    "add     r10, r0, r10, lsl #1\n"        \
    "pkhtb   r3, r3, r12, asr #16\n"        \
    "pkhtb   r11, r11, lr, asr #16\n"       \
    "ldrd    r12, lr, [r10]\n"              \
    "qadd16  r12, r12, r3\n"                \
    "qadd16  lr, lr, r11\n"                 \
    "ssub16  r3, r12, r2\n"                 \
    "sel     r12, r2, r12\n"                \
    "ssub16  r3, lr, r2\n"                  \
    "sel     lr, r2, lr\n"                  \
    "mvn     r3, r2\n"                      \
    "ssub16  r11, r12, r3\n"                \
    "sel     r12, r12, r3\n"                \
    "ssub16  r11, lr, r3\n"                 \
    "sel     lr, lr, r3\n"                  \
    "strd    r12, lr, [r10]\n"

/* Block by block of columns; blocks whose inputs are all zero only have their numbers drawn. */
__attribute__((naked)) void spela_update_int16(SPELA_ARGUMENT int16_t *weights,
                                               SPELA_ARGUMENT const spela_shape_t *shape,
                                               SPELA_ARGUMENT spela_update_t *update) {
    /* sp: rows, their end, wide, its end, state, multiplier, increment, update */
    __asm__ volatile(
        "push    {r2, r4-r11, lr}\n"
        "ldrd    r5, r3, [r1, #4]\n"       /* columns, weight_bits */
        "ldmia   r2, {r4, r9-r12, lr}\n"   /* wide, rows, rows_end, state, multiplier, increment */
        "movs    r2, #1\n"
        "subs    r3, #1\n"
        "lsls    r2, r3\n"
        "subs    r2, #1\n"
        "orr     r2, r2, r2, lsl #16\n"
        "add     r5, r4, r5, lsl #1\n"
        "push    {r11, r12, lr}\n"
        "push    {r4, r5}\n"
        "push    {r9, r10}\n"
        "1: ldrd r1, r5, [sp, #8]\n"
        "ldrd    r12, r10, [sp, #16]\n"
        "ldr     r11, [sp, #24]\n"
        "mla     r6, r12, r10, r11\n"
        "mla     r7, r6, r10, r11\n"
        "mla     r8, r7, r10, r11\n"
        "mla     r9, r8, r10, r11\n"
        "ldrd    r4, r5, [r1], #8\n"
        "str     r1, [sp, #8]\n"
        "str     r9, [sp, #16]\n"
        "orrs    r3, r4, r5\n"
        "beq     3f\n"
        "lsl     r4, r4, #8\n"
        "lsl     r5, r5, #8\n"
        "bic     r4, r4, #0x00ff0000\n"
        "bic     r5, r5, #0x00ff0000\n"
        "lsr     r6, r6, #16\n"            /* what lies below the dither cannot carry into a step */
        "lsr     r7, r7, #16\n"
        "lsr     r8, r8, #16\n"
        "lsr     r9, r9, #16\n"
        "ldr     r1, [sp]\n"
        "2:\n" SPELA_ROW SPELA_ROW
        "ldr     r3, [sp, #4]\n"
        "cmp     r1, r3\n"
        "bne     2b\n"
        "3: ldrd r4, r5, [sp, #8]\n"
        "adds    r0, #32\n"
        "cmp     r4, r5\n"
        "bne     1b\n"
        "ldr     r3, [sp, #16]\n"
        "ldr     r2, [sp, #28]\n"
        "str     r3, [r2, #12]\n"
        "add     sp, #32\n"
        "pop     {r4-r11, pc}\n");
}

/* clang-format on */

#endif /* SPELA_DSP_KERNELS && !SPELA_INT8_ONLY */
