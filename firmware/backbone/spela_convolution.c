/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Convolutions of all channels: at each position of the output, the dense kernel of the core over
 * the inputs that the window covers.
 *
 * Weights lie in the blocks of that kernel (docs/arithmetic.md, section 6): a row an output
 * channel, a column a tap and input channel.
 */
#include "spela_convolution.h"
#include "spela_requantize.h"

#ifndef SPELA_NO_CONVOLUTION

#define ROWS_AT_ONCE 16U /* whose sums lie on the stack */

/** What an output position is computed from. */
static inline uint32_t taps_of(const spela_operator_t *op) {
    return (uint32_t)op->window.height * op->window.width * op->input.channels;
}

/** Whether the inputs of each position are bytes of the input map without a gap, and lie in it. */
static bool is_in_one_piece(const spela_operator_t *op) {
    return op->padding.height == 0U && op->padding.width == 0U && op->dilation.height == 1U &&
           op->dilation.width == 1U &&
           (op->window.height == 1U || op->window.width == op->input.width) &&
           spela_covered(op->output.height, op->stride.height, op->window.height, 1U) <=
               op->input.height &&
           spela_covered(op->output.width, op->stride.width, op->window.width, 1U) <=
               op->input.width;
}

bool spela_convolution_is_valid(const spela_operator_t *op) {
    const uint32_t taps = (uint32_t)op->window.height * op->window.width;
    return op->constants != NULL && taps <= SPELA_TAPS_MAX / op->input.channels;
}

/** Bytes of a position's inputs as spela_widen makes them. */
static inline uint32_t wide_bytes(uint32_t taps) {
    return spela_rounded_up(2U * taps, 16U);
}

/** The same of all positions that are at hand at a time: two, if there are as many. */
static inline uint32_t all_wide_bytes(const spela_operator_t *op) {
    const bool is_one = (uint32_t)op->output.height * op->output.width == 1U;
    return (is_one ? 1U : 2U) * wide_bytes(taps_of(op));
}

uint32_t spela_convolution_scratch(const spela_operator_t *op) {
    return all_wide_bytes(op) + (is_in_one_piece(op) ? 0U : spela_rounded_up(taps_of(op), 16U));
}

static int8_t *copy(int8_t *to, const int8_t *from, uint32_t count) {
    for (; count >= 4U; count -= 4U) {
        __builtin_memcpy(to, from, 4U);
        to += 4;
        from += 4;
    }
    for (; count > 0U; count--) {
        *to++ = *from++;
    }
    return to;
}

static int8_t *fill(int8_t *to, int8_t value, uint32_t count) {
    for (; count > 0U; count--) {
        *to++ = value;
    }
    return to;
}

/** The inputs of a position, tap by tap, with the zero point where the window leaves the input. */
static void gather(const spela_operator_t *op, const int8_t *source, int32_t top, int32_t left,
                   int8_t *patch) {
    const uint32_t channels = op->input.channels;
    const int32_t width = op->input.width;
    for (uint32_t i = 0U; i < op->window.height; i++) {
        const int32_t y = top + (int32_t)(i * op->dilation.height);
        if (y < 0 || y >= (int32_t)op->input.height) {
            patch = fill(patch, op->fill, op->window.width * channels);
            continue;
        }
        const int8_t *const row = &source[(uint32_t)y * op->input.width * channels];
        if (op->dilation.width == 1U) {
            const int32_t right = left + (int32_t)op->window.width;
            const int32_t first = left < 0 ? (right < 0 ? right : 0) : left;
            const int32_t last = right > width ? (left > width ? left : width) : right;
            patch = fill(patch, op->fill, (uint32_t)(first - left) * channels);
            if (last > first) {
                patch = copy(patch, &row[(uint32_t)first * channels],
                             (uint32_t)(last - first) * channels);
            }
            patch =
                fill(patch, op->fill, (uint32_t)(right - (last > first ? last : first)) * channels);
            continue;
        }
        for (uint32_t j = 0U; j < op->window.width; j++) {
            const int32_t x = left + (int32_t)(j * op->dilation.width);
            patch = x < 0 || x >= width ? fill(patch, op->fill, channels)
                                        : copy(patch, &row[(uint32_t)x * channels], channels);
        }
    }
}

#ifdef SPELA_PAIR_CONVOLUTION
#ifdef SPELA_THUMB_CONVOLUTION
/** Copies inputs of one of two positions for spela_sum_pair, padded with zeros to a whole block. */
static uint32_t *spela_widen_apart(const int8_t *inputs, uint32_t count, uint32_t *pairs) {
    for (; count >= 4U; count -= 4U) {
        __builtin_memcpy(pairs, inputs, 4U);
        inputs += 4;
        pairs += 2;
    }
    if (count > 0U) {
        uint32_t word = 0U;
        for (uint32_t i = 0U; i < count; i++) {
            word |= (uint32_t)(uint8_t)inputs[i] << (8U * i);
        }
        *pairs = word;
        pairs += 2;
    }
    return pairs;
}
#endif

static uint32_t *fill_apart(uint32_t *pairs, int8_t value, uint32_t count) {
#ifdef SPELA_DSP_CONVOLUTION
    const uint32_t word = (uint32_t)(uint16_t)value * UINT32_C(0x10001);
#else
    const uint32_t word = (uint32_t)(uint8_t)value * UINT32_C(0x1010101);
#endif
    for (; count > 0U; count -= 4U) {
        for (uint32_t i = 0U; i < SPELA_PAIR_WORDS; i++) {
            pairs[i] = word;
        }
        pairs += 2U * SPELA_PAIR_WORDS;
    }
    return pairs;
}

/** The same as gather and spela_widen_apart, at once, for channels in whole blocks. */
static void gather_apart(const spela_operator_t *op, const int8_t *source, int32_t top,
                         int32_t left, uint32_t *pairs) {
    const uint32_t channels = op->input.channels;
    const int32_t width = op->input.width;
    const int32_t right = left + (int32_t)op->window.width;
    const int32_t first = left < 0 ? 0 : left;
    const int32_t last = right > width ? width : right;
    const bool is_outside = last <= first;
    const uint32_t row_bytes = (uint32_t)op->input.width * channels;
    const uint32_t row_step = op->dilation.height;
    for (uint32_t i = 0U; i < op->window.height; i++) {
        const int32_t y = top + (int32_t)(i * row_step);
        if (y < 0 || y >= (int32_t)op->input.height || is_outside) {
            pairs = fill_apart(pairs, op->fill, op->window.width * channels);
            continue;
        }
        const int8_t *const row = &source[(uint32_t)y * row_bytes + (uint32_t)first * channels];
        pairs = fill_apart(pairs, op->fill, (uint32_t)(first - left) * channels);
        pairs = spela_widen_apart(row, (uint32_t)(last - first) * channels, pairs);
        pairs = fill_apart(pairs, op->fill, (uint32_t)(right - last) * channels);
    }
}
#endif

/** Row, or column, of the first tap; negative in front of the input. */
static inline int32_t top_of(const spela_operator_t *op, uint32_t y) {
    return (int32_t)(y * op->stride.height) - (int32_t)op->padding.height;
}

static inline int32_t left_of(const spela_operator_t *op, uint32_t x) {
    return (int32_t)(x * op->stride.width) - (int32_t)op->padding.width;
}

/** Where a position's inputs are: in the input map, or gathered into the patch. */
static const int8_t *inputs_at(const spela_operator_t *op, const spela_maps_t *maps, uint32_t y,
                               uint32_t x, int8_t *patch) {
    const int32_t top = top_of(op, y);
    const int32_t left = left_of(op, x);
    if (patch == NULL) {
        return &maps->sources[0][((uint32_t)top * op->input.width + (uint32_t)left) *
                                 op->input.channels];
    }
    gather(op, maps->sources[0], top, left, patch);
    return patch;
}

#ifdef SPELA_DSP_CONVOLUTION
static bool can_pair(const spela_operator_t *op) {
    return op->is_narrowing != 0U && op->output.channels % 2U == 0U;
}

/** The outputs of two positions. */
static void convolve_pair(const spela_operator_t *op, const uint32_t *pairs, uint32_t columns,
                          int8_t *target) {
    const uint32_t channels = op->output.channels;
    const spela_pair_job_t job = {columns, op->channels, channels, channels};
    spela_convolve_pair(op->constants, pairs, &job, target);
    spela_clamp(op, target, 2U * channels);
}
#endif

#ifdef SPELA_THUMB_CONVOLUTION
static bool can_pair(const spela_operator_t *op) {
    (void)op;
    return true;
}

static void convolve_pair(const spela_operator_t *op, const uint32_t *pairs, uint32_t columns,
                          int8_t *target) {
    const uint32_t channels = op->output.channels;
    const int8_t *weights = op->constants;
    for (uint32_t c = 0U; c < channels; c += 4U) {
        const uint32_t left = channels - c;
        const spela_line_t outputs = {&op->channels[c], 1U, left < 4U ? left : 4U, 1U};
        int32_t sums[8];
        spela_sum_pair(weights, pairs, columns, sums);
        spela_requantize(op, &outputs, sums, &target[c]);
        spela_requantize(op, &outputs, &sums[4], &target[channels + c]);
        weights += 4U * columns;
    }
}
#endif

/** The outputs of one position. */
static void convolve(const spela_operator_t *op, const int16_t *wide, uint32_t columns,
                     int8_t *target) {
    const uint32_t channels = op->output.channels;
    const int8_t *weights = op->constants;
    for (uint32_t c = 0U; c < channels; c += ROWS_AT_ONCE) {
        const uint32_t left = channels - c;
        const uint32_t count = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
        const spela_shape_t shape = {spela_rounded_up(count, 4U), columns, 8U};
        const spela_line_t outputs = {&op->channels[c], 1U, count, 1U};
        int32_t sums[ROWS_AT_ONCE];
        spela_dense_int8(weights, wide, &shape, sums);
        spela_requantize(op, &outputs, sums, &target[c]);
        weights += ROWS_AT_ONCE * columns;
    }
}

void spela_run_convolution(const spela_operator_t *op, const spela_maps_t *maps) {
    const uint32_t taps = taps_of(op);
    const uint32_t channels = op->output.channels;
    const uint32_t columns = spela_rounded_up(taps, 4U);
    uint8_t *const scratch = maps->scratch;
    int16_t *const wide = (int16_t *)(void *)scratch;
    int8_t *const patch = is_in_one_piece(op) ? NULL : (int8_t *)&scratch[all_wide_bytes(op)];
    int8_t *target = maps->target;
#ifdef SPELA_PAIR_CONVOLUTION
    const uint32_t positions = (uint32_t)op->output.height * op->output.width;
    const bool in_rows = patch != NULL && op->dilation.width == 1U && op->input.channels % 4U == 0U;
    const bool in_pairs = can_pair(op);
    uint32_t position = 0U;
#endif
    for (uint32_t y = 0U; y < op->output.height; y++) {
        for (uint32_t x = 0U; x < op->output.width; x++) {
#ifdef SPELA_PAIR_CONVOLUTION
            /* the last of an odd number of positions has no partner */
            const bool is_second = position % 2U == 1U;
            position++;
            if (in_pairs && (is_second || position < positions)) {
                uint32_t *const pairs = (uint32_t *)(void *)wide;
                uint32_t *const to = is_second ? &pairs[SPELA_PAIR_WORDS] : pairs;
                if (in_rows) {
                    gather_apart(op, maps->sources[0], top_of(op, y), left_of(op, x), to);
                } else {
                    (void)spela_widen_apart(inputs_at(op, maps, y, x, patch), taps, to);
                }
                if (is_second) {
                    convolve_pair(op, pairs, columns, target);
                    target += 2U * channels;
                }
                continue;
            }
#endif
            spela_widen(inputs_at(op, maps, y, x, patch), taps, wide);
            convolve(op, wide, columns, target);
            target += channels;
        }
    }
}

#endif
