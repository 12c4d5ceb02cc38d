/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AIfES: dense, ReLU, dense, softmax in float32, as its headers say; a learning step is one epoch
 * of stochastic gradient descent on the cross-entropy, with one sample.
 */
#include "aifes.h"
#include "contender.h"

#define LEARNING_RATE 0.05F
#define SCALE         (1.0F / 1024.0F) /* of weights: -1/8..1/8 */
#define INPUT_SCALE   (1.0F / 128.0F)

#define PARAMETERS ((INPUTS * HIDDEN) + HIDDEN + (HIDDEN * OUTPUTS) + OUTPUTS)

/* AIfES says at run time how much it needs; that is checked against these bounds. */
#define PARAMETER_WORDS (PARAMETERS + 64)
#define TRAINING_WORDS  ((2 * PARAMETERS) + (8 * (INPUTS + HIDDEN + OUTPUTS)) + 1024)

static uint32_t parameters[PARAMETER_WORDS];
static uint32_t training[TRAINING_WORDS];
static float input_data[INPUTS];
static float target_data[OUTPUTS];
static const uint16_t input_shape[] = {1, INPUTS};
static const uint16_t output_shape[] = {1, OUTPUTS};

static ailayer_input_f32_t input_layer;
static ailayer_dense_f32_t hidden_layer;
static ailayer_relu_f32_t hidden_activation;
static ailayer_dense_f32_t output_layer;
static ailayer_softmax_f32_t output_activation;
static ailoss_crossentropy_f32_t loss;
static aiopti_sgd_f32_t descent;
static aiopti_t *optimizer;
static aimodel_t model;
static aitensor_t input;
static aitensor_t target;
static aitensor_t output;

/* Read by the host, which recomputes them. */
float benchmark_output[OUTPUTS];
benchmark_facts_t benchmark_facts;

static void draw_weights(uint32_t *state, const aitensor_t *weights, size_t length) {
    float *values = (float *)weights->data;
    for (size_t i = 0; i < length; i++) {
        values[i] = SCALE * (float)draw(state);
    }
}

static void define_model(void) {
    input_layer = (ailayer_input_f32_t)AILAYER_INPUT_F32_A(2, (uint16_t *)input_shape);
    hidden_layer = (ailayer_dense_f32_t)AILAYER_DENSE_F32_A(HIDDEN);
    hidden_activation = (ailayer_relu_f32_t)AILAYER_RELU_F32_A();
    output_layer = (ailayer_dense_f32_t)AILAYER_DENSE_F32_A(OUTPUTS);
    output_activation = (ailayer_softmax_f32_t)AILAYER_SOFTMAX_F32_A();
    model.input_layer = ailayer_input_f32_default(&input_layer);
    ailayer_t *layer = ailayer_dense_f32_default(&hidden_layer, model.input_layer);
    layer = ailayer_relu_f32_default(&hidden_activation, layer);
    layer = ailayer_dense_f32_default(&output_layer, layer);
    model.output_layer = ailayer_softmax_f32_default(&output_activation, layer);
    model.loss = ailoss_crossentropy_f32_default(&loss, model.output_layer);
}

uint8_t contender_start(void) {
    define_model();
    if (aialgo_compile_model(&model) != 0U) {
        return 1;
    }
    benchmark_facts.weights = aialgo_sizeof_parameter_memory(&model);
    benchmark_facts.infer_buffer = aialgo_sizeof_inference_memory(&model);
    if (benchmark_facts.weights > sizeof parameters) {
        return 2;
    }
    aialgo_distribute_parameter_memory(&model, parameters, benchmark_facts.weights);
    uint32_t state = WEIGHT_SEED;
    draw_weights(&state, &hidden_layer.weights, (size_t)INPUTS * HIDDEN);
    draw_weights(&state, &output_layer.weights, (size_t)HIDDEN * OUTPUTS);
    aimath_f32_default_init_zeros(&hidden_layer.bias);
    aimath_f32_default_init_zeros(&output_layer.bias);

    descent = (aiopti_sgd_f32_t)AIOPTI_SGD_F32(LEARNING_RATE);
    optimizer = aiopti_sgd_f32_default(&descent);
    benchmark_facts.learn_buffer = aialgo_sizeof_training_memory(&model, optimizer);
    if (benchmark_facts.learn_buffer > sizeof training) {
        return 3;
    }
    if (aialgo_schedule_training_memory(&model, optimizer, training,
                                        benchmark_facts.learn_buffer) != 0U) {
        return 4;
    }
    aialgo_init_model_for_training(&model, optimizer);
    input = (aitensor_t)AITENSOR_2D_F32(input_shape, input_data);
    target = (aitensor_t)AITENSOR_2D_F32(output_shape, target_data);
    output = (aitensor_t)AITENSOR_2D_F32(output_shape, benchmark_output);
    return 0;
}

void contender_take(const int8_t sample[INPUTS], uint16_t label) {
    for (size_t i = 0; i < INPUTS; i++) {
        input_data[i] = INPUT_SCALE * (float)sample[i];
    }
    for (size_t i = 0; i < OUTPUTS; i++) {
        target_data[i] = (i == label) ? 1.0F : 0.0F;
    }
}

uint8_t benchmark_infer(void) {
    return aialgo_inference_model(&model, &input, &output);
}

uint8_t benchmark_learn(void) {
    return aialgo_train_model(&model, &input, &target, optimizer, 1);
}
