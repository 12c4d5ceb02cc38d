/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The int8 kernels for RISC-V of 32 bits with multiplication (M): ESP32-C3, RP2350 and the like.
 *
 * Whole functions in assembly, so that every compiler at every optimisation level runs the same
 * instructions. Inputs stay int8: a load sign-extends a byte as quickly as a halfword.
 */
#include "spela_kernels.h"

#ifdef SPELA_RISCV_KERNELS

void spela_walk_rows(int8_t *weights, const spela_shape_t *shape, spela_update_t *update);

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

/**
 * Walks through the columns, and for each from both ends of the rows towards the middle.
 *
 * A column's step is floor((multiplier * input + dither) / 2^16), which grows, or falls, with the
 * multiplier, and is zero where that is. So rows in the order of their multipliers have their steps
 * that are not zero at the two ends, and most rows, whose steps are zero, are not even looked at.
 * The first multiplier must not be positive and the last not negative: then both walks end in the
 * middle.
 */
__attribute__((naked)) void spela_walk_rows(SPELA_ARGUMENT int8_t *weights,
                                            SPELA_ARGUMENT const spela_shape_t *shape,
                                            SPELA_ARGUMENT spela_update_t *update) {
    /* a0 column, a1 its input, t5 the inputs' end; a4 first row, a5 last, s3, s4 their multipliers;
     * a7, t6 increment and multiplier of the dither, t4 its state, s1 what it gives a column;
     * s0 input, s2 the end of a weight's range that steps of this sign can leave; a3 row, a6 step;
     * t0-t3 scratch */
    __asm__ volatile(
        /* 12 instructions for each weight that changes. `goes_on` tells of a step whether it still
         * has the sign of the first, `is_within` of s2 and a weight whether that is in its range. */
        ".macro  spela_walk goes_on, ends, start, extreme, next, is_within, limit\n"
        "mul     a6, \\extreme, s0\n"
        "add     a6, a6, s1\n"
        "srai    a6, a6, 16\n"
        "\\ends    a6, 8f\n"
        "mv      a3, \\start\n"
        "li      s2, \\limit\n"
        "7:\n"
        "lw      t0, 0(a3)\n"
        "addi    a3, a3, \\next\n"
        "lw      t2, 4(a3)\n"
        "add     t0, t0, a0\n"
        "lb      t1, 0(t0)\n"
        "mul     t2, t2, s0\n"
        "add     t1, t1, a6\n"
        "\\is_within s2, t1, 9f\n"
        "mv      t1, s2\n"
        "9:\n"
        "sb      t1, 0(t0)\n"
        "add     a6, t2, s1\n"
        "srai    a6, a6, 16\n"
        "\\goes_on a6, 7b\n"
        "8:\n"
        ".endm\n"
        "addi    sp, sp, -32\n"
        ".irp    n, 0, 1, 2, 3, 4\n"
        "sw      s\\n, 4*\\n(sp)\n"
        ".endr\n"
        "lw      t5, 4(a1)\n"             /* columns */
        "lw      a1, 0(a2)\n"
        "lw      a4, 4(a2)\n"
        "lw      a5, 8(a2)\n"
        "lw      t4, 12(a2)\n"
        "lw      t6, 16(a2)\n"
        "lw      a7, 20(a2)\n"
        "add     t5, t5, a1\n"
        "addi    a5, a5, -8\n"
        "lw      s3, 4(a4)\n"
        "lw      s4, 4(a5)\n"
        "1:\n"
        "lw      t0, 0(a1)\n"
        "bnez    t0, 2f\n"
        ".rept   4\n"                     /* inputs of zero: their numbers are drawn */
        "mul     t4, t4, t6\n"
        "add     t4, t4, a7\n"
        ".endr\n"
        "addi    a1, a1, 4\n"
        "addi    a0, a0, 4\n"
        "j       4f\n"
        "2:\n"
        "lb      s0, 0(a1)\n"
        "mul     t4, t4, t6\n"
        "add     t4, t4, a7\n"
        "srli    s1, t4, 16\n"
        "blez    s0, 3f\n"
        "spela_walk bgtz, blez, a5, s4, -8, bge, 127\n"
        "spela_walk bltz, bgez, a4, s3, 8, ble, -128\n"
        "j       5f\n"
        "3:\n"                            /* an input of zero makes no step */
        "spela_walk bltz, bgez, a5, s4, -8, ble, -128\n"
        "spela_walk bgtz, blez, a4, s3, 8, bge, 127\n"
        "5:\n"
        "addi    a1, a1, 1\n"
        "andi    t0, a1, 3\n"
        "addi    a0, a0, 1\n"
        "bnez    t0, 2b\n"
        "4:\n"
        "addi    a0, a0, 12\n"            /* from a block of columns to the next */
        "bne     a1, t5, 1b\n"
        "sw      t4, 12(a2)\n"
        ".irp    n, 0, 1, 2, 3, 4\n"
        "lw      s\\n, 4*\\n(sp)\n"
        ".endr\n"
        "addi    sp, sp, 32\n"
        "ret\n"
        ".purgem spela_walk\n");
}

/* clang-format on */

/** Sorts rows by their multipliers, the least first (Shell's method). */
static void sort_rows(spela_row_update_t *rows, uint32_t count) {
    uint32_t gap = 1U;
    while (gap < count / 3U) {
        gap = 3U * gap + 1U;
    }
    for (; gap != 0U; gap /= 3U) {
        for (uint32_t i = gap; i < count; i++) {
            const spela_row_update_t row = rows[i];
            uint32_t at = i;
            while (at >= gap && rows[at - gap].multiplier > row.multiplier) {
                rows[at] = rows[at - gap];
                at -= gap;
            }
            rows[at] = row;
        }
    }
}

void spela_update_int8(int8_t *weights, const spela_shape_t *shape, spela_update_t *update) {
    spela_row_update_t *const first = update->rows;
    spela_row_update_t *const last = update->rows_end - 1;
    sort_rows(first, (uint32_t)(last - first) + 1U);
    if (first->multiplier <= 0 && last->multiplier >= 0) {
        spela_walk_rows(weights, shape, update);
        return;
    }
    /* All of one sign: no row ends a walk. One gives way to a row that does, and is updated after
     * the others, with the same numbers. */
    spela_row_update_t *const spare = first->multiplier > 0 ? first : last;
    spela_row_update_t pair[2] = {*spare, *spare};
    pair[spare == first ? 0 : 1].multiplier = 0;
    spela_update_t later = {update->wide,     pair, pair + 2, update->state, update->multiplier,
                            update->increment};
    spare->multiplier = 0;
    spela_walk_rows(weights, shape, update);
    spela_walk_rows(weights, shape, &later);
}

#endif /* SPELA_RISCV_KERNELS */
