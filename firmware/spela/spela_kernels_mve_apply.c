/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Several updates as one, int8 weights, on cores with the vector extension MVE.
 *
 * VMLADAVA adds up eight products: those of one weight for eight updates. Rows without multipliers
 * are left out; the multipliers of the others lie in the scratch as the code below meets them, of
 * as many rows at a time as fit.
 */
#include "spela_kernels.h"

#ifdef SPELA_MVE_KERNELS

/* While this holds of a row's sum of |multiplier|, its sums lie within 2^23 - 1 with the dither,
 * and its steps fit 8 bits: 128 * 65024 + 65535 = 2^23 - 1. */
#define SPELA_SMALL 65024U

/** Rows whose multipliers are in the scratch, and what they are applied to. The code below reads
 *  it.
 *
 *  Four rows are listed as: the first two's multipliers of updates 0 to 7, of 8 to 15 and so on,
 *  eight of the one row, then of the other; the same of the other two; the four rows' offsets in
 *  the matrix. What lacks in eight is zero. */
typedef struct {
    const int8_t *inputs; /**< of the block in hand */
    uint32_t input_bytes; /**< of a block */
    uint32_t columns;     /**< left */
    uint32_t count;       /**< updates */
    uint8_t *later;       /**< inputs of updates 8 to 15 and so on, of a block's first column,
                               second, third, fourth, are laid out here */
    uint8_t *later_end;   /**< and the list begins here */
    uint8_t *list_end;
    uint32_t is_large; /**< whether a step may need more than 8 bits */
    uint32_t state;
    uint32_t multiplier;
    uint32_t increment;
} spela_tile_t;

uint32_t spela_lay_multipliers(const int16_t *multipliers, uint32_t count, uint8_t *list);
void spela_apply_tile_int8(int8_t *weights, spela_tile_t *tile);

/** Lists rows from `row` on, as many as there is room for; returns the first that is not listed. */
static uint32_t list_tile(const spela_shape_t *shape, const spela_batch_t *batch, uint32_t row,
                          spela_tile_t *tile) {
    const uint32_t eights = (batch->count + 7U) / 8U;
    const uint32_t two_bytes = 32U * eights;
    const uint8_t *const scratch_end = (const uint8_t *)batch->scratch + batch->scratch_bytes;
    tile->later = (uint8_t *)batch->scratch;
    tile->later_end = tile->later + 64U * (eights - 1U);
    tile->is_large = 0U;
    uint8_t *list = tile->later_end;
    uint32_t listed = 0U; /* of four */
    uint32_t last = 0U;
    while ((row < shape->rows || listed != 0U) &&
           scratch_end - list >= (int32_t)(2U * two_bytes + 16U)) {
        /* a four that the matrix does not fill has its last row several times: they all write the
         * same */
        const uint32_t candidate = row < shape->rows ? row : last;
        row += row < shape->rows ? 1U : 0U;
        const uint32_t magnitude =
            spela_lay_multipliers(batch->multipliers + candidate * batch->stride, batch->count,
                                  list + listed / 2U * two_bytes + listed % 2U * 16U);
        if (magnitude != 0U) {
            uint32_t *const offsets = (uint32_t *)(void *)(list + 2U * two_bytes);
            offsets[listed] = spela_row_offset(candidate, shape->columns);
            tile->is_large |= (uint32_t)(magnitude > SPELA_SMALL);
            last = candidate;
            listed = (listed + 1U) % 4U;
            list += listed == 0U ? 2U * two_bytes + 16U : 0U;
        }
    }
    tile->list_end = list;
    return row;
}

void spela_apply_int8(int8_t *weights, const spela_shape_t *shape, spela_batch_t *batch) {
    uint32_t row = 0U;
    uint32_t state;
    do {
        spela_tile_t tile;
        row = list_tile(shape, batch, row, &tile);
        tile.inputs = batch->inputs;
        tile.input_bytes = 4U * batch->stride;
        tile.columns = shape->columns;
        tile.count = batch->count;
        tile.state = batch->state; /* all rows share the dither */
        tile.multiplier = batch->multiplier;
        tile.increment = batch->increment;
        spela_apply_tile_int8(weights, &tile);
        state = tile.state;
    } while (row < shape->rows);
    batch->state = state;
}

/* clang-format off */

/* Four words at a time; the last turn under a predicate. */
__attribute__((naked)) void spela_keep(SPELA_ARGUMENT const int16_t *wide,
                                       SPELA_ARGUMENT uint32_t columns,
                                       SPELA_ARGUMENT uint32_t stride,
                                       SPELA_ARGUMENT int8_t *kept) {
    __asm__ volatile(
        "push    {r4, lr}\n"
        "mov     r12, #0\n"
        "vidup.u32 q1, r12, #4\n"
        "vmul.i32 q1, q1, r2\n"            /* 0, 1, 2 and 3 blocks further */
        "lsl     r2, r2, #4\n"
        "lsr     r1, r1, #2\n"
        "dlstp.32 lr, r1\n"
        "1: vldrw.u32 q0, [r0], #16\n"
        "vstrw.32 q0, [r3, q1]\n"
        "add     r3, r3, r2\n"
        "letp    lr, 1b\n"
        "pop     {r4, pc}\n");
}

/* Copies a row's multipliers to where the list has them; returns the sum of their magnitudes. */
__attribute__((naked)) uint32_t spela_lay_multipliers(SPELA_ARGUMENT const int16_t *multipliers,
                                                      SPELA_ARGUMENT uint32_t count,
                                                      SPELA_ARGUMENT uint8_t *list) {
    __asm__ volatile(
        "movs    r3, #0\n"
        "vmov.i32 q1, #0\n"
        "1: vctp.16 r1\n"
        "vpst\n"
        "vldrht.u16 q0, [r0], #16\n"
        "vabav.s16 r3, q0, q1\n"
        "vstrh.16 q0, [r2], #32\n"
        "subs    r1, #8\n"
        "bhi     1b\n"
        "mov     r0, r3\n"
        "bx      lr\n");
}

/* Products of eight updates for two rows by four columns: 10 instructions for 64
 * multiply-accumulates. r3 list, q0-q3 inputs; sums r0-r6 and r8-lr, which are even registers as
 * VMLADAVA requires; q4, q5 scratch. */
#define SPELA_FIRST_EIGHT                   \
    "ldmia   r5, {r0, r2, r4, r6, r8, r10, r12, lr}\n" \
    "vldrh.u16 q4, [r3], #16\n"             \
    "vldrh.u16 q5, [r3], #16\n"             \
    "vmladava.s16 r0, q4, q0\n"             \
    "vmladava.s16 r2, q4, q1\n"             \
    "vmladava.s16 r4, q4, q2\n"             \
    "vmladava.s16 r6, q4, q3\n"             \
    "vmladava.s16 r8, q5, q0\n"             \
    "vmladava.s16 r10, q5, q1\n"            \
    "vmladava.s16 r12, q5, q2\n"            \
    "vmladava.s16 lr, q5, q3\n"

/* The same of all further updates, whose inputs lie in the scratch up to r9: 16 instructions. r1,
 * q7 scratch. */
#define SPELA_FURTHER(column, sum, other)   \
    "vldrh.u16 q7, [r1], #16\n"             \
    "vmladava.s16 " sum ", q4, q7\n"        \
    "vmladava.s16 " other ", q5, q7\n"
#define SPELA_LATER_EIGHTS                  \
    "ldr     r1, [r5, #176]\n"              \
    "9: vldrh.u16 q4, [r3], #16\n"          \
    "vldrh.u16 q5, [r3], #16\n"             \
    SPELA_FURTHER(0, "r0", "r8")            \
    SPELA_FURTHER(1, "r2", "r10")           \
    SPELA_FURTHER(2, "r4", "r12")           \
    SPELA_FURTHER(3, "r6", "lr")            \
    "cmp     r1, r9\n"                      \
    "bne     9b\n"

/* Two rows' sums and the other two's, in memory. */
#define SPELA_STORE                         \
    "stmdb   r11, {r0, r2, r4, r6, r8, r10, r12, lr}\n"
#define SPELA_STORE_OTHER                   \
    "stmia   r11, {r0, r2, r4, r6, r8, r10, r12, lr}\n"

/* Sixteen steps, which are byte 2 of their sums: 5 instructions. r7 block, q6 places of the
 * bytes. */
#define SPELA_SMALL_STEPS                   \
    "vldrw.u32 q7, [r3], #16\n"             \
    "vldrb.u8 q5, [r5, q6]\n"               \
    "vldrw.u32 q4, [r7, q7]\n"              \
    "vqadd.s8 q4, q4, q5\n"                 \
    "vstrw.32 q4, [r7, q7]\n"

/* Sixteen steps, which are the upper halves of their sums, within +-2^12, even columns and odd
 * ones: 14 instructions. q3 is scratch and restored. */
#define SPELA_LARGE_STEPS                   \
    "vldrw.u32 q7, [r3], #16\n"             \
    "add     r0, r5, #4\n"                  \
    "vldrh.u16 q4, [r5, q6]\n"              \
    "vldrh.u16 q5, [r0, q6]\n"              \
    "vldrw.u32 q3, [r7, q7]\n"              \
    "vmovlb.s8 q3, q3\n"                    \
    "vadd.i16 q4, q4, q3\n"                 \
    "vldrw.u32 q3, [r7, q7]\n"              \
    "vmovlt.s8 q3, q3\n"                    \
    "vadd.i16 q5, q5, q3\n"                 \
    "vqmovnb.s16 q3, q4\n"                  \
    "vqmovnt.s16 q3, q5\n"                  \
    "vstrw.32 q3, [r7, q7]\n"               \
    "vldrw.u32 q3, [r5, #160]\n"

/* Block by block of columns, four rows by four columns at a time; blocks whose inputs are all zero
 * only have their numbers drawn. */
__attribute__((naked)) void spela_apply_tile_int8(SPELA_ARGUMENT int8_t *weights,
                                                  SPELA_ARGUMENT spela_tile_t *tile) {
    /* r5 and sp: the block's dither twice, 16 sums, q4-q7, inputs of the fourth column, later, end
     * of the list, tile; r7 block, r9 end of the list or of later inputs, r11 middle of the sums */
    __asm__ volatile(
        "push    {r4-r11, lr}\n"
        "sub     sp, #188\n"
        "add     r12, sp, #96\n"
        "vstrw.32 q4, [r12]\n"
        "vstrw.32 q5, [r12, #16]\n"
        "vstrw.32 q6, [r12, #32]\n"
        "vstrw.32 q7, [r12, #48]\n"
        "ldrd    r2, r3, [r1, #16]\n"      /* later, its end */
        "ldr     r4, [r1, #24]\n"          /* end of the list */
        "strd    r2, r4, [sp, #176]\n"
        "str     r1, [sp, #184]\n"
        "mov     r7, r0\n"
        "add     r11, sp, #64\n"
        "mov     r5, sp\n"
        "1: ldr  r10, [r5, #184]\n"
        "ldr     r3, [r10, #32]\n"         /* state, multiplier, increment */
        "ldrd    r8, r9, [r10, #36]\n"
        "mla     r0, r3, r8, r9\n"
        "mla     r1, r0, r8, r9\n"
        "mla     r2, r1, r8, r9\n"
        "mla     r3, r2, r8, r9\n"
        "str     r3, [r10, #32]\n"
        "lsr     r0, r0, #16\n"
        "lsr     r1, r1, #16\n"
        "lsr     r2, r2, #16\n"
        "lsr     r3, r3, #16\n"
        "strd    r0, r1, [r5]\n"
        "strd    r2, r3, [r5, #8]\n"
        "strd    r0, r1, [r5, #16]\n"
        "strd    r2, r3, [r5, #24]\n"
        "ldrd    r0, r1, [r10]\n"          /* inputs, and their bytes */
        "add     r1, r1, r0\n"
        "str     r1, [r10]\n"
        "ldr     r12, [r10, #12]\n"        /* count */
        "ldrd    r9, r3, [r10, #16]\n"
        "movs    r6, #0\n"
        "vidup.u16 q4, r6, #4\n"
        "adds    r1, r0, #1\n"
        "adds    r2, r0, #2\n"
        "adds    r4, r0, #3\n"
        "vctp.16 r12\n"
        "vpstttt\n"
        "vldrbt.s16 q0, [r0, q4]\n"
        "vldrbt.s16 q1, [r1, q4]\n"
        "vldrbt.s16 q2, [r2, q4]\n"
        "vldrbt.s16 q3, [r4, q4]\n"
        "vorr    q5, q0, q1\n"
        "vorr    q6, q2, q3\n"
        "vorr    q5, q5, q6\n"             /* zero where the inputs are */
        "cmp     r9, r3\n"
        "beq     3f\n"
        "2: subs r12, #8\n"
        "adds    r0, #32\n"
        "adds    r1, #32\n"
        "adds    r2, #32\n"
        "adds    r4, #32\n"
        "vctp.16 r12\n"
        "vpstttt\n"
        "vldrbt.s16 q6, [r0, q4]\n"
        "vorrt   q5, q5, q6\n"
        "vldrbt.s16 q7, [r1, q4]\n"
        "vorrt   q5, q5, q7\n"
        "vstrh.16 q6, [r9], #16\n"
        "vstrh.16 q7, [r9], #16\n"
        "vpstttt\n"
        "vldrbt.s16 q6, [r2, q4]\n"
        "vorrt   q5, q5, q6\n"
        "vldrbt.s16 q7, [r4, q4]\n"
        "vorrt   q5, q5, q7\n"
        "vstrh.16 q6, [r9], #16\n"
        "vstrh.16 q7, [r9], #16\n"
        "cmp     r9, r3\n"
        "bne     2b\n");
    __asm__ volatile(
        "3: vmladav.s16 r4, q5, q5\n"      /* |inputs| <= 2^7 */
        "cmp     r4, #0\n"
        "beq     10f\n"
        "ldr     r1, [r5, #180]\n"
        "cmp     r3, r1\n"
        "beq     10f\n"
        "ldr     r0, [r10, #16]\n"
        "ldr     r2, [r10, #28]\n"         /* whether steps may be large */
        "movs    r4, #34\n"
        "cmp     r2, #0\n"
        "beq     6f\n"
        "vstrw.32 q3, [r5, #160]\n"
        "vidup.u16 q6, r4, #8\n"
        "cmp     r0, r9\n"
        "bne     5f\n"
        "mov     r9, r1\n"
        "4:\n" SPELA_FIRST_EIGHT SPELA_STORE
        SPELA_FIRST_EIGHT SPELA_STORE_OTHER
        SPELA_LARGE_STEPS
        "cmp     r3, r9\n"
        "bne     4b\n"
        "b       10f\n"
        );
    __asm__ volatile(
        "5:\n" SPELA_FIRST_EIGHT SPELA_LATER_EIGHTS SPELA_STORE
        SPELA_FIRST_EIGHT SPELA_LATER_EIGHTS SPELA_STORE_OTHER
        SPELA_LARGE_STEPS
        "ldr     r1, [r5, #180]\n"
        "cmp     r3, r1\n"
        "bne     5b\n"
        "b       10f\n");
    __asm__ volatile(
        "6: vidup.u8 q6, r4, #4\n"
        "cmp     r0, r9\n"
        "bne     8f\n"
        "mov     r9, r1\n"
        "7:\n" SPELA_FIRST_EIGHT SPELA_STORE
        SPELA_FIRST_EIGHT SPELA_STORE_OTHER
        SPELA_SMALL_STEPS
        "cmp     r3, r9\n"
        "bne     7b\n"
        "b       10f\n"
        );
    __asm__ volatile(
        "8:\n" SPELA_FIRST_EIGHT SPELA_LATER_EIGHTS SPELA_STORE
        SPELA_FIRST_EIGHT SPELA_LATER_EIGHTS SPELA_STORE_OTHER
        SPELA_SMALL_STEPS
        "ldr     r1, [r5, #180]\n"
        "cmp     r3, r1\n"
        "bne     8b\n"
        "10: adds r7, #16\n"
        "ldr     r10, [r5, #184]\n"
        "ldr     r3, [r10, #8]\n"          /* columns */
        "subs    r3, #4\n"
        "str     r3, [r10, #8]\n"
        "bne     1b\n"
        "add     r12, sp, #96\n"
        "vldrw.u32 q4, [r12]\n"
        "vldrw.u32 q5, [r12, #16]\n"
        "vldrw.u32 q6, [r12, #32]\n"
        "vldrw.u32 q7, [r12, #48]\n"
        "add     sp, #188\n"
        "pop     {r4-r11, pc}\n");
}

/* clang-format on */

#endif /* SPELA_MVE_KERNELS */
