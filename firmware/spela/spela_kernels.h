/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The loops over weights. Everything that touches a whole weight matrix is behind this interface;
 * spela_kernels.c has it in portable C, spela_kernels_<set>.c for the cores named below.
 *
 * A matrix lies in blocks of 4 rows by 4 columns (docs/arithmetic.md, section 6); rows and columns
 * are counted with their padding, multiples of 4. Padding weights and padding inputs are zero.
 *
 * Names end in the width of the weights. A build for models of one width leaves the other's
 * functions out, if SPELA_INT8_ONLY or SPELA_INT16_ONLY is defined; embeddings are always int8.
 */
#ifndef SPELA_KERNELS_H
#define SPELA_KERNELS_H

#include "spela_config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Which set of int8 kernels is used, by what the compiler says of the core. */
#if defined(SPELA_HOST_KERNELS) && defined(__SSE2__)
#define SPELA_SSE2_KERNELS /* for the host; not part of a project */
#elif !defined(SPELA_PORTABLE_KERNELS) && defined(__riscv_mul) && __riscv_xlen == 32
#define SPELA_RISCV_KERNELS /* RV32IM and its extensions */
#elif defined(SPELA_PORTABLE_KERNELS) || !defined(__ARM_ARCH_PROFILE) || __ARM_ARCH_PROFILE != 'M'
#undef SPELA_PORTABLE_KERNELS
#define SPELA_PORTABLE_KERNELS
#elif defined(__ARM_FEATURE_MVE)
#define SPELA_MVE_KERNELS /* Cortex-M55, M85 */
#elif defined(__ARM_FEATURE_DSP)
#define SPELA_DSP_KERNELS /* Cortex-M4, M7, M33 */
#else
#define SPELA_THUMB_KERNELS /* Cortex-M0, M0+, M3 */
#endif

/** Of a function in assembly. Registers hold the arguments: the compiler must neither warn that C
 * does not name them, nor, as it might for static functions, drop them. */
#define SPELA_ARGUMENT __attribute__((unused))

/** A weight matrix in memory. Kernels in assembly read it, and the structures below. */
typedef struct {
    uint32_t rows;        /**< multiple of 4 */
    uint32_t columns;     /**< multiple of 4 */
    uint32_t weight_bits; /**< range of int16 weights; int8 weights use all 8 bits */
} spela_shape_t;

/** The update of one row: w[row][i] += round(multiplier * x[i]). */
typedef struct {
    uint32_t offset;    /**< from the matrix's first weight to the row's, in weights */
    int32_t multiplier; /**< within int16 */
} spela_row_update_t;

/** The update of a matrix. */
typedef struct {
    const int16_t *wide;      /**< inputs, as spela_widen makes them */
    spela_row_update_t *rows; /**< an even number, at least two; nobody needs them afterwards */
    spela_row_update_t *rows_end;
    uint32_t state; /**< of the dither: state <- state * multiplier + increment. For nearest
                         rounding the generator stands still at one half. */
    uint32_t multiplier;
    uint32_t increment;
} spela_update_t;

/** Several updates of a matrix, applied as one: w[row][i] += round(sum multiplier * x[i]). */
typedef struct {
    const int8_t *inputs; /**< as spela_keep laid them; behind the last update's, anything */
    int16_t *multipliers; /**< [rows][stride], zero behind the last update's and in rows of padding;
                               nobody needs them afterwards. 4-aligned */
    uint32_t *scratch;    /**< 8-aligned */
    uint32_t scratch_bytes; /**< at least spela_scratch_bytes */
    uint32_t count;         /**< updates, 1 to stride */
    uint32_t stride;        /**< room for so many, an even number */
    uint32_t state;         /**< of the dither, as in spela_update_t */
    uint32_t multiplier;
    uint32_t increment;
} spela_batch_t;

/** Bytes of scratch in which every set of kernels can apply updates. A set that takes as many rows
 *  at a time as fit is faster with more. */
static inline uint32_t spela_scratch_bytes(uint32_t rows, uint32_t stride) {
    const uint32_t few_rows = 80U * stride + 128U;
    return 8U * rows > few_rows ? 8U * rows : few_rows;
}

/** Where a row starts, in weights. */
static inline uint32_t spela_row_offset(uint32_t row, uint32_t columns) {
    return (row / 4U) * 4U * columns + (row % 4U) * 4U;
}

/** Lists the rows that pending updates change; returns how many. */
static inline uint32_t spela_list_rows(const spela_batch_t *batch, uint32_t rows, uint16_t *list) {
    uint32_t count = 0U;
    const int16_t *multipliers = batch->multipliers;
    for (uint32_t row = 0U; row < rows; row++) {
        int32_t any = 0;
        for (uint32_t k = 0U; k < batch->count; k++) {
            any |= multipliers[k];
        }
        if (any != 0) {
            list[count] = (uint16_t)row;
            count++;
        }
        multipliers += batch->stride;
    }
    return count;
}

/** Brings inputs into the form that this core's kernels read, padded with zeros to whole blocks.
 *  @param wide  8-aligned; two bytes an input, in units of 16 bytes */
void spela_widen(const int8_t *inputs, uint32_t count, int16_t *wide);

#if defined(SPELA_MVE_KERNELS) || defined(SPELA_RISCV_KERNELS)
typedef int8_t spela_wide_t; /**< an input in that form */
#else
typedef int16_t spela_wide_t;
#endif

/** Where spela_widen puts an input. */
static inline uint32_t spela_input_index(uint32_t column) {
#ifdef SPELA_DSP_KERNELS
    /* a block's inputs lie in the order 0, 2, 1, 3 */
    return (column & ~UINT32_C(3)) + 2U * (column & 1U) + ((column >> 1) & 1U);
#else
    return column;
#endif
}

/** One of the inputs that spela_widen was given. */
static inline int32_t spela_input(const int16_t *wide, uint32_t column) {
    return ((const spela_wide_t *)wide)[spela_input_index(column)];
}

/** Sets an input, or one behind the last; then the rest of its block must be set as well. */
static inline void spela_set_input(int16_t *wide, uint32_t column, int8_t value) {
    ((spela_wide_t *)wide)[spela_input_index(column)] = value;
}

/** sums[rows] = weights * inputs. |sum| <= 2^30 by the generator's choice of weight_bits. */
void spela_dense_int8(const int8_t *weights, const int16_t *wide, const spela_shape_t *shape,
                      int32_t *sums);
void spela_dense_int16(const int16_t *weights, const int16_t *wide, const spela_shape_t *shape,
                       int32_t *sums);

/** Adds the rounded updates of the rows listed, saturating. Draws one number a column, column by
 *  column, whatever the inputs are. |multiplier * input| <= 2^22.
 *  @param update  its state advances, its other members stay */
void spela_update_int8(int8_t *weights, const spela_shape_t *shape, spela_update_t *update);
void spela_update_int16(int16_t *weights, const spela_shape_t *shape, spela_update_t *update);

/** Keeps the inputs of one update until they are applied: four of them in each `stride` words.
 *  @param wide  inputs as spela_widen made them
 *  @param kept  where the update's first four go; 4-aligned */
void spela_keep(const int16_t *wide, uint32_t columns, uint32_t stride, int8_t *kept);

/** Adds the rounded sums of several updates, saturating. Draws one number a column, column by
 *  column, whatever the inputs and multipliers are. |sum| <= 2^28: up to 64 updates. A row whose
 *  multipliers are all zero, or a column whose inputs are, does not change.
 *  @param batch  its state is moved on, its other members stay */
void spela_apply_int8(int8_t *weights, const spela_shape_t *shape, spela_batch_t *batch);
void spela_apply_int16(int16_t *weights, const spela_shape_t *shape, spela_batch_t *batch);

/** How many of an int8 matrix's weights, four in a word, stand at an end of their range. */
static inline uint32_t spela_saturated_int8(const uint32_t *fours, uint32_t size) {
    const uint32_t ones = UINT32_C(0x01010101);
    uint32_t saturated = 0U;
    for (uint32_t i = 0U; i < size; i++) {
        const uint32_t negative = fours[i] >> 7 & ones;
        /* with the bits of negative ones inverted, both ends are 127 */
        const uint32_t ends = ((fours[i] ^ ((negative << 8) - negative)) + ones) & ones << 7;
        if (ends != 0U) {
            saturated += (ends >> 7) * ones >> 24;
        }
    }
    return saturated;
}

/** Halves every weight, ties to even, if more than `limit` stand at an end of their range; says
 *  whether it did. */
bool spela_relieve_int8(int8_t *weights, const spela_shape_t *shape, uint32_t limit);
bool spela_relieve_int16(int16_t *weights, const spela_shape_t *shape, uint32_t limit);

#endif /* SPELA_KERNELS_H */
