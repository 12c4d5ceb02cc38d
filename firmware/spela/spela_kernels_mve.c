/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The int8 kernels for cores with the vector extension MVE, its integer half (Cortex-M55, M85).
 *
 * Whole functions in assembly, so that every compiler at every optimisation level runs the same
 * instructions. Inputs stay bytes. A vector holds sixteen weights of one row: four words, one of
 * each of four consecutive blocks, which a load of four interleaved vectors finds for four rows.
 */
#include "spela_kernels.h"

#ifdef SPELA_MVE_KERNELS

/* clang-format off */

/* Sixteen bytes at a time; beyond the last input, a predicated load gives zero. */
__attribute__((naked)) void spela_widen(SPELA_ARGUMENT const int8_t *inputs,
                                        SPELA_ARGUMENT uint32_t count,
                                        SPELA_ARGUMENT int16_t *wide) {
    __asm__ volatile(
        "1: vctp.8 r1\n"
        "vpst\n"
        "vldrbt.u8 q0, [r0], #16\n"
        "vstrb.8 q0, [r2], #16\n"
        "subs    r1, #16\n"
        "bhi     1b\n"
        "bx      lr\n");
}

/* Four rows at a time, sixteen columns in each turn of the inner loop: 64 multiply-accumulates by
 * 10 instructions. Blocks left over are gathered under a predicate, so that nothing is read behind
 * the matrix. Sums lie in even registers, as VMLADAVA requires. */
__attribute__((naked)) void spela_dense_int8(SPELA_ARGUMENT const int8_t *weights,
                                             SPELA_ARGUMENT const int16_t *wide,
                                             SPELA_ARGUMENT const spela_shape_t *shape,
                                             SPELA_ARGUMENT int32_t *sums) {
    /* r5 sixteens of columns, r7 blocks left over, r9 inputs, r11 end of sums; sp: q4 */
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "sub     sp, #20\n"
        "vstrw.32 q4, [sp]\n"
        "ldrd    r4, r5, [r2]\n"           /* rows, columns */
        "add     r11, r3, r4, lsl #2\n"
        "ubfx    r7, r5, #2, #2\n"
        "lsr     r5, r5, #4\n"
        "1: movs r4, #0\n"
        "movs    r6, #0\n"
        "mov     r8, #0\n"
        "mov     r10, #0\n"
        "mov     r9, r1\n"
        "wls     lr, r5, 3f\n"
        "2: vld40.32 {q0, q1, q2, q3}, [r0]\n"
        "vld41.32 {q0, q1, q2, q3}, [r0]\n"
        "vld42.32 {q0, q1, q2, q3}, [r0]\n"
        "vld43.32 {q0, q1, q2, q3}, [r0]!\n"
        "vldrb.u8 q4, [r9], #16\n"
        "vmladava.s8 r4, q0, q4\n"
        "vmladava.s8 r6, q1, q4\n"
        "vmladava.s8 r8, q2, q4\n"
        "vmladava.s8 r10, q3, q4\n"
        "le      lr, 2b\n"
        "3: cbz  r7, 4f\n"
        "mov     r12, #0\n"
        "vidup.u32 q4, r12, #8\n"
        "vshl.i32 q4, q4, #1\n"            /* 0, 16, 32, 48: a row's words of four blocks */
        "vadd.i32 q4, q4, r0\n"
        "vctp.32 r7\n"
        "vpstttt\n"
        "vldrwt.u32 q0, [q4]\n"
        "vldrwt.u32 q1, [q4, #4]\n"
        "vldrwt.u32 q2, [q4, #8]\n"
        "vldrwt.u32 q3, [q4, #12]\n"
        "vldrb.u8 q4, [r9]\n"
        "vmladava.s8 r4, q0, q4\n"
        "vmladava.s8 r6, q1, q4\n"
        "vmladava.s8 r8, q2, q4\n"
        "vmladava.s8 r10, q3, q4\n"
        "add     r0, r0, r7, lsl #4\n"
        "4: stmia r3!, {r4, r6, r8, r10}\n"
        "cmp     r3, r11\n"
        "bne     1b\n"
        "vldrw.u32 q4, [sp]\n"
        "add     sp, #20\n"
        "pop     {r4-r11, pc}\n");
}

/* Sixteen weights of a row. q0, q1 inputs of even and odd columns; q2, q3 their dither, every bit
 * inverted; q4 offsets of the words; r0 block, r1 rows, r5 one.
 * multiplier * input + dither needs more than 16 bits, but its upper half does not: it is that of
 * the product, plus one if the lower half is greater than 65535 - dither. It is within +-2^6, so
 * that the bytes of even and odd columns meet in one vector. */
#define SPELA_STEPS                         \
    "ldrd    r3, r4, [r1], #8\n"            \
    "add     r3, r3, r0\n"                  \
    "vdup.16 q5, r4\n"                      \
    "vmul.i16 q7, q0, r4\n"                 \
    "vmulh.s16 q6, q0, q5\n"                \
    "vpt.u16 hi, q7, q2\n"                  \
    "vaddt.i16 q6, q6, r5\n"                \
    "vmul.i16 q7, q1, r4\n"                 \
    "vmulh.s16 q5, q1, q5\n"                \
    "vpt.u16 hi, q7, q3\n"                  \
    "vaddt.i16 q5, q5, r5\n"                \
    "vsli.16 q6, q5, #8\n"

/* Sixteen columns at a time, row by row: 16 instructions for 16 weights. Where the inputs are all
 * zero, only their numbers are drawn. */
__attribute__((naked)) void spela_update_int8(SPELA_ARGUMENT int8_t *weights,
                                              SPELA_ARGUMENT const spela_shape_t *shape,
                                              SPELA_ARGUMENT spela_update_t *update) {
    /* r2 rows, r6 blocks in hand, r7 wide, r8 blocks left, r9 and r10 multiplier and increment that
     * draw four numbers at once, r11 number of rows;
     * sp: the next four states, the dither of sixteen columns, q4-q7, update */
    __asm__ volatile(
        "push    {r2, r4-r11, lr}\n"
        "sub     sp, #112\n"
        "vstrw.32 q4, [sp, #48]\n"
        "vstrw.32 q5, [sp, #64]\n"
        "vstrw.32 q6, [sp, #80]\n"
        "vstrw.32 q7, [sp, #96]\n"
        "ldr     r8, [r1, #4]\n"           /* columns */
        "lsr     r8, r8, #2\n"
        "ldmia   r2, {r3-r6, r9, r10}\n"   /* wide, rows, rows_end, state, multiplier, increment */
        "mov     r7, r3\n"
        "mov     r2, r4\n"
        "sub     r11, r5, r4\n"
        "lsr     r11, r11, #3\n"
        "mla     r3, r6, r9, r10\n"
        "mla     r4, r3, r9, r10\n"
        "mla     r5, r4, r9, r10\n"
        "mla     r6, r5, r9, r10\n"
        "stmia   sp, {r3-r6}\n"
        "mla     r5, r10, r9, r10\n"       /* two steps: s -> r9^2 * s + r10 * (r9 + 1) */
        "mul     r4, r9, r9\n"
        "mla     r10, r5, r4, r5\n"        /* and these two times */
        "mul     r9, r4, r4\n"
        "movs    r5, #1\n"
        "mov     r12, #0\n"
        "vidup.u32 q4, r12, #8\n"
        "vshl.i32 q4, q4, #1\n"            /* 0, 16, 32, 48: a row's words of four blocks */
        "1: mov  r6, r8\n"
        "cmp     r6, #4\n"
        "it      hi\n"
        "movhi   r6, #4\n"
        "vldrw.u32 q7, [sp]\n"
        "add     r4, sp, #16\n"
        "dls     lr, r6\n"
        "2: vshr.u32 q6, q7, #16\n"
        "vstrh.32 q6, [r4], #8\n"
        "vmov.32 r3, q7[3]\n"
        "vmul.i32 q7, q7, r9\n"
        "vadd.i32 q7, q7, r10\n"
        "le      lr, 2b\n"
        "vstrw.32 q7, [sp]\n"
        "ldr     r4, [sp, #112]\n"
        "str     r3, [r4, #12]\n"          /* the state that the last column drew */
        "vldrb.u8 q6, [r7], #16\n"
        "vmladav.s8 r4, q6, q6\n"
        "cmp     r4, #0\n"
        "beq     6f\n"
        "vmovlb.s8 q0, q6\n"
        "vmovlt.s8 q1, q6\n"
        "add     r4, sp, #16\n"
        "vld20.16 {q2, q3}, [r4]\n"
        "vld21.16 {q2, q3}, [r4]\n"
        "vmvn    q2, q2\n"
        "vmvn    q3, q3\n"
        "mov     r1, r2\n"
        "dls     lr, r11\n"
        "cmp     r6, #4\n"
        "bne     4f\n"
        "3:\n" SPELA_STEPS
        "vldrw.u32 q7, [r3, q4]\n"
        "vqadd.s8 q7, q7, q6\n"
        "vstrw.32 q7, [r3, q4]\n"
        "le      lr, 3b\n"
        "b       6f\n"
        "4:\n" SPELA_STEPS                 /* the last columns, fewer than sixteen */
        "vctp.32 r6\n"
        "vpsttt\n"
        "vldrwt.u32 q7, [r3, q4]\n"
        "vqaddt.s8 q7, q7, q6\n"
        "vstrwt.32 q7, [r3, q4]\n"
        "le      lr, 4b\n"
        "6: adds r0, #64\n"
        "subs    r8, #4\n"
        "bhi     1b\n"
        "vldrw.u32 q4, [sp, #48]\n"
        "vldrw.u32 q5, [sp, #64]\n"
        "vldrw.u32 q6, [sp, #80]\n"
        "vldrw.u32 q7, [sp, #96]\n"
        "add     sp, #112\n"
        "pop     {r2, r4-r11, pc}\n");
}

/* clang-format on */

#endif /* SPELA_MVE_KERNELS */
