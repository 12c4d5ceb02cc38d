/** The kernels in portable C: any core, and the yardstick for those written for one. */
#include "spela_kernels.h"

#include "spela_arithmetic.h"

#define SPELA_WEIGHT       int8_t
#define SPELA_NAME(x)      x##_int8
#define SPELA_UPDATE_SHIFT 16U
#define SPELA_BITS(shape)  8U
#ifndef SPELA_DSP_KERNELS
#include "spela_kernels_body.h"
#endif
#include "spela_kernels_upkeep.h"
#undef SPELA_WEIGHT
#undef SPELA_NAME
#undef SPELA_UPDATE_SHIFT
#undef SPELA_BITS

#define SPELA_WEIGHT       int16_t
#define SPELA_NAME(x)      x##_int16
#define SPELA_UPDATE_SHIFT 8U
#define SPELA_BITS(shape)  ((shape).weight_bits)
#include "spela_kernels_body.h"
#include "spela_kernels_upkeep.h"
