/* SPDX-License-Identifier: Apache-2.0 */
/**
 * From a raw value to an input of the network, in integers alone (docs/arithmetic.md, section 9).
 *
 * The tool scales samples in binary32 before it trains on them. This gives the same int8 for every
 * raw value of 32 bits. The linker leaves out what a project does not call.
 */
#ifndef SPELA_SCALING_H
#define SPELA_SCALING_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A line that gives the same inputs as a scaling, which the tool has found and checked:
 *  input = clip((x * slope + start) >> shift, -127, 127), x = clip(raw, low, low + width) - low. */
typedef struct {
    int64_t start;
    int32_t low;
    uint32_t width;
    uint32_t slope; /**< below 2^31 */
    uint32_t shift; /**< below 64 */
} spela_line_t;

/** The input, -127..127, that a raw value becomes. */
int8_t spela_quantize_line(int32_t raw, const spela_line_t *line);

/** How raw values are scaled: (raw - offset) * scale, in -1..1. Both as the bits of a binary32. */
typedef struct {
    uint32_t offset;
    uint32_t scale;
} spela_scaling_t;

/** The same where no line fits: each of the tool's operations, rounded as binary32 rounds it. It
 *  takes about 30 times as long. Offset and scale are finite. */
int8_t spela_quantize(int32_t raw, const spela_scaling_t *scaling);

#ifdef __cplusplus
}
#endif
#endif /* SPELA_SCALING_H */
