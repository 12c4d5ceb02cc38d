/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Adds up the lists of terms that spela_kernels_dsp_terms.c makes, for each block of columns.
 *
 * Sums are wanted with their steps on top, times 2^8 for every other column of int8 weights and for
 * all of int16 ones; a row for which that might not fit 32 bits is one of large steps.
 */
#include "spela_kernels_dsp.h"

#ifdef SPELA_DSP_KERNELS

/* clang-format off */

/* Inputs of two updates side by side, a word a column. r4-r7 columns 0 and 2 of four updates, r8-r11
 * columns 1 and 3, as SPLIT makes them of four bytes; r0-r3 scratch. */
#define SPELA_PAIR(even_a, odd_a, even_b, odd_b)                \
    "pkhbt   r0, " even_a ", " even_b ", lsl #16\n"             \
    "pkhbt   r1, " odd_a ", " odd_b ", lsl #16\n"               \
    "pkhtb   r2, " even_b ", " even_a ", asr #16\n"             \
    "pkhtb   r3, " odd_b ", " odd_a ", asr #16\n"               \
    "stmia   r12!, {r0-r3}\n"
#define SPELA_FOUR(SPLIT)                                       \
    SPLIT("r4", "r8") SPLIT("r5", "r9")                         \
    SPLIT("r6", "r10") SPLIT("r7", "r11")                       \
    SPELA_PAIR("r4", "r8", "r5", "r9")                          \
    SPELA_PAIR("r6", "r10", "r7", "r11")                        \
    SPELA_PAIR("r4", "r8", "r6", "r10")                         \
    SPELA_PAIR("r5", "r9", "r6", "r10")                         \
    SPELA_PAIR("r4", "r8", "r7", "r11")                         \
    SPELA_PAIR("r5", "r9", "r7", "r11")

/* The dither and the inputs of a block of columns are made ready, and the first row is entered.
 * sp: dither of the block, tile, weights, whether any input is not zero. */
#define SPELA_BLOCK(SPLIT, odd_shift)                           \
    "1: ldr  r3, [r1, #32]\n"          /* state */              \
    "ldrd    r8, r9, [r1, #36]\n"                               \
    "mla     r4, r3, r8, r9\n"                                  \
    "mla     r5, r4, r8, r9\n"                                  \
    "mla     r6, r5, r8, r9\n"                                  \
    "mla     r7, r6, r8, r9\n"                                  \
    "str     r7, [r1, #32]\n"                                   \
    "lsr     r4, r4, #16\n"                                     \
    "lsr     r5, r5, #" odd_shift "\n"                          \
    "lsr     r6, r6, #16\n"                                     \
    "lsr     r7, r7, #" odd_shift "\n"                          \
    "stmia   sp, {r4-r7}\n"                                     \
    "ldrd    lr, r2, [r1, #4]\n"       /* inputs, their bytes */ \
    "add     r2, r2, lr\n"                                      \
    "str     r2, [r1, #4]\n"                                    \
    "ldrd    r12, r2, [r1, #12]\n"     /* pairs, their end */   \
    "movs    r3, #0\n"                                          \
    "cmp     r12, r2\n"                                         \
    "beq     3f\n"                                              \
    "2: ldmia lr!, {r4-r7}\n"          /* four inputs each */   \
    "orr     r0, r4, r5\n"                                      \
    "orr     r1, r6, r7\n"                                      \
    "orr     r0, r0, r1\n"                                      \
    "orr     r3, r3, r0\n"                                      \
    "str     r3, [sp, #24]\n"                                   \
    SPELA_FOUR(SPLIT)                                           \
    "ldr     r1, [sp, #16]\n"                                   \
    "ldr     r3, [sp, #24]\n"                                   \
    "ldr     r2, [r1, #16]\n"                                   \
    "cmp     r12, r2\n"                                         \
    "bne     2b\n"                                              \
    "3: ldr  r2, [r1, #28]\n"                                   \
    "cbz     r2, 4f\n"                                          \
    "ldrd    r4, r5, [lr]\n"           /* the last two */       \
    "orr     r3, r3, r4\n"                                      \
    "orr     r3, r3, r5\n"                                      \
    "str     r3, [sp, #24]\n"                                   \
    SPLIT("r4", "r8") SPLIT("r5", "r9")                         \
    SPELA_PAIR("r4", "r8", "r5", "r9")                          \
    "ldr     r1, [sp, #16]\n"                                   \
    "ldr     r3, [sp, #24]\n"                                   \
    "4: cmp  r3, #0\n"                                          \
    "beq     9f\n"                                              \
    "ldr     r0, [sp, #20]\n"                                   \
    "ldrd    r1, r12, [r1, #20]\n"     /* list, first entry */  \
    SPELA_NEXT

/* A row's terms start from the dither. */
#define SPELA_NEXT                                              \
    "ldmia   sp, {r4-r7}\n"                                     \
    "mov     pc, r12\n"

/* Terms: 6 instructions for 8 multiply-accumulates, 11 for 16. r1 list, sums r4-r7; r2, r3, r8-r12,
 * lr scratch. */
#define SPELA_PRODUCTS(multipliers, pair)                       \
    "ldmia   " pair ", {r8-r11}\n"                              \
    "smlad   r4, r8, " multipliers ", r4\n"                     \
    "smlad   r5, r9, " multipliers ", r5\n"                     \
    "smlad   r6, r10, " multipliers ", r6\n"                    \
    "smlad   r7, r11, " multipliers ", r7\n"
#define SPELA_TERM                                              \
    "ldrd    r2, r3, [r1], #8\n"                                \
    SPELA_PRODUCTS("r2", "r3")
#define SPELA_TWO_TERMS                                         \
    "ldmia   r1!, {r2, r3, r12, lr}\n"                          \
    SPELA_PRODUCTS("r2", "r3")                                  \
    SPELA_PRODUCTS("r12", "lr")

/* Numbers of terms are entered part-way: even ones in one chain, odd ones in another. */
#ifdef __OPTIMIZE_SIZE__
#define SPELA_EVEN_CHAIN "14:" SPELA_TWO_TERMS "12:" SPELA_TWO_TERMS
#define SPELA_ODD_CHAIN  "13:" SPELA_TWO_TERMS "11:" SPELA_TERM
#define SPELA_LONG_ENTRIES
#else
#define SPELA_EVEN_CHAIN                                        \
    "18:" SPELA_TWO_TERMS "16:" SPELA_TWO_TERMS                 \
    "14:" SPELA_TWO_TERMS "12:" SPELA_TWO_TERMS
#define SPELA_ODD_CHAIN                                         \
    "17:" SPELA_TWO_TERMS "15:" SPELA_TWO_TERMS                 \
    "13:" SPELA_TWO_TERMS "11:" SPELA_TERM
#define SPELA_LONG_ENTRIES ".short 0b - 15b, 0b - 16b, 0b - 17b, 0b - 18b\n"
#endif
#define SPELA_MORE                                              \
    "5:" SPELA_TWO_TERMS SPELA_TWO_TERMS                        \
    "ldr     r12, [r1], #4\n"                                   \
    "mov     pc, r12\n"

/* Sums of a row whose steps are large: of inputs as they are, from what SPLIT made. */
#define SPELA_LARGE_TERMS(even_inputs)                          \
    "7: ldrd r2, r3, [r1], #8\n"                                \
    "ldmia   r3, {r8-r11}\n"                                    \
    even_inputs                                                 \
    "sxtb16  r9, r9, ror #8\n"                                  \
    "sxtb16  r11, r11, ror #8\n"                                \
    "smlad   r4, r8, r2, r4\n"                                  \
    "smlad   r5, r9, r2, r5\n"                                  \
    "smlad   r6, r10, r2, r6\n"                                 \
    "smlad   r7, r11, r2, r7\n"                                 \
    "cmp     r1, lr\n"                                          \
    "bne     7b\n"                                              \
    "ldrd    r3, r12, [r1], #8\n"

/* The next block, and the end. */
#define SPELA_NEXT_BLOCK(block_bytes, frame_bytes, entries)     \
    "9: ldrd r1, r0, [sp, #16]\n"                               \
    "adds    r0, #" block_bytes "\n"                            \
    "str     r0, [sp, #20]\n"                                   \
    "ldr     r3, [r1]\n"                                        \
    "subs    r3, #4\n"                                          \
    "str     r3, [r1]\n"                                        \
    "bne     1b\n"                                              \
    "add     sp, #" frame_bytes "\n"                            \
    "pop     {r4-r11, pc}\n"                                    \
    ".global " entries "\n"                                     \
    entries ": 0:\n"                                            \
    ".short 0b - 9b, 0b - 11b, 0b - 12b, 0b - 13b, 0b - 14b\n"  \
    SPELA_LONG_ENTRIES                                          \
    ".short 0b - 5b, 0b - 6b\n"

/* int8: inputs of columns 1 and 3 are times 2^8, and so is their dither. What lies below the dither
 * cannot carry into a step. */
#define SPELA_SPLIT_INT8(even, odd)                             \
    "bic     " odd ", " even ", #0x00ff00ff\n"                  \
    "sxtb16  " even ", " even "\n"

/* The end of a row, and where the next begins: 9 instructions for 4 weights. Steps lie in byte 2 of
 * r4 and r6, in byte 3 of r5 and r7: SEL takes byte 2 from its first operand, byte 3 from its
 * second. */
#define SPELA_ROW_INT8                                          \
    "ldrd    r3, r12, [r1], #8\n"                               \
    "sel     r4, r4, r5\n"                                      \
    "sel     r6, r6, r7\n"                                      \
    "ldr     r2, [r0, r3]\n"                                    \
    "pkhtb   r6, r6, r4, asr #16\n"                             \
    "qadd8   r2, r2, r6\n"                                      \
    "str     r2, [r0, r3]\n"                                    \
    SPELA_NEXT

/* Block by block of columns. In several statements, since a string has an end in C. */
__attribute__((naked)) void spela_apply_tile_int8(SPELA_ARGUMENT int8_t *weights,
                                                  SPELA_ARGUMENT spela_tile_t *tile) {
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "sub     sp, #28\n"
        "mov     r4, #0x00ff00ff\n"
        "mov     r5, #0x01010101\n"
        "usub8   r4, r4, r5\n"             /* GE = 0101, and nothing below sets it again */
        "strd    r1, r0, [sp, #16]\n"
        SPELA_BLOCK(SPELA_SPLIT_INT8, "8"));
    __asm__ volatile(SPELA_MORE SPELA_EVEN_CHAIN SPELA_ROW_INT8);
    __asm__ volatile(SPELA_ODD_CHAIN SPELA_ROW_INT8);
    __asm__ volatile(
        "6: ldr  lr, [r1], #4\n"
        "lsr     r5, r5, #8\n"
        "lsr     r7, r7, #8\n"
        SPELA_LARGE_TERMS("")
        /* steps of columns 0 and 2, of 1 and 3; |step| <= 2^12 */
        "pkhtb   r6, r6, r4, asr #16\n"
        "pkhtb   r7, r7, r5, asr #16\n"
        "ldr     r4, [r0, r3]\n"
        "sxtab16 r6, r6, r4\n"
        "sxtab16 r7, r7, r4, ror #8\n"
        "ssat16  r6, #8, r6\n"
        "ssat16  r7, #8, r7\n"
        "lsl     r7, r7, #8\n"
        "sel     r6, r6, r7\n"
        "str     r6, [r0, r3]\n"
        SPELA_NEXT
        SPELA_NEXT_BLOCK("16", "28", "spela_tile_entries_int8"));
}

#ifndef SPELA_INT8_ONLY

/* int16: all inputs and the dither are times 2^8: a step is the upper half of a sum. */
#define SPELA_SPLIT_INT16(even, odd)                            \
    "bic     " odd ", " even ", #0x00ff00ff\n"                  \
    "bic     " even ", " even ", #0xff00ff00\n"                 \
    "lsl     " even ", " even ", #8\n"

/* Brings weights in r8 and r9 into their range, and on to the next row. */
#define SPELA_CLIP_INT16                                        \
    "ldr     r2, [sp, #28]\n"                                   \
    "mvn     lr, r2\n"                                          \
    "ssub16  r10, r8, r2\n"                                     \
    "sel     r8, r2, r8\n"                                      \
    "ssub16  r10, r9, r2\n"                                     \
    "sel     r9, r2, r9\n"                                      \
    "ssub16  r10, r8, lr\n"                                     \
    "sel     r8, r8, lr\n"                                      \
    "ssub16  r10, r9, lr\n"                                     \
    "sel     r9, r9, lr\n"                                      \
    "strd    r8, r9, [r3]\n"                                    \
    SPELA_NEXT

/* 20 instructions for 4 weights. */
#define SPELA_ROW_INT16                                         \
    "ldrd    r3, r12, [r1], #8\n"                               \
    "pkhtb   r4, r5, r4, asr #16\n"                             \
    "add     r3, r3, r0\n"                                      \
    "pkhtb   r6, r7, r6, asr #16\n"                             \
    "ldrd    r8, r9, [r3]\n"                                    \
    "qadd16  r8, r8, r4\n"                                      \
    "qadd16  r9, r9, r6\n"                                      \
    SPELA_CLIP_INT16

__attribute__((naked)) void spela_apply_tile_int16(SPELA_ARGUMENT int16_t *weights,
                                                   SPELA_ARGUMENT spela_tile_t *tile) {
    /* sp: as of SPELA_BLOCK, the greatest weight twice */
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "sub     sp, #32\n"
        "ldr     r2, [r1, #44]\n"
        "strd    r1, r0, [sp, #16]\n"
        "str     r2, [sp, #28]\n"
        SPELA_BLOCK(SPELA_SPLIT_INT16, "16"));
    __asm__ volatile(SPELA_MORE SPELA_EVEN_CHAIN SPELA_ROW_INT16);
    __asm__ volatile(SPELA_ODD_CHAIN SPELA_ROW_INT16);
    __asm__ volatile(
        "6: ldr  lr, [r1], #4\n"
        "lsr     r4, r4, #8\n"
        "lsr     r5, r5, #8\n"
        "lsr     r6, r6, #8\n"
        "lsr     r7, r7, #8\n"
        SPELA_LARGE_TERMS(
            "sxtb16  r8, r8, ror #8\n"
            "sxtb16  r10, r10, ror #8\n")
        "add     r3, r3, r0\n"
        "ldrd    r8, r9, [r3]\n"
        "sxth    r10, r8\n"
        "add     r4, r10, r4, asr #8\n"    /* |weight + step| <= 2^21 */
        "asr     r10, r8, #16\n"
        "add     r5, r10, r5, asr #8\n"
        "sxth    r10, r9\n"
        "add     r6, r10, r6, asr #8\n"
        "asr     r10, r9, #16\n"
        "add     r7, r10, r7, asr #8\n"
        "ssat    r4, #16, r4\n"
        "ssat    r5, #16, r5\n"
        "ssat    r6, #16, r6\n"
        "ssat    r7, #16, r7\n"
        "pkhbt   r8, r4, r5, lsl #16\n"
        "pkhbt   r9, r6, r7, lsl #16\n"
        SPELA_CLIP_INT16
        SPELA_NEXT_BLOCK("32", "32", "spela_tile_entries_int16"));
}

#endif

/* clang-format on */

#endif /* SPELA_DSP_KERNELS */
