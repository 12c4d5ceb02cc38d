/* SPDX-License-Identifier: Apache-2.0 */
/** The kernels in portable C: they run on any core, and kernels for one core must equal them. */
#include "spela_kernels.h"

#include "spela_arithmetic.h"

#if !defined(SPELA_DSP_KERNELS) && !defined(SPELA_MVE_KERNELS) && !defined(SPELA_RISCV_KERNELS)
void spela_widen(const int8_t *inputs, uint32_t count, int16_t *wide) {
    for (uint32_t i = 0U; i < count; i++) {
        wide[i] = inputs[i];
    }
    for (uint32_t i = count; i % 4U != 0U; i++) {
        wide[i] = 0;
    }
}
#endif

#if defined(SPELA_PORTABLE_KERNELS) || defined(SPELA_SSE2_KERNELS)
void spela_keep(const int16_t *wide, uint32_t columns, uint32_t stride, int8_t *kept) {
    for (uint32_t column = 0U; column < columns; column += 4U) {
        for (uint32_t i = 0U; i < 4U; i++) {
            kept[i] = (int8_t)spela_input(wide, column + i);
        }
        kept += 4U * stride;
    }
}
#endif

#define SPELA_WEIGHT       int8_t
#define SPELA_NAME(x)      x##_int8
#define SPELA_UPDATE_SHIFT 16U
#define SPELA_BITS(shape)  8U
#ifdef SPELA_PORTABLE_KERNELS
#include "spela_kernels_batch.h"
#include "spela_kernels_body.h"
#endif
#undef SPELA_WEIGHT
#undef SPELA_NAME
#undef SPELA_UPDATE_SHIFT
#undef SPELA_BITS

#ifndef SPELA_INT8_ONLY
#define SPELA_WEIGHT       int16_t
#define SPELA_NAME(x)      x##_int16
#define SPELA_UPDATE_SHIFT 8U
#define SPELA_BITS(shape)  ((shape)->weight_bits)
#ifndef SPELA_DSP_KERNELS
#include "spela_kernels_batch.h"
#include "spela_kernels_body.h"
#endif
#endif

#include "spela_kernels_upkeep.h"
