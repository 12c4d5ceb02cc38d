/* SPDX-License-Identifier: Apache-2.0 */
/** A Fourier transform in 16-bit integers, in place (docs/front-end.md, section 5). */
#ifndef SPELA_FFT_H
#define SPELA_FFT_H

#include "spela_config.h"

#include <stdint.h>

/* Complex numbers are words: the real part in the lower half, the imaginary one in the upper. */

static inline int32_t spela_real(uint32_t number) {
    return (int16_t)(number & UINT32_C(0xFFFF));
}

static inline int32_t spela_imaginary(uint32_t number) {
    return (int16_t)(number >> 16);
}

static inline uint32_t spela_complex(int32_t real, int32_t imaginary) {
    return ((uint32_t)real & UINT32_C(0xFFFF)) | (uint32_t)imaginary << 16;
}

/**
 * Transforms `points` real values: z[k] are values 2 k and 2 k + 1, in bit-reversed order of k.
 * Leaves the powers of bins 1 to points / 2 - 1 in z[1] and on.
 *
 * @param z         points / 2 numbers, each of a magnitude of at most 23171
 * @param twiddles  points / 4 + 1 numbers
 * @param points    a power of two, 32 to 1024
 */
void spela_transform(uint32_t *z, const uint32_t *twiddles, uint32_t points);

#endif /* SPELA_FFT_H */
