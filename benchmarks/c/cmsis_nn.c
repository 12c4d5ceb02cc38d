/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CMSIS-NN: two layers of arm_fully_connected_s8, each with its requantisation, as its headers
 * say. What a user does once (buffer sizes, kernel sums) is done at the start.
 */
#include "arm_nnfunctions.h"
#include "contender.h"

/* Sums of products of evenly drawn numbers spread over about 73 * 73 * sqrt(inputs); the
   requantisation brings that to a quarter of int8's range or less. */
#define MULTIPLIER 0x40000000 /* 1/2 as Q0.31 */
#define SHIFT      (-9)

static int8_t hidden_weights[HIDDEN * INPUTS];
static int8_t output_weights[OUTPUTS * HIDDEN];
static int32_t hidden_sums[HIDDEN];
static int32_t output_sums[OUTPUTS];
static const int8_t *taken;

/* Read by the host, which recomputes them. */
int8_t benchmark_hidden[HIDDEN];
int8_t benchmark_output[OUTPUTS];
benchmark_facts_t benchmark_facts;

static const cmsis_nn_dims input_dims = {1, 1, 1, INPUTS};
static const cmsis_nn_dims hidden_dims = {1, 1, 1, HIDDEN};
static const cmsis_nn_dims output_dims = {1, 1, 1, OUTPUTS};
static const cmsis_nn_dims hidden_filter_dims = {INPUTS, 1, 1, HIDDEN};
static const cmsis_nn_dims output_filter_dims = {HIDDEN, 1, 1, OUTPUTS};
static const cmsis_nn_fc_params hidden_params = {0, 0, 0, {0, 127}};
static const cmsis_nn_fc_params output_params = {0, 0, 0, {-128, 127}};
static const cmsis_nn_per_tensor_quant_params quantization = {MULTIPLIER, SHIFT};
static cmsis_nn_context hidden_context;
static cmsis_nn_context output_context;

/* Fills in a layer's context. Where the core needs a buffer, it holds the kernel's sums. */
static uint8_t start_layer(cmsis_nn_context *context, int32_t *sums, const cmsis_nn_dims *filter,
                           const int8_t *weights) {
    context->size = arm_fully_connected_s8_get_buffer_size(filter);
    context->buf = (context->size > 0) ? sums : NULL;
    benchmark_facts.infer_buffer += (uint32_t)context->size;
    if (context->size <= 0) {
        return 0;
    }
    return (uint8_t)arm_vector_sum_s8(sums, filter->n, filter->c, weights, 0, 0, NULL);
}

uint8_t contender_start(void) {
    uint32_t state = WEIGHT_SEED;
    for (size_t i = 0; i < sizeof hidden_weights; i++) {
        hidden_weights[i] = draw(&state);
    }
    for (size_t i = 0; i < sizeof output_weights; i++) {
        output_weights[i] = draw(&state);
    }
    benchmark_facts.weights = sizeof hidden_weights + sizeof output_weights;
    benchmark_facts.infer_buffer = sizeof benchmark_hidden + sizeof benchmark_output;
    const uint8_t status =
        start_layer(&hidden_context, hidden_sums, &hidden_filter_dims, hidden_weights);
    return status | start_layer(&output_context, output_sums, &output_filter_dims, output_weights);
}

void contender_take(const int8_t sample[INPUTS], uint16_t label) {
    (void)label;
    taken = sample;
}

uint8_t benchmark_infer(void) {
    arm_cmsis_nn_status status = arm_fully_connected_s8(
        &hidden_context, &hidden_params, &quantization, &input_dims, taken, &hidden_filter_dims,
        hidden_weights, &hidden_dims, NULL, &hidden_dims, benchmark_hidden);
    if (status == ARM_CMSIS_NN_SUCCESS) {
        status =
            arm_fully_connected_s8(&output_context, &output_params, &quantization, &hidden_dims,
                                   benchmark_hidden, &output_filter_dims, output_weights,
                                   &output_dims, NULL, &output_dims, benchmark_output);
    }
    return (uint8_t)status;
}

uint8_t benchmark_learn(void) {
    return 1; /* CMSIS-NN does not learn. */
}
