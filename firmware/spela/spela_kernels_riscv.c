/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The int8 kernels for RISC-V of 32 bits with multiplication (M): ESP32-C3, RP2350 and the like.
 *
 * Whole functions in assembly, so that every compiler at every optimisation level runs the same
 * instructions. Inputs stay int8: a load sign-extends a byte as quickly as a halfword.
 */
#include "spela_kernels.h"

#ifdef SPELA_RISCV_KERNELS

/* Registers hold the arguments: the compiler must neither warn that C does not name them, nor,
 * as it might for static functions, drop them. */
#define SPELA_ARGUMENT __attribute__((unused))

/* clang-format off */

/* Four bytes at a time where the inputs lie at a word, else one. */
__attribute__((naked)) void spela_widen(SPELA_ARGUMENT const int8_t *inputs,
                                        SPELA_ARGUMENT uint32_t count,
                                        SPELA_ARGUMENT int16_t *wide) {
    __asm__ volatile(
        "add     a1, a0, a1\n"             /* the end of the inputs */
        "andi    a3, a0, 3\n"
        "bnez    a3, 2f\n"
        "addi    a4, a1, -3\n"
        "bgeu    a0, a4, 2f\n"
        "1:\n"
        "lw      a3, 0(a0)\n"
        "addi    a0, a0, 4\n"
        "sw      a3, 0(a2)\n"
        "addi    a2, a2, 4\n"
        "bltu    a0, a4, 1b\n"
        "2:\n"
        "beq     a0, a1, 3f\n"
        "lb      a3, 0(a0)\n"
        "addi    a0, a0, 1\n"
        "sb      a3, 0(a2)\n"
        "addi    a2, a2, 1\n"
        "j       2b\n"
        "3:\n"
        "andi    a3, a2, 3\n"              /* wide is 8-aligned: zeros to the end of the block */
        "beqz    a3, 4f\n"
        "sb      zero, 0(a2)\n"
        "addi    a2, a2, 1\n"
        "j       3b\n"
        "4:\n"
        "ret\n");
}

/* Sixteen rows at a time, two blocks of columns in each turn of the inner loop, which is entered in
 * the middle if their number is odd; then what is left, four rows at a time. */
__attribute__((naked)) void spela_dense_int8(SPELA_ARGUMENT const int8_t *weights,
                                             SPELA_ARGUMENT const int16_t *wide,
                                             SPELA_ARGUMENT const spela_shape_t *shape,
                                             SPELA_ARGUMENT int32_t *sums) {
    /* a4 inputs, a6 their end; a0-a3 weights, a7 four rows of them in bytes; a5 an input; t3-t6
     * scratch. sp: rows left, sums, inputs, then the caller's registers */
    __asm__ volatile(
        /* Four multiply-accumulates: a column of four rows. */
        ".macro  spela_column_4 weights, column, sum0, sum1, sum2, sum3\n"
        "lb      t3, \\column(\\weights)\n"
        "lb      t4, \\column+4(\\weights)\n"
        "lb      t5, \\column+8(\\weights)\n"
        "lb      t6, \\column+12(\\weights)\n"
        "mul     t3, t3, a5\n"
        "mul     t4, t4, a5\n"
        "mul     t5, t5, a5\n"
        "mul     t6, t6, a5\n"
        "add     \\sum0, \\sum0, t3\n"
        "add     \\sum1, \\sum1, t4\n"
        "add     \\sum2, \\sum2, t5\n"
        "add     \\sum3, \\sum3, t6\n"
        ".endm\n"
        /* A column of sixteen rows: four blocks, one below the other. */
        ".macro  spela_column_16 input, column\n"
        "lb      a5, \\input(a4)\n"
        "spela_column_4 a0, \\column, s0, s1, s2, s3\n"
        "spela_column_4 a1, \\column, s4, s5, s6, s7\n"
        "spela_column_4 a2, \\column, s8, s9, s10, s11\n"
        "spela_column_4 a3, \\column, t0, t1, t2, ra\n"
        ".endm\n"
        "addi    sp, sp, -64\n"
        "sw      ra, 60(sp)\n"
        ".irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
        "sw      s\\n, 12+4*\\n(sp)\n"
        ".endr\n"
        "lw      t0, 0(a2)\n"             /* rows */
        "lw      a7, 4(a2)\n"             /* columns */
        "sw      a3, 4(sp)\n"
        "sw      a1, 8(sp)\n"
        "add     a6, a1, a7\n"
        "slli    a7, a7, 2\n"
        "addi    t0, t0, -16\n"
        "bltz    t0, 5f\n"
        "1:\n"
        "sw      t0, 0(sp)\n"
        "lw      a4, 8(sp)\n"
        "add     a1, a0, a7\n"
        "add     a2, a1, a7\n"
        "add     a3, a2, a7\n"
        ".irp    sum, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, t0, t1, t2, ra\n"
        "li      \\sum, 0\n"
        ".endr\n"
        "andi    t3, a7, 16\n"
        "beqz    t3, 2f\n"
        ".irp    weights, a0, a1, a2, a3\n"
        "addi    \\weights, \\weights, -16\n"
        ".endr\n"
        "addi    a4, a4, -4\n"
        "j       3f\n"
        "2:\n"
        "spela_column_16 0, 0\n"
        "spela_column_16 1, 1\n"
        "spela_column_16 2, 2\n"
        "spela_column_16 3, 3\n"
        "3:\n"
        "spela_column_16 4, 16\n"
        "spela_column_16 5, 17\n"
        "spela_column_16 6, 18\n"
        "spela_column_16 7, 19\n"
        "addi    a4, a4, 8\n"
        ".irp    weights, a0, a1, a2, a3\n"
        "addi    \\weights, \\weights, 32\n"
        ".endr\n"
        "beq     a4, a6, 4f\n"
        "j       2b\n"                    /* too far for a branch */
        "4:\n"
        "lw      a4, 4(sp)\n"
        "mv      a0, a3\n"                /* where the next sixteen rows begin */
        ".irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
        "sw      s\\n, 4*\\n(a4)\n"
        ".endr\n"
        "sw      t0, 48(a4)\n"
        "sw      t1, 52(a4)\n"
        "sw      t2, 56(a4)\n"
        "sw      ra, 60(a4)\n"
        "addi    a4, a4, 64\n"
        "lw      t0, 0(sp)\n"
        "sw      a4, 4(sp)\n"
        "addi    t0, t0, -16\n"
        "bltz    t0, 5f\n"
        "j       1b\n"
        "5:\n"
        "addi    t0, t0, 16\n"            /* rows left: 0, 4, 8 or 12 */
        "lw      a1, 8(sp)\n"
        "lw      a3, 4(sp)\n"
        "j       8f\n"
        "6:\n"
        "mv      a4, a1\n"
        ".irp    sum, s0, s1, s2, s3\n"
        "li      \\sum, 0\n"
        ".endr\n"
        "7:\n"
        ".irp    column, 0, 1, 2, 3\n"
        "lb      a5, \\column(a4)\n"
        "spela_column_4 a0, \\column, s0, s1, s2, s3\n"
        ".endr\n"
        "addi    a4, a4, 4\n"
        "addi    a0, a0, 16\n"
        "bne     a4, a6, 7b\n"
        "sw      s0, 0(a3)\n"
        "sw      s1, 4(a3)\n"
        "sw      s2, 8(a3)\n"
        "sw      s3, 12(a3)\n"
        "addi    a3, a3, 16\n"
        "addi    t0, t0, -4\n"
        "8:\n"
        "bnez    t0, 6b\n"
        "lw      ra, 60(sp)\n"
        ".irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
        "lw      s\\n, 12+4*\\n(sp)\n"
        ".endr\n"
        "addi    sp, sp, 64\n"
        "ret\n"
        ".purgem spela_column_16\n"
        ".purgem spela_column_4\n");
}

/* Block by block of columns; blocks whose inputs are all zero only have their numbers drawn. */
__attribute__((naked)) void spela_update_int8(SPELA_ARGUMENT int8_t *weights,
                                              SPELA_ARGUMENT const spela_shape_t *shape,
                                              SPELA_ARGUMENT spela_update_t *update) {
    /* a0 block, a1 inputs, t5 their end, s0-s3 four of them, s4-s7 their dither; a3 row, a4 the
     * first, a5 their end; t4 state of the dither, a6 its multiplier, a7 increment */
    __asm__ volatile(
        /* One weight: 10 instructions, or 4 if its step is zero, as most are. t0 weights of the
         * row, t1 multiplier; t2, t3 scratch. */
        ".macro  spela_weight column, input, dither\n"
        "mul     t2, t1, \\input\n"
        "add     t2, t2, \\dither\n"
        "srai    t2, t2, 16\n"
        "beqz    t2, 7f\n"
        "lb      t3, \\column(t0)\n"
        "add     t2, t2, t3\n"
        "slli    t3, t2, 24\n"
        "srai    t3, t3, 24\n"
        "beq     t2, t3, 6f\n"
        "srai    t2, t2, 31\n"
        "xori    t2, t2, 127\n"           /* 127 or -128 */
        "6:\n"
        "sb      t2, \\column(t0)\n"
        "7:\n"
        ".endm\n"
        ".macro  spela_row at\n"
        "lw      t0, \\at(a3)\n"
        "lw      t1, \\at+4(a3)\n"
        "add     t0, t0, a0\n"
        "spela_weight 0, s0, s4\n"
        "spela_weight 1, s1, s5\n"
        "spela_weight 2, s2, s6\n"
        "spela_weight 3, s3, s7\n"
        ".endm\n"
        "addi    sp, sp, -32\n"
        ".irp    n, 0, 1, 2, 3, 4, 5, 6, 7\n"
        "sw      s\\n, 4*\\n(sp)\n"
        ".endr\n"
        "lw      t5, 4(a1)\n"             /* columns */
        "lw      a1, 0(a2)\n"
        "lw      a4, 4(a2)\n"
        "lw      a5, 8(a2)\n"
        "lw      t4, 12(a2)\n"
        "lw      a6, 16(a2)\n"
        "lw      a7, 20(a2)\n"
        "add     t5, t5, a1\n"
        "1:\n"
        "lw      t0, 0(a1)\n"
        "mul     s4, t4, a6\n"
        "add     s4, s4, a7\n"
        "mul     s5, s4, a6\n"
        "add     s5, s5, a7\n"
        "mul     s6, s5, a6\n"
        "add     s6, s6, a7\n"
        "mul     s7, s6, a6\n"
        "add     t4, s7, a7\n"
        "beqz    t0, 4f\n"
        "lb      s0, 0(a1)\n"
        "lb      s1, 1(a1)\n"
        "lb      s2, 2(a1)\n"
        "lb      s3, 3(a1)\n"
        "srli    s4, s4, 16\n"
        "srli    s5, s5, 16\n"
        "srli    s6, s6, 16\n"
        "srli    s7, t4, 16\n"
        "mv      a3, a4\n"
        "2:\n"
        "spela_row 0\n"
        "spela_row 8\n"
        "addi    a3, a3, 16\n"
        "bne     a3, a5, 2b\n"
        "4:\n"
        "addi    a1, a1, 4\n"
        "addi    a0, a0, 16\n"
        "bne     a1, t5, 1b\n"
        "sw      t4, 12(a2)\n"
        ".irp    n, 0, 1, 2, 3, 4, 5, 6, 7\n"
        "lw      s\\n, 4*\\n(sp)\n"
        ".endr\n"
        "addi    sp, sp, 32\n"
        "ret\n"
        ".purgem spela_row\n"
        ".purgem spela_weight\n");
}

/* clang-format on */

#endif /* SPELA_RISCV_KERNELS */
