/* SPDX-License-Identifier: Apache-2.0 */
/* What tests/test_quantize.py calls: many raw values of one input, and a generated quantiser. */
#include "probe_quantize.h"

void many(const int32_t *raw, int8_t *inputs, uint32_t count, uint32_t offset, uint32_t scale);

void many(const int32_t *raw, int8_t *inputs, uint32_t count, uint32_t offset, uint32_t scale) {
    spela_scaling_t scaling = {offset, scale};
    for (uint32_t i = 0U; i < count; i++) {
        inputs[i] = spela_quantize(raw[i], &scaling);
    }
}

void along(const int32_t *raw, int8_t *inputs, uint32_t count, const spela_line_t *line);

void along(const int32_t *raw, int8_t *inputs, uint32_t count, const spela_line_t *line) {
    for (uint32_t i = 0U; i < count; i++) {
        inputs[i] = spela_quantize_line(raw[i], line);
    }
}

#ifdef HOST
#include "probe_quantize_float.h"

void of_floats(const float *raw, int8_t *inputs);

void of_floats(const float *raw, int8_t *inputs) {
    probe_quantize_float(raw, inputs);
}
#endif
