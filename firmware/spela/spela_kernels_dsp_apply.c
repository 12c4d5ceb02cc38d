/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Several updates as one, int8 weights, on cores with the DSP extension.
 *
 * A unit is active for about half of the samples, so half of a row's multipliers are zero. What is
 * left is taken in pairs: SMLAD multiplies two of a row's multipliers by the inputs of the same two
 * updates. Updates are taken in fours, since any two of four are one of six pairs, and all six are
 * laid out for each block of columns (SPELA_FOUR): whichever are active, a row needs half as many
 * terms as it has multipliers, rounded up.
 *
 * So each row has a list of terms, made once, that holds for all blocks: the pair's place, and its
 * two multipliers. The list lies in the scratch, of as many rows at a time as fit.
 */
#include "spela_kernels.h"

#ifdef SPELA_DSP_KERNELS

#define SPELA_ARGUMENT __attribute__((unused)) /* as in spela_kernels_dsp.c */

/* A list holds for each row its terms (multipliers, address of the pair), then {the row's offset,
 * where the next row's terms are added up}. That is one of these entries of the code: a number of
 * terms up to SPELA_TERMS_MAX, or: */
#define SPELA_ENTRY_END  0U                     /* there is no other row */
#define SPELA_ENTRY_MORE (SPELA_TERMS_MAX + 1U) /* four terms, then the next entry */
#define SPELA_ENTRY_LARGE                                                                          \
    (SPELA_TERMS_MAX + 2U) /* where the terms end, then they; steps of 16 bits */
#define SPELA_ROW_BYTES 8U

/* While this holds of a row's sum of |multiplier|, its sums lie within 2^23 - 1 with the dither,
 * and its steps fit 8 bits: 128 * 65024 + 65535 = 2^23 - 1. */
#define SPELA_SMALL 65024U

#ifdef __OPTIMIZE_SIZE__
#define SPELA_TERMS_MAX 4U
#else
#define SPELA_TERMS_MAX 8U
#endif

/** Rows whose lists are in the scratch, and what they are applied to. The code below reads it. */
typedef struct {
    uint32_t columns;     /**< left */
    const int8_t *inputs; /**< of the block in hand */
    uint32_t input_bytes; /**< of a block */
    uint32_t *pairs; /**< here six pairs of each four updates are laid out, or one of a last two */
    uint32_t *pairs_end; /**< of the fours */
    const uint32_t *list;
    uint32_t entry; /**< of the first row */
    uint32_t has_two;
    uint32_t state;
    uint32_t multiplier;
    uint32_t increment;
} spela_tile_t;

/** Distances to the entries from here backwards, in bytes. */
extern const uint16_t spela_tile_entries[SPELA_TERMS_MAX + 3U];

void spela_apply_tile_int8(int8_t *weights, spela_tile_t *tile);

static uint32_t entry(uint32_t index) {
    return (uint32_t)(uintptr_t)spela_tile_entries - spela_tile_entries[index];
}

static uint32_t magnitudes(uint32_t two) {
    const int32_t low = (int16_t)two;
    const int32_t high = (int32_t)two >> 16;
    return (uint32_t)(low < 0 ? -low : low) + (uint32_t)(high < 0 ? -high : high);
}

/** A term: two updates' multipliers, and which of the pairs laid out has their inputs. */
static uint32_t *put_term(uint32_t *list, uint32_t multipliers, const uint32_t *pair) {
    list[0] = multipliers;
    list[1] = (uint32_t)(uintptr_t)pair;
    return list + 2;
}

/** The terms of a row of so many updates, from `list` on; returns their end. */
static uint32_t *put_terms(const int16_t *multipliers, uint32_t count, const uint32_t *pairs,
                           uint32_t *list, uint32_t *magnitude) {
    const uint32_t *twos = (const uint32_t *)(const void *)multipliers;
    for (; count > 2U; count = count > 4U ? count - 4U : 0U) {
        const uint32_t a = twos[0]; /* of the updates 0 and 1 */
        const uint32_t b = twos[1]; /* of 2 and 3 */
        twos += 2;
        if ((a | b) != 0U) {
            const uint32_t has_0 = (a & 0xFFFFU) != 0U;
            const uint32_t has_1 = a >> 16 != 0U;
            const uint32_t has_2 = (b & 0xFFFFU) != 0U;
            const uint32_t has_3 = b >> 16 != 0U;
            *magnitude += magnitudes(a) + magnitudes(b);
            if (has_0 + has_1 == 1U && has_2 + has_3 == 1U) {
                /* pairs 2 to 5: 0 and 2, 1 and 2, 0 and 3, 1 and 3 */
                const uint32_t low = has_0 != 0U ? a & 0xFFFFU : a >> 16;
                const uint32_t high = has_2 != 0U ? b << 16 : b & ~UINT32_C(0xFFFF);
                list = put_term(list, low | high, pairs + 4U * (2U + has_1 + 2U * has_3));
            } else {
                if (a != 0U) {
                    list = put_term(list, a, pairs);
                }
                if (b != 0U) {
                    list = put_term(list, b, pairs + 4);
                }
            }
        }
        pairs += 24;
    }
    if (count != 0U && twos[0] != 0U) {
        *magnitude += magnitudes(twos[0]);
        list = put_term(list, twos[0], pairs);
    }
    return list;
}

/** Puts entries into a row's list where one is not enough; moves the end, and returns the first. */
static uint32_t divide_terms(uint32_t *list, uint32_t **end, bool is_large) {
    const uint32_t words = (uint32_t)(*end - list);
    if (is_large) {
        for (uint32_t i = words; i > 0U; i--) {
            list[i] = list[i - 1U];
        }
        *end += 1;
        list[0] = (uint32_t)(uintptr_t)*end;
        return SPELA_ENTRY_LARGE;
    }
    /* fours, until no more are left than the longest entry takes */
    const uint32_t terms = words / 2U;
    const uint32_t fours = terms > SPELA_TERMS_MAX ? (terms - SPELA_TERMS_MAX + 3U) / 4U : 0U;
    if (fours == 0U) {
        return terms;
    }
    for (uint32_t i = words; i > 0U; i--) {
        const uint32_t four = (i - 1U) / 8U;
        list[i - 1U + (four < fours ? four : fours)] = list[i - 1U];
    }
    for (uint32_t four = 1U; four <= fours; four++) {
        list[9U * four - 1U] = entry(four < fours ? SPELA_ENTRY_MORE : terms - 4U * fours);
    }
    *end += fours;
    return SPELA_ENTRY_MORE;
}

/** Lists rows from `row` on, as many as there is room for; returns the first that is not listed. */
static uint32_t list_tile(const spela_shape_t *shape, const spela_batch_t *batch, uint32_t row,
                          spela_tile_t *tile) {
    const uint32_t fours = (batch->count + 1U) / 4U; /* three are four with a zero */
    const uint32_t words_of_row = 5U * ((batch->count + 3U) / 4U) + 3U;
    const uint32_t *const scratch_end = batch->scratch + batch->scratch_bytes / 4U;
    tile->pairs = batch->scratch;
    tile->pairs_end = tile->pairs + 24U * fours;
    tile->has_two = batch->count % 4U == 1U || batch->count % 4U == 2U;
    uint32_t *list = tile->pairs_end + 4U * tile->has_two;
    uint32_t *previous = &tile->entry;
    tile->list = list;
    const int16_t *multipliers = batch->multipliers + row * batch->stride;
    while (row < shape->rows && scratch_end - list >= (int32_t)words_of_row) {
        uint32_t magnitude = 0U;
        uint32_t *end = put_terms(multipliers, batch->count, tile->pairs, list, &magnitude);
        if (end != list) {
            *previous = entry(divide_terms(list, &end, magnitude > SPELA_SMALL));
            end[0] = spela_row_offset(row, shape->columns);
            previous = end + 1;
            list = end + 2;
        }
        multipliers += batch->stride;
        row++;
    }
    *previous = entry(SPELA_ENTRY_END);
    return row;
}

void spela_apply_int8(int8_t *weights, const spela_shape_t *shape, spela_batch_t *batch) {
    uint32_t row = 0U;
    uint32_t state;
    do {
        spela_tile_t tile;
        row = list_tile(shape, batch, row, &tile);
        tile.columns = shape->columns;
        tile.inputs = batch->inputs;
        tile.input_bytes = 4U * batch->stride;
        tile.state = batch->state; /* all rows share the dither */
        tile.multiplier = batch->multiplier;
        tile.increment = batch->increment;
        spela_apply_tile_int8(weights, &tile);
        state = tile.state;
    } while (row < shape->rows);
    batch->state = state;
}

/* clang-format off */

/* Inputs of two updates side by side, a word a column, those of columns 1 and 3 times 2^8. r4-r7
 * columns 0 and 2 of four updates, r8-r11 columns 1 and 3; r0-r3 scratch. */
#define SPELA_PAIR(even_a, odd_a, even_b, odd_b)                \
    "pkhbt   r0, " even_a ", " even_b ", lsl #16\n"             \
    "pkhbt   r1, " odd_a ", " odd_b ", lsl #16\n"               \
    "pkhtb   r2, " even_b ", " even_a ", asr #16\n"             \
    "pkhtb   r3, " odd_b ", " odd_a ", asr #16\n"               \
    "stmia   r12!, {r0-r3}\n"
#define SPELA_EVEN_ODD(even, odd)                               \
    "bic     " odd ", " even ", #0x00ff00ff\n"                  \
    "sxtb16  " even ", " even "\n"
#define SPELA_FOUR                                              \
    SPELA_EVEN_ODD("r4", "r8") SPELA_EVEN_ODD("r5", "r9")       \
    SPELA_EVEN_ODD("r6", "r10") SPELA_EVEN_ODD("r7", "r11")     \
    SPELA_PAIR("r4", "r8", "r5", "r9")                          \
    SPELA_PAIR("r6", "r10", "r7", "r11")                        \
    SPELA_PAIR("r4", "r8", "r6", "r10")                         \
    SPELA_PAIR("r5", "r9", "r6", "r10")                         \
    SPELA_PAIR("r4", "r8", "r7", "r11")                         \
    SPELA_PAIR("r5", "r9", "r7", "r11")

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

/* The end of a row, and where the next begins: 9 instructions for 4 weights. Steps lie in byte 2 of
 * r4 and r6, in byte 3 of r5 and r7: SEL takes byte 2 from its first operand, byte 3 from its
 * second. */
#define SPELA_NEXT                                              \
    "ldmia   sp, {r4-r7}\n"                                     \
    "mov     pc, r12\n"
#define SPELA_ROW                                               \
    "ldrd    r3, r12, [r1], #8\n"                               \
    "sel     r4, r4, r5\n"                                      \
    "sel     r6, r6, r7\n"                                      \
    "ldr     r2, [r0, r3]\n"                                    \
    "pkhtb   r6, r6, r4, asr #16\n"                             \
    "qadd8   r2, r2, r6\n"                                      \
    "str     r2, [r0, r3]\n"                                    \
    SPELA_NEXT

/* Numbers of terms are entered part-way: even ones in one chain, odd ones in another. */
#ifdef __OPTIMIZE_SIZE__
#define SPELA_EVEN_CHAIN "14:" SPELA_TWO_TERMS "12:" SPELA_TWO_TERMS SPELA_ROW
#define SPELA_ODD_CHAIN "13:" SPELA_TWO_TERMS "11:" SPELA_TERM SPELA_ROW
#define SPELA_ENTRIES ".short 0b - 9b, 0b - 11b, 0b - 12b, 0b - 13b, 0b - 14b\n"
#else
#define SPELA_EVEN_CHAIN                                        \
    "18:" SPELA_TWO_TERMS "16:" SPELA_TWO_TERMS                 \
    "14:" SPELA_TWO_TERMS "12:" SPELA_TWO_TERMS SPELA_ROW
#define SPELA_ODD_CHAIN                                         \
    "17:" SPELA_TWO_TERMS "15:" SPELA_TWO_TERMS                 \
    "13:" SPELA_TWO_TERMS "11:" SPELA_TERM SPELA_ROW
#define SPELA_ENTRIES                                           \
    ".short 0b - 9b, 0b - 11b, 0b - 12b, 0b - 13b, 0b - 14b\n"  \
    ".short 0b - 15b, 0b - 16b, 0b - 17b, 0b - 18b\n"
#endif

/* Block by block of columns. */
__attribute__((naked)) void spela_apply_tile_int8(SPELA_ARGUMENT int8_t *weights,
                                                  SPELA_ARGUMENT spela_tile_t *tile) {
    /* sp: dither of the block, tile, weights, whether any input is not zero. In several statements,
     * since a string has an end in C. */
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "sub     sp, #28\n"
        "mov     r4, #0x00ff00ff\n"
        "mov     r5, #0x01010101\n"
        "usub8   r4, r4, r5\n"             /* GE = 0101, and nothing below sets it again */
        "strd    r1, r0, [sp, #16]\n"
        "1: ldr  r3, [r1, #32]\n"          /* state, multiplier, increment */
        "ldrd    r8, r9, [r1, #36]\n"
        "mla     r4, r3, r8, r9\n"
        "mla     r5, r4, r8, r9\n"
        "mla     r6, r5, r8, r9\n"
        "mla     r7, r6, r8, r9\n"
        "str     r7, [r1, #32]\n"
        "lsr     r4, r4, #16\n"
        "lsr     r5, r5, #8\n"             /* what lies below the dither cannot carry into a step */
        "lsr     r6, r6, #16\n"
        "lsr     r7, r7, #8\n"
        "stmia   sp, {r4-r7}\n"
        "ldrd    lr, r2, [r1, #4]\n"       /* inputs, and their bytes */
        "add     r2, r2, lr\n"
        "str     r2, [r1, #4]\n"
        "ldrd    r12, r2, [r1, #12]\n"     /* pairs, and their end */
        "movs    r3, #0\n"
        "cmp     r12, r2\n"
        "beq     3f\n"
        "2: ldmia lr!, {r4-r7}\n"           /* four inputs of an update in each */
        "orr     r0, r4, r5\n"
        "orr     r1, r6, r7\n"
        "orr     r0, r0, r1\n"
        "orr     r3, r3, r0\n"
        "str     r3, [sp, #24]\n"
        SPELA_FOUR
        "ldr     r1, [sp, #16]\n"
        "ldr     r3, [sp, #24]\n"
        "ldr     r2, [r1, #16]\n"
        "cmp     r12, r2\n"
        "bne     2b\n"
        "3: ldr  r2, [r1, #28]\n"
        "cbz     r2, 4f\n"
        "ldrd    r4, r5, [lr]\n"           /* the last two updates */
        "orr     r3, r3, r4\n"
        "orr     r3, r3, r5\n"
        "str     r3, [sp, #24]\n"
        SPELA_EVEN_ODD("r4", "r8")
        SPELA_EVEN_ODD("r5", "r9")
        SPELA_PAIR("r4", "r8", "r5", "r9")
        "ldr     r1, [sp, #16]\n"
        "ldr     r3, [sp, #24]\n"
        "4: cmp  r3, #0\n"
        "beq     9f\n"
        "ldr     r0, [sp, #20]\n"
        "ldrd    r1, r12, [r1, #20]\n"     /* list, and the first entry */
        SPELA_NEXT
        );
    __asm__ volatile(
        "5:" SPELA_TWO_TERMS SPELA_TWO_TERMS
        "ldr     r12, [r1], #4\n"
        "mov     pc, r12\n"
        SPELA_EVEN_CHAIN);
    __asm__ volatile(SPELA_ODD_CHAIN
        /* steps of columns 0 and 2, of 1 and 3; |step| <= 2^12 */
        "6: ldr  lr, [r1], #4\n"
        "lsr     r5, r5, #8\n"
        "lsr     r7, r7, #8\n"
        "7: ldrd r2, r3, [r1], #8\n"
        "ldmia   r3, {r8-r11}\n"
        "sxtb16  r9, r9, ror #8\n"         /* times 1 */
        "sxtb16  r11, r11, ror #8\n"
        "smlad   r4, r8, r2, r4\n"
        "smlad   r5, r9, r2, r5\n"
        "smlad   r6, r10, r2, r6\n"
        "smlad   r7, r11, r2, r7\n"
        "cmp     r1, lr\n"
        "bne     7b\n"
        "ldrd    r3, r12, [r1], #8\n"
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
        "9: ldrd r1, r0, [sp, #16]\n"
        "adds    r0, #16\n"
        "str     r0, [sp, #20]\n"
        "ldr     r3, [r1]\n"
        "subs    r3, #4\n"
        "str     r3, [r1]\n"
        "bne     1b\n"
        "add     sp, #28\n"
        "pop     {r4-r11, pc}\n"
        ".global spela_tile_entries\n"
        "spela_tile_entries: 0:\n"
        SPELA_ENTRIES
        ".short 0b - 5b, 0b - 6b\n");
}

/* clang-format on */

#endif /* SPELA_DSP_KERNELS */
