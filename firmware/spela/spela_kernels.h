/**
 * The loops over weights. Everything that touches a whole weight matrix is behind this interface,
 * so that a core with vector instructions replaces this file and nothing else.
 *
 * A matrix lies in blocks of 4 rows by 4 columns (docs/arithmetic.md, section 6); rows and columns
 * are counted with their padding, multiples of 4. Padding weights and padding inputs are zero.
 */
#ifndef SPELA_KERNELS_H
#define SPELA_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The generator of stochastic rounding: state <- state * multiplier + increment. Nearest rounding
 *  is the same generator standing still at one half. */
typedef struct {
    uint32_t state;
    uint32_t multiplier;
    uint32_t increment;
} spela_dither_t;

/** The update of one row: w[row][i] += round(multiplier * x[i]). */
typedef struct {
    uint16_t row;
    int16_t multiplier;
} spela_row_update_t;

/** A weight matrix in memory. */
typedef struct {
    uint32_t rows;        /**< multiple of 4 */
    uint32_t columns;     /**< multiple of 4 */
    uint32_t weight_bits; /**< range of int16 weights; int8 weights use all 8 bits */
} spela_shape_t;

/** sums[rows] = weights * inputs. |sum| <= 2^30 by the generator's choice of weight_bits. */
void spela_dense_int8(const int8_t *weights, const int8_t *inputs, spela_shape_t shape,
                      int32_t *sums);
void spela_dense_int16(const int16_t *weights, const int8_t *inputs, spela_shape_t shape,
                       int32_t *sums);

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
