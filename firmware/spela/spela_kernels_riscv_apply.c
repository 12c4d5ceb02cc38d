/* SPDX-License-Identifier: Apache-2.0 */
/** Several updates as one, int8 weights, on RISC-V of 32 bits with multiplication (M). */
#include "spela_kernels.h"

#ifdef SPELA_RISCV_KERNELS

void spela_keep(const int16_t *wide, uint32_t columns, uint32_t stride, int8_t *kept) {
    const uint32_t *const blocks = (const uint32_t *)(const void *)wide;
    uint32_t *const fours = (uint32_t *)(void *)kept;
    for (uint32_t block = 0U; 4U * block < columns; block++) {
        fours[block * stride] = blocks[block];
    }
}

/** A row that changes. */
typedef struct {
    uint32_t offset; /**< in the matrix */
    const int16_t *multipliers;
} spela_listed_row_t;

/** A block of columns. Assembly reads it. */
typedef struct {
    const int8_t *inputs;     /**< four of each update */
    const int8_t *inputs_end; /**< of an even number of updates */
    int32_t dither[4];
} spela_block_t;

/** Applies the updates of listed rows, at least one, to a block of columns. */
void spela_apply_block_int8(int8_t *weights, const spela_listed_row_t *rows,
                            const spela_listed_row_t *rows_end, const spela_block_t *block);

/* clang-format off */

__attribute__((naked)) void spela_apply_block_int8(
        SPELA_ARGUMENT int8_t *weights, SPELA_ARGUMENT const spela_listed_row_t *rows,
        SPELA_ARGUMENT const spela_listed_row_t *rows_end,
        SPELA_ARGUMENT const spela_block_t *block) {
    /* a0 block, a1 row in the list, a2 its end; a4 inputs, a5 their end, s0-s3 dither, a3 256;
     * t0 weights, t1-t4 sums; a6 multipliers, a7 their inputs, t5 multiplier; t6, s4-s6 scratch */
    __asm__ volatile(
        /* A term of four sums: 14 instructions, or 2 if the unit was not active. */
        ".macro  spela_term update\n"
        "lh      t5, 2*\\update(a6)\n"
        "beqz    t5, 7f\n"
        "lb      t6, 4*\\update+0(a7)\n"
        "lb      s4, 4*\\update+1(a7)\n"
        "lb      s5, 4*\\update+2(a7)\n"
        "lb      s6, 4*\\update+3(a7)\n"
        "mul     t6, t6, t5\n"
        "mul     s4, s4, t5\n"
        "mul     s5, s5, t5\n"
        "mul     s6, s6, t5\n"
        "add     t1, t1, t6\n"
        "add     t2, t2, s4\n"
        "add     t3, t3, s5\n"
        "add     t4, t4, s6\n"
        "7:\n"
        ".endm\n"
        /* One weight: 8 instructions, or 2 if its step is zero. */
        ".macro  spela_step column, sum\n"
        "srai    \\sum, \\sum, 16\n"
        "beqz    \\sum, 9f\n"
        "lb      t6, \\column(t0)\n"
        "add     \\sum, \\sum, t6\n"
        "addi    t6, \\sum, 128\n"
        "bltu    t6, a3, 8f\n"
        "srai    \\sum, \\sum, 31\n"
        "xori    \\sum, \\sum, 127\n"      /* 127 or -128 */
        "8:\n"
        "sb      \\sum, \\column(t0)\n"
        "9:\n"
        ".endm\n"
        "addi    sp, sp, -32\n"
        ".irp    n, 0, 1, 2, 3, 4, 5, 6\n"
        "sw      s\\n, 4*\\n(sp)\n"
        ".endr\n"
        "lw      a4, 0(a3)\n"
        "lw      a5, 4(a3)\n"
        "lw      s0, 8(a3)\n"
        "lw      s1, 12(a3)\n"
        "lw      s2, 16(a3)\n"
        "lw      s3, 20(a3)\n"
        "li      a3, 256\n"
        "1:\n"
        "lw      t0, 0(a1)\n"
        "lw      a6, 4(a1)\n"
        "addi    a1, a1, 8\n"
        "add     t0, t0, a0\n"
        "mv      a7, a4\n"
        "mv      t1, s0\n"
        "mv      t2, s1\n"
        "mv      t3, s2\n"
        "mv      t4, s3\n"
        "2:\n"
        "spela_term 0\n"
        "spela_term 1\n"
        "addi    a6, a6, 4\n"
        "addi    a7, a7, 8\n"
        "bne     a7, a5, 2b\n"
        "spela_step 0, t1\n"
        "spela_step 1, t2\n"
        "spela_step 2, t3\n"
        "spela_step 3, t4\n"
        "bne     a1, a2, 1b\n"
        ".irp    n, 0, 1, 2, 3, 4, 5, 6\n"
        "lw      s\\n, 4*\\n(sp)\n"
        ".endr\n"
        "addi    sp, sp, 32\n"
        "ret\n"
        ".purgem spela_step\n"
        ".purgem spela_term\n");
}

/* clang-format on */

/** Lists the rows that pending updates change; returns the list's end. */
static spela_listed_row_t *list_rows(const spela_batch_t *batch, const spela_shape_t *shape,
                                     spela_listed_row_t *list) {
    const int16_t *multipliers = batch->multipliers;
    for (uint32_t row = 0U; row < shape->rows; row++) {
        int32_t any = 0;
        for (uint32_t k = 0U; k < batch->count; k++) {
            any |= multipliers[k];
        }
        if (any != 0) {
            list->offset = spela_row_offset(row, shape->columns);
            list->multipliers = multipliers;
            list++;
        }
        multipliers += batch->stride;
    }
    return list;
}

void spela_apply_int8(int8_t *weights, const spela_shape_t *shape, spela_batch_t *batch) {
    spela_listed_row_t *const rows = (spela_listed_row_t *)(void *)batch->scratch;
    const spela_listed_row_t *const rows_end = list_rows(batch, shape, rows);
    const uint32_t pairs = (batch->count + 1U) / 2U;
    const int8_t *inputs = batch->inputs;
    uint32_t state = batch->state;
    for (uint32_t column = 0U; column < shape->columns; column += 4U) {
        spela_block_t block;
        block.inputs = inputs;
        block.inputs_end = inputs + 8U * pairs;
        for (uint32_t i = 0U; i < 4U; i++) {
            state = state * batch->multiplier + batch->increment;
            block.dither[i] = (int32_t)(state >> 16);
        }
        uint32_t any = 0U;
        for (uint32_t k = 0U; k < batch->count; k++) {
            any |= ((const uint32_t *)(const void *)inputs)[k];
        }
        if (any != 0U && rows != rows_end) { /* else nothing changes */
            spela_apply_block_int8(weights + 4U * column, rows, rows_end, &block);
        }
        inputs += 4U * batch->stride;
    }
    batch->state = state;
}

#endif /* SPELA_RISCV_KERNELS */
