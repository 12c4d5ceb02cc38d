/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Several updates as one, int8 weights, on cores without the DSP extension: ARMv7-M and ARMv6-M.
 *
 * A unit is active for about half of the samples, so half of a row's multipliers are zero. Each row
 * has a list of the others, made once, that holds for all blocks of columns. The lists lie in the
 * scratch, of as many rows at a time as fit.
 */
#include "spela_kernels.h"

#ifdef SPELA_THUMB_KERNELS

void spela_keep(const int16_t *wide, uint32_t columns, uint32_t stride, int8_t *kept) {
    const uint32_t *pairs = (const uint32_t *)(const void *)wide;
    for (; columns > 0U; columns -= 4U) {
        const uint32_t low = (pairs[0] & 0xFFU) | (pairs[0] >> 8 & 0xFF00U);
        const uint32_t high = (pairs[1] & 0xFFU) | (pairs[1] >> 8 & 0xFF00U);
        *(uint32_t *)(void *)kept = low | high << 16;
        pairs += 2;
        kept += 4U * stride;
    }
}

/* A list is a program: addresses of the code below, each followed by what this code takes. Terms
 * are a multiplier and the address of the four inputs that it belongs to. A row is one or two terms
 * that begin it, or none on ARMv7-M; then others by twos, until six or less are left; then its end:
 * these, an even number, and the row's offset in the matrix. */
#define SPELA_ENTRY_BEGIN 0U /* with one term, or two */
#define SPELA_ENTRY_TWO   2U
#define SPELA_ENTRY_ROW   3U /* no terms, two, four, six */
#define SPELA_ENTRY_END   7U /* the end of the list */
#define SPELA_LAST_MAX    6U /* terms */

/** Where the code of the entries is. */
extern const uint32_t spela_apply_entries[SPELA_ENTRY_END + 1U];

/** Lays four inputs of each update out as words; returns zero if all are zero. */
uint32_t spela_lay_inputs(const int8_t *kept, uint32_t count, uint32_t *inputs);

/** Applies a list to a block of columns, with the dither of its four. */
void spela_apply_list_int8(int8_t *block, const uint32_t *list, const uint32_t *dither);

/** Multipliers of a row that are not listed yet, and the inputs that belong to them, in fours. */
typedef struct {
    const int16_t *multipliers;
    const uint32_t *inputs;
} spela_unlisted_t;

/** Lists the next terms, which are those without a zero; returns the end of the list. */
static uint32_t *put_terms(spela_unlisted_t *unlisted, uint32_t terms, uint32_t *list) {
    while (terms > 0U) {
        if (*unlisted->multipliers != 0) {
            list[0] = (uint32_t)*unlisted->multipliers;
            list[1] = (uint32_t)(uintptr_t)unlisted->inputs;
            list += 2;
            terms--;
        }
        unlisted->multipliers++;
        unlisted->inputs += 4;
    }
    return list;
}

/** Lists a row of so many updates, if any has a multiplier; returns the end of the list. */
static uint32_t *list_row(spela_unlisted_t unlisted, uint32_t count, uint32_t offset,
                          uint32_t *list) {
    uint32_t left = 0U;
    for (uint32_t k = 0U; k < count; k++) {
        left += (uint32_t)(unlisted.multipliers[k] != 0);
    }
    if (left == 0U) {
        return list;
    }
#if __ARM_ARCH_ISA_THUMB == 2
    const uint32_t first = left % 2U;
#else
    const uint32_t first = 2U - left % 2U;
#endif
    /* cppcheck-suppress knownConditionTrueFalse ; on ARMv6-M, whose sums begin with a term */
    if (first != 0U) {
        *list = spela_apply_entries[SPELA_ENTRY_BEGIN + first - 1U];
        list = put_terms(&unlisted, first, list + 1);
        left -= first;
    }
    for (; left > SPELA_LAST_MAX; left -= 2U) {
        *list = spela_apply_entries[SPELA_ENTRY_TWO];
        list = put_terms(&unlisted, 2U, list + 1);
    }
    *list = spela_apply_entries[SPELA_ENTRY_ROW + left / 2U];
    list = put_terms(&unlisted, left, list + 1);
    *list = offset;
    return list + 1;
}

void spela_apply_int8(int8_t *weights, const spela_shape_t *shape, spela_batch_t *batch) {
    const uint32_t count = batch->count;
    uint32_t *const inputs = batch->scratch;
    const uint32_t *const scratch_end = batch->scratch + batch->scratch_bytes / 4U;
    uint32_t row = 0U;
    uint32_t state;
    do {
        uint32_t *list = inputs + 4U * count;
        /* a row takes 2 * count + count / 2 + 3 words at most, and the end of the list one */
        for (; row < shape->rows && scratch_end - list > (int32_t)(3U * count + 3U); row++) {
            const spela_unlisted_t all = {batch->multipliers + row * batch->stride, inputs};
            list = list_row(all, count, spela_row_offset(row, shape->columns), list);
        }
        *list = spela_apply_entries[SPELA_ENTRY_END];
        const int8_t *kept = batch->inputs;
        state = batch->state; /* all rows share the dither */
        for (uint32_t column = 0U; column < shape->columns; column += 4U) {
            uint32_t dither[4];
            for (uint32_t i = 0U; i < 4U; i++) {
                state = state * batch->multiplier + batch->increment;
                dither[i] = state >> 16;
            }
            if (spela_lay_inputs(kept, count, inputs) != 0U) {
                spela_apply_list_int8(weights + 4U * column, inputs + 4U * count, dither);
            }
            kept += 4U * batch->stride;
        }
    } while (row < shape->rows);
    batch->state = state;
}

/* clang-format off */

/* The addresses of the code, as the names of the labels say. Bit 0: it is Thumb code. */
#define SPELA_ENTRIES                                           \
    ".balign 4\n"                                               \
    ".global spela_apply_entries\n"                             \
    "spela_apply_entries:\n"                                    \
    ".word 1b + 1, 2b + 1, 3b + 1, 4b + 1, 5b + 1, 6b + 1, 7b + 1, 8b + 1\n"

#if __ARM_ARCH_ISA_THUMB == 2

__attribute__((naked)) uint32_t spela_lay_inputs(SPELA_ARGUMENT const int8_t *kept,
                                                 SPELA_ARGUMENT uint32_t count,
                                                 SPELA_ARGUMENT uint32_t *inputs) {
    __asm__ volatile(
        "push    {r4-r7}\n"
        "movs    r3, #0\n"
        "1: ldr  r12, [r0], #4\n"
        "orr     r3, r3, r12\n"
        "sxtb    r4, r12\n"
        "sbfx    r5, r12, #8, #8\n"
        "sbfx    r6, r12, #16, #8\n"
        "asr     r7, r12, #24\n"
        "stmia   r2!, {r4-r7}\n"
        "subs    r1, #1\n"
        "bne     1b\n"
        "mov     r0, r3\n"
        "pop     {r4-r7}\n"
        "bx      lr\n");
}

/* Terms: 6 instructions for 4 multiply-accumulates, 11 for 8. r1 list, sums r4-r7; r2, r3, r8-r12,
 * lr scratch. */
#define SPELA_PRODUCTS(multiplier, inputs)                      \
    "ldmia   " inputs ", {r8-r11}\n"                            \
    "mla     r4, r8, " multiplier ", r4\n"                      \
    "mla     r5, r9, " multiplier ", r5\n"                      \
    "mla     r6, r10, " multiplier ", r6\n"                     \
    "mla     r7, r11, " multiplier ", r7\n"
#define SPELA_TWO_TERMS                                         \
    "ldmia   r1!, {r2, r3, r12, lr}\n"                          \
    SPELA_PRODUCTS("r2", "r3")                                  \
    SPELA_PRODUCTS("r12", "lr")
#define SPELA_NEXT                                              \
    "ldr     pc, [r1], #4\n"

/* Sums start from the dither. At the end of a row the weights are added, with 16 fraction bits:
 * |sum| < 2^28 + 2^23 + 2^16; 18 instructions for 4 weights. r0 block, sp dither. */
__attribute__((naked)) void spela_apply_list_int8(SPELA_ARGUMENT int8_t *block,
                                                  SPELA_ARGUMENT const uint32_t *list,
                                                  SPELA_ARGUMENT const uint32_t *dither) {
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "sub     sp, #20\n"
        "ldmia   r2, {r4-r7}\n"
        "stmia   sp, {r4-r7}\n"
        SPELA_NEXT
        "1: ldrd r2, r3, [r1], #8\n"
        SPELA_PRODUCTS("r2", "r3")
        SPELA_NEXT
        "2:\n"
        "3:\n" SPELA_TWO_TERMS
        SPELA_NEXT
        "7:\n" SPELA_TWO_TERMS
        "6:\n" SPELA_TWO_TERMS
        "5:\n" SPELA_TWO_TERMS
        "4: ldr  r3, [r1], #4\n"
        "add     r3, r3, r0\n"
        "ldrsb   r8, [r3]\n"
        "ldrsb   r9, [r3, #1]\n"
        "ldrsb   r10, [r3, #2]\n"
        "ldrsb   r11, [r3, #3]\n"
        "add     r4, r4, r8, lsl #16\n"
        "add     r5, r5, r9, lsl #16\n"
        "add     r6, r6, r10, lsl #16\n"
        "add     r7, r7, r11, lsl #16\n"
        "ssat    r4, #8, r4, asr #16\n"
        "ssat    r5, #8, r5, asr #16\n"
        "ssat    r6, #8, r6, asr #16\n"
        "ssat    r7, #8, r7, asr #16\n"
        "strb    r4, [r3]\n"
        "strb    r5, [r3, #1]\n"
        "strb    r6, [r3, #2]\n"
        "strb    r7, [r3, #3]\n"
        "ldmia   sp, {r4-r7}\n"
        SPELA_NEXT
        "8: add  sp, #20\n"
        "pop     {r4-r11, pc}\n"
        SPELA_ENTRIES);
}

#else /* ARMv6-M */

__attribute__((naked)) uint32_t spela_lay_inputs(SPELA_ARGUMENT const int8_t *kept,
                                                 SPELA_ARGUMENT uint32_t count,
                                                 SPELA_ARGUMENT uint32_t *inputs) {
    __asm__ volatile(
        ".syntax unified\n"
        "push    {r4-r7}\n"
        "movs    r3, #0\n"
        "1: ldmia r0!, {r7}\n"
        "orrs    r3, r3, r7\n"
        "sxtb    r4, r7\n"
        "lsls    r5, r7, #16\n"
        "asrs    r5, r5, #24\n"
        "lsls    r6, r7, #8\n"
        "asrs    r6, r6, #24\n"
        "asrs    r7, r7, #24\n"
        "stmia   r2!, {r4-r7}\n"
        "subs    r1, #1\n"
        "bne     1b\n"
        "movs    r0, r3\n"
        "pop     {r4-r7}\n"
        "bx      lr\n");
}

/* Terms: 10 instructions for 4 multiply-accumulates, 19 for 8. r1 list, sums r8-r11; r0, r2-r7
 * scratch. "add": the products are added to the sums; "mov": they begin them. */
#define SPELA_SUM(how, x0, x1, x2, x3, multiplier)              \
    "muls    " x0 ", " multiplier ", " x0 "\n"                  \
    "muls    " x1 ", " multiplier ", " x1 "\n"                  \
    "muls    " x2 ", " multiplier ", " x2 "\n"                  \
    "muls    " x3 ", " multiplier ", " x3 "\n"                  \
    how "    r8, " x0 "\n"                                      \
    how "    r9, " x1 "\n"                                      \
    how "    r10, " x2 "\n"                                     \
    how "    r11, " x3 "\n"
#define SPELA_TWO_TERMS(how)                                    \
    "ldmia   r1!, {r0, r2, r3, r7}\n"                           \
    "ldmia   r2, {r2, r4, r5, r6}\n"                            \
    SPELA_SUM(how, "r2", "r4", "r5", "r6", "r0")                \
    "ldmia   r7, {r4, r5, r6, r7}\n"                            \
    SPELA_SUM("add", "r4", "r5", "r6", "r7", "r3")
#define SPELA_NEXT                                              \
    "ldmia   r1!, {r7}\n"                                       \
    "mov     pc, r7\n"

/* Both of a register's halves, which are within +-2^13, to 0 .. 255; r5, r6 scratch. */
#define SPELA_CLIP(half, label)                                 \
    "uxtb    r6, " half "\n"                                    \
    "cmp     r6, " half "\n"                                    \
    "beq     " label "f\n"                                      \
    "mvns    " half ", " half "\n"                              \
    "asrs    " half ", " half ", #31\n"                         \
    "uxtb    " half ", " half "\n"                              \
    label ":\n"
#define SPELA_CLIP_HALVES(both)                                 \
    "sxth    r5, " both "\n"                                    \
    "subs    " both ", " both ", r5\n"                          \
    "asrs    " both ", " both ", #16\n"                         \
    SPELA_CLIP("r5", "9")                                       \
    SPELA_CLIP(both, "9")                                       \
    "lsls    " both ", " both ", #16\n"                         \
    "orrs    " both ", " both ", r5\n"

/* At the end of a row its weights plus 128, which are bytes 0 to 255, are taken in halves: two
 * weights and their steps are added at once, and clipped only if one of the four has left its
 * byte. A step is within +-2^12. 33 instructions for 4 weights. */
__attribute__((naked)) void spela_apply_list_int8(SPELA_ARGUMENT int8_t *block,
                                                  SPELA_ARGUMENT const uint32_t *list,
                                                  SPELA_ARGUMENT const uint32_t *dither) {
    /* r12 block; sp: dither, 0x80808080, 0x00ff00ff */
    __asm__ volatile(
        ".syntax unified\n"
        "push    {r4-r7, lr}\n"
        "mov     r4, r8\n"
        "mov     r5, r9\n"
        "mov     r6, r10\n"
        "mov     r7, r11\n"
        "push    {r4-r7}\n"
        "sub     sp, #28\n"
        "mov     r12, r0\n"
        "ldmia   r2!, {r4-r7}\n"
        "mov     r3, sp\n"
        "stmia   r3!, {r4-r7}\n"
        "movs    r4, #128\n"
        "lsls    r5, r4, #8\n"
        "orrs    r4, r4, r5\n"
        "lsls    r5, r4, #16\n"
        "orrs    r4, r4, r5\n"
        "movs    r5, #255\n"
        "lsls    r6, r5, #16\n"
        "orrs    r5, r5, r6\n"
        "stmia   r3!, {r4, r5}\n"
        SPELA_NEXT
        "1: ldmia r1!, {r0, r2}\n"
        "ldmia   r2, {r2, r4, r5, r6}\n"
        SPELA_SUM("mov", "r2", "r4", "r5", "r6", "r0")
        SPELA_NEXT
        "2:\n" SPELA_TWO_TERMS("mov")
        SPELA_NEXT
        "3:\n" SPELA_TWO_TERMS("add")
        SPELA_NEXT);
    __asm__ volatile(
        "7:\n" SPELA_TWO_TERMS("add")
        "6:\n" SPELA_TWO_TERMS("add")
        "5:\n" SPELA_TWO_TERMS("add")
        "4: mov  r7, sp\n"
        "ldmia   r7!, {r3-r6}\n"
        "add     r3, r8\n"
        "add     r4, r9\n"
        "add     r5, r10\n"
        "add     r6, r11\n"
        "asrs    r3, r3, #16\n"
        "asrs    r4, r4, #16\n"
        "lsrs    r5, r5, #16\n"
        "lsrs    r6, r6, #16\n"
        "lsls    r5, r5, #16\n"
        "lsls    r6, r6, #16\n"
        "adds    r3, r3, r5\n"             /* steps 0 and 2 */
        "adds    r4, r4, r6\n"             /* 1 and 3 */
        "ldmia   r7, {r6, r7}\n"
        "ldmia   r1!, {r0}\n"
        "add     r0, r12\n"
        "ldr     r5, [r0]\n"
        "eors    r5, r5, r6\n"
        "mov     r2, r5\n"
        "ands    r2, r2, r7\n"
        "adds    r3, r3, r2\n"
        "lsrs    r5, r5, #8\n"
        "ands    r5, r5, r7\n"
        "adds    r4, r4, r5\n"
        "mov     r2, r3\n"
        "orrs    r2, r2, r4\n"
        "bics    r2, r2, r7\n"
        "bne     11f\n"
        "10: lsls r4, r4, #8\n"
        "orrs    r3, r3, r4\n"
        "eors    r3, r3, r6\n"
        "str     r3, [r0]\n"
        SPELA_NEXT
        "11:\n"
        SPELA_CLIP_HALVES("r3")
        SPELA_CLIP_HALVES("r4")
        "ldr     r6, [sp, #16]\n"
        "b       10b\n"
        "8: add  sp, #28\n"
        "pop     {r4-r7}\n"
        "mov     r11, r7\n"
        "mov     r10, r6\n"
        "mov     r9, r5\n"
        "mov     r8, r4\n"
        "pop     {r4-r7, pc}\n"
        SPELA_ENTRIES);
}

#endif

/* clang-format on */

#endif /* SPELA_THUMB_KERNELS */
