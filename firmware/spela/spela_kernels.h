/**
 * The loops over weights. Everything that touches a whole weight matrix is behind this interface;
 * spela_kernels.c has it in portable C, spela_kernels_dsp.c for cores with the DSP extension.
 *
 * A matrix lies in blocks of 4 rows by 4 columns (docs/arithmetic.md, section 6); rows and columns
 * are counted with their padding, multiples of 4. Padding weights and padding inputs are zero.
 */
#ifndef SPELA_KERNELS_H
#define SPELA_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Cores whose int8 kernels are in spela_kernels_dsp.c. */
#if defined(__ARM_FEATURE_DSP) && !defined(SPELA_PORTABLE_KERNELS)
#define SPELA_DSP_KERNELS
#endif

/** The generator of stochastic rounding: state <- state * multiplier + increment. Nearest rounding
 *  is the same generator standing still at one half. */
typedef struct {
    uint32_t state;
    uint32_t multiplier;
    uint32_t increment;
} spela_dither_t;

/** The update of one row: w[row][i] += round(multiplier * x[i]). */
typedef struct {
    uint32_t offset;     /**< of the row's first weight from the matrix's, in weights */
    uint32_t multiplier; /**< int16 in the lower half, SPELA_UNIT in the upper */
} spela_row_update_t;

/** One in the upper half of a multiplier: what the DSP kernel multiplies the dither with. */
#define SPELA_UNIT UINT32_C(0x10000)

/** A weight matrix in memory. */
typedef struct {
    uint32_t rows;        /**< multiple of 4 */
    uint32_t columns;     /**< multiple of 4 */
    uint32_t weight_bits; /**< range of int16 weights; int8 weights use all 8 bits */
} spela_shape_t;

/** Where a row starts, in weights. */
static inline uint32_t spela_row_offset(spela_shape_t shape, uint32_t row) {
    return (row / 4U) * 4U * shape.columns + (row % 4U) * 4U;
}

/** sums[rows] = weights * inputs. |sum| <= 2^30 by the generator's choice of weight_bits.
 *  @param scratch  [columns], 8-aligned: for inputs in another form; its content is lost */
void spela_dense_int8(const int8_t *weights, const int8_t *inputs, spela_shape_t shape,
                      int16_t *scratch, int32_t *sums);
void spela_dense_int16(const int16_t *weights, const int8_t *inputs, spela_shape_t shape,
                       int16_t *scratch, int32_t *sums);

/** Adds the rounded updates of `count` rows, saturating. Draws one number a column, column by
 *  column, whatever the inputs are. |multiplier * input| <= 2^22. */
void spela_update_int8(int8_t *weights, const int8_t *inputs, spela_shape_t shape,
                       const spela_row_update_t *updates, uint32_t count, spela_dither_t *dither);
void spela_update_int16(int16_t *weights, const int8_t *inputs, spela_shape_t shape,
                        const spela_row_update_t *updates, uint32_t count, spela_dither_t *dither);

/** How many weights stand at an end of their range. */
uint32_t spela_saturated_int8(const int8_t *weights, spela_shape_t shape);
uint32_t spela_saturated_int16(const int16_t *weights, spela_shape_t shape);

/** Halves every weight, ties to even. */
void spela_halve_int8(int8_t *weights, spela_shape_t shape);
void spela_halve_int16(int16_t *weights, spela_shape_t shape);

#endif /* SPELA_KERNELS_H */
