/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What is left out of the runtime, and out of everything that includes its headers.
 *
 * Nothing, unless a macro says so, here or on every compiler's command line: not all build systems
 * can pass macros to a library. Define only what holds for every model of a program.
 *
 *   SPELA_INT8_ONLY        kernels for int16 weights
 *   SPELA_INT16_ONLY       kernels for int8 weights
 *   SPELA_SINGLE_UPDATES   sums of updates, for models without a batch
 *   SPELA_INFERENCE_ONLY   learning
 *
 * These are for what only some models have: the softmax loss; convolutions that learn; such whose
 * filters learn in 12 bits; frozen networks in front of the layers, which can do without some kinds
 * of operators (SPELA_NO_CONVOLUTION, SPELA_NO_DEPTHWISE, SPELA_NO_POOL, SPELA_NO_ELEMENTWISE,
 * SPELA_NO_PAD); exits within these; front ends of sensors, which can do without some kinds of rows
 * (SPELA_NO_STATISTICS, SPELA_NO_SPECTRUM); classes that come and go, means of such classes in
 * place of samples, and samples that are kept in flash.
 *
 *   SPELA_WITH_SOFTMAX
 *   SPELA_WITH_CONVOLUTION
 *   SPELA_WITH_INT12
 *   SPELA_WITH_BACKBONE
 *   SPELA_WITH_TAPS
 *   SPELA_WITH_FRONT_END
 *   SPELA_WITH_CONTINUAL
 *   SPELA_WITH_MEANS
 *   SPELA_WITH_MEMORY_IN_FLASH
 */
#ifndef SPELA_CONFIG_H
#define SPELA_CONFIG_H

#include <limits.h>

#if INT_MAX < 2147483647
#error "spela needs a processor whose int has 32 bits or more: it does not run on AVR or MSP430"
#endif

/* Macros: none. */

#endif /* SPELA_CONFIG_H */
