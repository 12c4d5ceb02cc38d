/**
 * The int8 kernels for cores with the DSP extension (Cortex-M4, M7, M33).
 *
 * The loops are assembly because compilers do not fold the rotation into SXTB16 and spill: 1.2
 * instructions a multiply-accumulate instead of 2. They are whole functions, so that every
 * compiler at every optimisation level runs the same instructions.
 *
 * Four weights of a row are one word. SXTB16 widens its bytes 0 and 2, and with a rotation by 8
 * its bytes 1 and 3; inputs are kept in the same pairs.
 */
#include "spela_kernels.h"

#ifdef SPELA_DSP_KERNELS

#include "spela_arithmetic.h"

/* Registers hold the arguments: the compiler must neither warn that C does not name them, nor,
 * as it might for static functions, drop them. */
#define SPELA_ARGUMENT __attribute__((unused))

/** Three rows of pointers and two of sums: what the loops over rows need beside the weights. */
/* cppcheck-suppress-begin unusedStructMember ; assembly reads them */
typedef struct {
    const int16_t *wide;
    const int16_t *odd; /**< the first (blocks % 4) blocks of columns end here */
    const int16_t *end;
    int32_t *sums;
    const int32_t *sums_end;
} spela_dense_job_t;
/* cppcheck-suppress-end unusedStructMember */

void spela_dsp_widen(const int8_t *inputs, int16_t *wide, uint32_t columns);
void spela_dsp_dense(const int8_t *weights, const spela_dense_job_t *job);
void spela_dsp_update(int8_t *weights, const spela_row_update_t *updates,
                      const spela_row_update_t *end, const uint32_t *columns);

/* clang-format off */

/** wide[2k], wide[2k+1] = inputs (4k, 4k+2), (4k+1, 4k+3). columns > 0. */
__attribute__((naked)) void spela_dsp_widen(SPELA_ARGUMENT const int8_t *inputs,
                                            SPELA_ARGUMENT int16_t *wide,
                                            SPELA_ARGUMENT uint32_t columns) {
    __asm__ volatile(
        "1: ldr     r3, [r0], #4\n"
        "sxtb16  r12, r3\n"
        "sxtb16  r3, r3, ror #8\n"
        "strd    r12, r3, [r1], #8\n"
        "subs    r2, #4\n"
        "bne     1b\n"
        "bx      lr\n");
}

/* Sixteen multiply-accumulates: 4 rows by 4 columns, 18 instructions.
 * r0 weights, r1 wide inputs; sums r2, r3, r10, r11; r4-r9, r12 scratch. */
#define SPELA_BLOCK                         \
    "ldmia   r0!, {r4-r7}\n" \
    "ldrd    r8, r9, [r1], #8\n" \
    "sxtb16  r12, r4\n" \
    "sxtb16  r4, r4, ror #8\n" \
    "smlad   r2, r12, r8, r2\n" \
    "sxtb16  r12, r5\n" \
    "smlad   r2, r4, r9, r2\n" \
    "sxtb16  r5, r5, ror #8\n" \
    "smlad   r3, r12, r8, r3\n" \
    "sxtb16  r12, r6\n" \
    "smlad   r3, r5, r9, r3\n" \
    "sxtb16  r6, r6, ror #8\n" \
    "smlad   r10, r12, r8, r10\n" \
    "sxtb16  r12, r7\n" \
    "smlad   r10, r6, r9, r10\n" \
    "sxtb16  r7, r7, ror #8\n" \
    "smlad   r11, r12, r8, r11\n" \
    "smlad   r11, r7, r9, r11\n"

/** All rows of a matrix, four at a time. */
__attribute__((naked)) void spela_dsp_dense(SPELA_ARGUMENT const int8_t *weights,
                                            SPELA_ARGUMENT const spela_dense_job_t *job) {
    /* sp: a copy of the job */
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "ldm     r1, {r2-r6}\n"
        "push    {r2-r6}\n"
        "1: ldrd    r1, lr, [sp]\n" /* wide, odd */
        "movs    r2, #0\n"
        "movs    r3, #0\n"
        "mov     r10, #0\n"
        "mov     r11, #0\n"
        "cmp     r1, lr\n"
        "beq     3f\n"
        "2:\n"
        SPELA_BLOCK
        "cmp     r1, lr\n"
        "bne     2b\n"
        "3: ldr     lr, [sp, #8]\n" /* end */
        "cmp     r1, lr\n"
        "beq     5f\n"
        "4:\n"
        SPELA_BLOCK
        SPELA_BLOCK
        SPELA_BLOCK
        SPELA_BLOCK
        "cmp     r1, lr\n"
        "bne     4b\n"
        "5: ldrd    r8, r9, [sp, #12]\n" /* sums, sums_end */
        "stmia   r8!, {r2, r3, r10, r11}\n"
        "str     r8, [sp, #12]\n"
        "cmp     r8, r9\n"
        "bne     1b\n"
        "add     sp, #20\n"
        "pop     {r4-r11, pc}\n");
}

/** Updates one block of four columns in every row listed. updates < end.
 *  @param columns  [4] dither - 2^15 in the upper half, input in the lower, both int16 */
__attribute__((naked)) void spela_dsp_update(SPELA_ARGUMENT int8_t *weights,
                                             SPELA_ARGUMENT const spela_row_update_t *updates,
                                             SPELA_ARGUMENT const spela_row_update_t *end,
                                             SPELA_ARGUMENT const uint32_t *columns) {
    /* For one row, 17 instructions and 4 weights. SMLAD makes multiplier * input + dither at once:
     * the multiplier's upper half is one (SPELA_UNIT), r8 gives back the dither's 2^15.
     * GE = 0101 has SEL take bytes 0 and 2 from its first operand. */
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "ldm     r3, {r4-r7}\n"
        "mov     r8, #0x00ff00ff\n"
        "mov     r9, #0x01010101\n"
        "usub8   r9, r8, r9\n"
        "mov     r8, #0x8000\n"
        "1: ldrd    r9, r10, [r1], #8\n" /* offset, multiplier */
        "smlad   r11, r4, r10, r8\n"
        "smlad   r12, r6, r10, r8\n"
        "smlad   lr, r7, r10, r8\n"
        "smlad   r10, r5, r10, r8\n"
        "ldr     r3, [r0, r9]\n"
        "pkhtb   r11, r12, r11, asr #16\n" /* steps of columns 2, 0 */
        "pkhtb   r12, lr, r10, asr #16\n" /* steps of columns 3, 1 */
        "sxtab16 r11, r11, r3\n"
        "sxtab16 r12, r12, r3, ror #8\n"
        "ssat16  r11, #8, r11\n"
        "ssat16  r12, #8, r12\n"
        "lsl     r12, r12, #8\n"
        "sel     r11, r11, r12\n"
        "str     r11, [r0, r9]\n"
        "cmp     r1, r2\n"
        "bne     1b\n"
        "pop     {r4-r11, pc}\n");
}

/* clang-format on */

void spela_dense_int8(const int8_t *weights, const int8_t *inputs, spela_shape_t shape,
                      int16_t *scratch, int32_t *sums) {
    spela_dsp_widen(inputs, scratch, shape.columns);
    const spela_dense_job_t job = {scratch, scratch + shape.columns % 16U, scratch + shape.columns,
                                   sums, sums + shape.rows};
    spela_dsp_dense(weights, &job);
}

void spela_update_int8(int8_t *weights, const int8_t *inputs, spela_shape_t shape,
                       const spela_row_update_t *updates, uint32_t count, spela_dither_t *dither) {
    uint32_t state = dither->state;
    for (uint32_t column = 0U; column < shape.columns; column += 4U) {
        uint32_t columns[4];
        uint32_t any = 0U;
        for (uint32_t k = 0U; k < 4U; k++) {
            const int32_t input = inputs[column + k];
            state = state * dither->multiplier + dither->increment;
            any |= (uint32_t)input;
            /* the upper half less 2^15, as int16: its top bit turned */
            columns[k] = ((state ^ UINT32_C(0x80000000)) & UINT32_C(0xFFFF0000)) |
                         ((uint32_t)input & UINT32_C(0xFFFF));
        }
        if (any != 0U && count != 0U) {
            spela_dsp_update(weights + 4U * column, updates, updates + count, columns);
        }
    }
    dither->state = state;
}

#endif /* SPELA_DSP_KERNELS */
