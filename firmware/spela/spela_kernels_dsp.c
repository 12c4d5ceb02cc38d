/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The int8 kernels for cores with the DSP extension (Cortex-M4, M7, M33).
 *
 * They are assembly because compilers spill registers and do not fold the rotation into SXTB16: 1.2
 * instructions a multiply-accumulate instead of 2. They are whole functions, so that every
 * compiler at every optimisation level runs the same instructions.
 *
 * Four weights of a row are one word. SXTB16 widens its bytes 0 and 2, and with a rotation by 8
 * its bytes 1 and 3; inputs are kept in the same pairs.
 */
#include "spela_kernels.h"

#ifdef SPELA_DSP_KERNELS

/* Byte lanes of a word. */
static inline uint32_t even_bytes(uint32_t word) {
    uint32_t halves;
    __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(word));
    return halves;
}

static inline uint32_t odd_bytes(uint32_t word) {
    uint32_t halves;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(word));
    return halves;
}

void spela_widen(const int8_t *inputs, uint32_t count, int16_t *wide) {
    uint32_t *pairs = (uint32_t *)(void *)wide;
    for (; count >= 4U; count -= 4U) {
        uint32_t word;
        __builtin_memcpy(&word, inputs, 4U); /* one load, where the core need not align it */
        pairs[0] = even_bytes(word);
        pairs[1] = odd_bytes(word);
        inputs += 4;
        pairs += 2;
    }
    if (count > 0U) {
        uint32_t word = 0U;
        while (count > 0U) {
            count--;
            word = word << 8 | (uint8_t)inputs[count];
        }
        pairs[0] = even_bytes(word);
        pairs[1] = odd_bytes(word);
    }
}

void spela_keep(const int16_t *wide, uint32_t columns, uint32_t stride, int8_t *kept) {
    const uint32_t *pairs = (const uint32_t *)(const void *)wide;
    for (; columns > 0U; columns -= 4U) {
        const uint32_t even = pairs[0] & UINT32_C(0x00FF00FF);
        *(uint32_t *)(void *)kept = even | (pairs[1] & UINT32_C(0x00FF00FF)) << 8;
        pairs += 2;
        kept += 4U * stride;
    }
}

/* clang-format off */

/* Sixteen multiply-accumulates: 4 rows by 4 columns, 18 instructions.
 * r0 weights, r1 wide inputs; sums r2, r3, r10, r11; r4-r9, r12 scratch. */
#define SPELA_BLOCK                         \
    "ldmia   r0!, {r4-r7}\n"                \
    "ldrd    r8, r9, [r1], #8\n"            \
    "sxtb16  r12, r4\n"                     \
    "sxtb16  r4, r4, ror #8\n"              \
    "smlad   r2, r12, r8, r2\n"             \
    "sxtb16  r12, r5\n"                     \
    "smlad   r2, r4, r9, r2\n"              \
    "sxtb16  r5, r5, ror #8\n"              \
    "smlad   r3, r12, r8, r3\n"             \
    "sxtb16  r12, r6\n"                     \
    "smlad   r3, r5, r9, r3\n"              \
    "sxtb16  r6, r6, ror #8\n"              \
    "smlad   r10, r12, r8, r10\n"           \
    "sxtb16  r12, r7\n"                     \
    "smlad   r10, r6, r9, r10\n"            \
    "sxtb16  r7, r7, ror #8\n"              \
    "smlad   r11, r12, r8, r11\n"           \
    "smlad   r11, r7, r9, r11\n"

/* A turn of the inner loop: four blocks of columns, or two when optimising for size, which costs
 * 3 % more instructions. The first turn is entered part-way: it does the blocks left over when
 * their number is divided by those of a turn. */
#ifdef __OPTIMIZE_SIZE__
#define SPELA_TURN_BITS "1"
#define SPELA_TURN                          \
    "3: .byte (4f - 3b) / 2, (5f - 3b) / 2\n" \
    "4:\n" SPELA_BLOCK                      \
    "5:\n" SPELA_BLOCK
#else
#define SPELA_TURN_BITS "2"
#define SPELA_TURN                          \
    "3: .byte (4f - 3b) / 2, (7f - 3b) / 2, (6f - 3b) / 2, (5f - 3b) / 2\n" \
    "4:\n" SPELA_BLOCK                      \
    "5:\n" SPELA_BLOCK                      \
    "6:\n" SPELA_BLOCK                      \
    "7:\n" SPELA_BLOCK
#endif

/* Four rows at a time. */
__attribute__((naked)) void spela_dense_int8(SPELA_ARGUMENT const int8_t *weights,
                                             SPELA_ARGUMENT const int16_t *wide,
                                             SPELA_ARGUMENT const spela_shape_t *shape,
                                             SPELA_ARGUMENT int32_t *sums) {
    /* sp: wide, blocks left over, sums, their end */
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "ldrd    r4, r2, [r2]\n"           /* rows, columns */
        "add     lr, r1, r2, lsl #1\n"
        "ubfx    r2, r2, #2, #" SPELA_TURN_BITS "\n"
        "add     r4, r3, r4, lsl #2\n"
        "push    {r1-r4}\n"
        "1: ldrd r1, r12, [sp]\n"
        "movs    r2, #0\n"
        "movs    r3, #0\n"
        "mov     r10, #0\n"
        "mov     r11, #0\n"
        "2: tbb  [pc, r12]\n" SPELA_TURN
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

/* One row of a block: 11 instructions for 4 weights. r0 block, r1 updates, r4 inputs 0 and 2,
 * r5 inputs 1 and 3 times 2^8, r6-r9 dither in the order 0, 1, 2, 3, that of 1 and 3 times 2^8.
 * Then step 0 lies in byte 2 of multiplier * input + dither, step 1 in byte 3, and so on; a step
 * is within +-2^6. SEL takes byte 2 from its first operand, byte 3 from its second. */
#define SPELA_ROW                           \
    "ldrd    r10, r11, [r1], #8\n"          \
    "smlabb  r12, r11, r4, r6\n"            \
    "smlabb  r3, r11, r5, r7\n"             \
    "smlabt  lr, r11, r4, r8\n"             \
    "smlabt  r11, r11, r5, r9\n"            \
    "sel     r12, r12, r3\n"                \
    "sel     lr, lr, r11\n"                 \
    "ldr     r3, [r0, r10]\n"               \
    "pkhtb   lr, lr, r12, asr #16\n"        \
    "qadd8   r3, r3, lr\n"                  \
    "str     r3, [r0, r10]\n"

/* Block by block of columns; blocks whose inputs are all zero only have their numbers drawn. */
__attribute__((naked)) void spela_update_int8(SPELA_ARGUMENT int8_t *weights,
                                              SPELA_ARGUMENT const spela_shape_t *shape,
                                              SPELA_ARGUMENT spela_update_t *update) {
    /* sp: rows, wide, its end, state, multiplier, increment, update */
    __asm__ volatile(
        "push    {r2, r4-r11, lr}\n"
        "mov     r4, #0x00ff00ff\n"
        "mov     r5, #0x01010101\n"
        "usub8   r4, r4, r5\n"             /* GE = 0101, and nothing below sets it again */
        "ldr     r5, [r1, #4]\n"           /* columns */
        "ldmia   r2, {r4, r9-r12, lr}\n"   /* wide, rows, rows_end, state, multiplier, increment */
        "mov     r2, r10\n"
        "add     r10, r4, r5, lsl #1\n"
        "mov     r3, r9\n"
        "mov     r9, r4\n"
        "push    {r3, r9-r12, lr}\n"
        "1: ldrd r1, r5, [sp, #4]\n"
        "ldrd    r12, r10, [sp, #12]\n"
        "ldr     r11, [sp, #20]\n"
        "mla     r6, r12, r10, r11\n"
        "mla     r7, r6, r10, r11\n"
        "mla     r8, r7, r10, r11\n"
        "mla     r9, r8, r10, r11\n"
        "ldrd    r4, r5, [r1], #8\n"
        "str     r1, [sp, #4]\n"
        "str     r9, [sp, #12]\n"
        "orrs    r3, r4, r5\n"
        "beq     3f\n"
        "lsl     r5, r5, #8\n"
        "bic     r5, r5, #0x00ff0000\n"
        "lsr     r6, r6, #16\n"
        "lsr     r7, r7, #8\n"             /* what lies below the dither cannot carry into a step */
        "lsr     r8, r8, #16\n"
        "lsr     r9, r9, #8\n"
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

/* clang-format on */

#endif /* SPELA_DSP_KERNELS */
