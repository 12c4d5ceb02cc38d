/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What filters learn, for RISC-V of 32 bits with multiplication: the sums of a patch in assembly,
 * as in spela_kernels_riscv.c.
 */
#include "spela_convolution.h"

#ifdef SPELA_RISCV_KERNELS

/* clang-format off */

/* Four values a turn, 23 instructions. */
__attribute__((naked)) void spela_add_runs(SPELA_ARGUMENT const int8_t *values,
                                           SPELA_ARGUMENT int32_t *sums,
                                           SPELA_ARGUMENT int32_t factor,
                                           SPELA_ARGUMENT const spela_runs_t *runs) {
    /* t0 runs left, t1 length, t2 and a3 from the end of a run to the next one; a4 the run's end,
     * a5 the end of its whole fours; t3-t6 values, a6 and a7 sums */
    __asm__ volatile(
        "lw      t0, 0(a3)\n"
        "lw      t1, 4(a3)\n"
        "lw      t2, 8(a3)\n"
        "lw      a3, 12(a3)\n"
        "sub     t2, t2, t1\n"
        "sub     a3, a3, t1\n"
        "slli    a3, a3, 2\n"
        "1:\n"
        "add     a4, a0, t1\n"
        "andi    a5, t1, -4\n"
        "add     a5, a5, a0\n"
        "beq     a0, a5, 3f\n"
        "2:\n"
        "lb      t3, 0(a0)\n"
        "lb      t4, 1(a0)\n"
        "lb      t5, 2(a0)\n"
        "lb      t6, 3(a0)\n"
        "mul     t3, t3, a2\n"
        "mul     t4, t4, a2\n"
        "mul     t5, t5, a2\n"
        "mul     t6, t6, a2\n"
        "lw      a6, 0(a1)\n"
        "lw      a7, 4(a1)\n"
        "add     t3, t3, a6\n"
        "add     t4, t4, a7\n"
        "lw      a6, 8(a1)\n"
        "lw      a7, 12(a1)\n"
        "add     t5, t5, a6\n"
        "add     t6, t6, a7\n"
        "sw      t3, 0(a1)\n"
        "sw      t4, 4(a1)\n"
        "sw      t5, 8(a1)\n"
        "sw      t6, 12(a1)\n"
        "addi    a0, a0, 4\n"
        "addi    a1, a1, 16\n"
        "bltu    a0, a5, 2b\n"
        "3:\n"
        "beq     a0, a4, 4f\n"
        "lb      t3, 0(a0)\n"
        "lw      a6, 0(a1)\n"
        "mul     t3, t3, a2\n"
        "addi    a0, a0, 1\n"
        "add     a6, a6, t3\n"
        "sw      a6, 0(a1)\n"
        "addi    a1, a1, 4\n"
        "j       3b\n"
        "4:\n"
        "add     a0, a0, t2\n"
        "add     a1, a1, a3\n"
        "addi    t0, t0, -1\n"
        "bnez    t0, 1b\n"
        "ret\n");
}

/* clang-format on */

#endif /* SPELA_RISCV_KERNELS */
