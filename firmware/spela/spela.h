/* SPDX-License-Identifier: Apache-2.0 */
/**
 * spela - dense SPELA networks in fixed point: inference and learning on the chip.
 *
 * C99, freestanding: no heap, no libc, no floating point, no recursion. All memory is one arena
 * that the caller owns. The arithmetic is specified in docs/arithmetic.md; every implementation
 * of it gives the same bits.
 *
 * Words: a network is a stack of layers; each layer is an exit, since it predicts by itself.
 * A sample is an array of int8 inputs. A label is a class index from 0. Q1.14 is an int16 whose
 * value is the integer divided by 16384.
 *
 * No function is reentrant for one network; two networks in two arenas are independent.
 */
#ifndef SPELA_H
#define SPELA_H

#include "spela_config.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define SPELA_STATIC_ASSERT(condition, message) static_assert(condition, message)
#else
/** C11's _Static_assert, which C99 compilers have as an extension. */
#define SPELA_STATIC_ASSERT(condition, message) __extension__ _Static_assert(condition, message)
#endif

/** The library's version, which is also that of the spela-mcu that generated a project with it. */
#define SPELA_VERSION_MAJOR 0
#define SPELA_VERSION_MINOR 1
#define SPELA_VERSION_PATCH 0
#define SPELA_VERSION       "0.1.0"

/** What a call answers. On anything but SPELA_OK and SPELA_ERROR_FLASH the network and the outputs
 *  are unchanged. */
typedef enum {
    SPELA_OK = 0,
    SPELA_ERROR_ARGUMENT = 1,  /**< a null pointer, or an exit or layer that does not exist */
    SPELA_ERROR_SIZE = 2,      /**< the sample's length is not what the model takes */
    SPELA_ERROR_LABEL = 3,     /**< the label is not below the model's number of classes */
    SPELA_ERROR_ARENA = 4,     /**< the arena is too small or not aligned to 8 bytes */
    SPELA_ERROR_MODEL = 5,     /**< the model is not one that this build can run */
    SPELA_ERROR_READ_ONLY = 6, /**< the model was generated for inference only */
    SPELA_ERROR_SELFTEST = 7,  /**< the self-test found a bit that is wrong */
    SPELA_ERROR_FLASH = 8      /**< flash did not keep a sample, or did not give it back: what was
                                    learned stays, as spela_learn, spela_rehearse and spela_forget say */
} spela_status_t;

/** How a layer computes its activation from its inputs. A convolution is two layers: its filters,
 *  whose map is the input of its read-out and of the layer after that, and its read-out, which is
 *  its exit. Convolutions come before dense layers. Taps come before these, in a network without
 *  convolutions: each reads the sample's inputs behind those of the tap before it, and the first
 *  dense layer those that are left. */
typedef enum {
    SPELA_LAYER_DENSE = 0,       /**< every unit from all inputs */
    SPELA_LAYER_CONVOLUTION = 1, /**< every filter at every position of a map; no exit */
    SPELA_LAYER_READOUT = 2, /**< as dense, from sums of the map before it; no activation function
                              */
    SPELA_LAYER_TAP = 3      /**< as dense, from inputs of its own; nothing reads its activation */
} spela_layer_kind_t;

/** Sizes along rows and along columns; 1 along an axis where the map has the length 1. */
typedef struct {
    uint8_t rows;
    uint8_t columns;
} spela_sides_t;

/** How a convolution walks over its input map, [rows][columns][channels]. */
typedef struct {
    uint16_t rows;
    uint16_t columns;
    uint16_t channels;
    spela_sides_t kernel; /**< odd; outside of the map there are zeros */
    spela_sides_t stride;
    spela_sides_t pool; /**< each such block leaves its maximum */
    spela_sides_t grid; /**< of cells over which the read-out sums the pooled map */
} spela_window_t;

/** How a layer's activation becomes an answer: by its scores against the class embeddings. */
typedef struct {
    const int8_t *embeddings; /**< int8 class embeddings, scaled by 2^embedding_shift */
    int16_t exit_margin;   /**< margin from which spela_infer_early answers here, Q1.14; 0: never */
    int16_t reject_cosine; /**< cosine below which its answer here is unknown, Q1.14; 0: none is */
    uint8_t embedding_shift; /**< an embedding of length one has length 2^embedding_shift */
} spela_exit_t;

/** How far a learning step moves a layer's weights. */
typedef struct {
    uint16_t rate_mantissa; /**< learning rate in the layer's units: mantissa * 2^-rate_shift */
    int16_t rate_shift;
} spela_learner_t;

/** One layer: generated, constant. Tables are packed as the arithmetic says. */
typedef struct {
    const void *weights;          /**< packed initial weights; NULL: drawn from the seed */
    const spela_window_t *window; /**< of a convolution; otherwise NULL */
    uint32_t seed;                /**< generator state from which initial weights are drawn */
    uint16_t inputs;              /**< of the first layer, the constant of a bias included */
    uint16_t units;
    uint8_t kind;        /**< a spela_layer_kind_t */
    uint8_t weight_bits; /**< 8, or with SPELA_FLAG_WEIGHTS_INT16 8 to 16: weights lie in
                              [-2^(bits-1), 2^(bits-1) - 1]. Without it, filters may learn in 12 and
                              answer in the upper 8: that needs SPELA_WITH_INT12 */
    uint8_t leak_shift;  /**< 0: relu; s: negative sums are divided by 2^s (leaky relu) */
    spela_exit_t exit;
    spela_learner_t learner;
} spela_layer_t;

typedef enum {
    SPELA_LOSS_COSINE = 0,
    SPELA_LOSS_LOG_COSINE = 1,
    SPELA_LOSS_MARGIN = 2,
    SPELA_LOSS_SOFTMAX = 3 /**< needs SPELA_WITH_SOFTMAX */
} spela_loss_t;

enum {
    SPELA_FLAG_WEIGHTS_INT16 = 1,  /**< weights are int16; otherwise int8 */
    SPELA_FLAG_ROUND_NEAREST = 2,  /**< updates round to nearest; otherwise stochastically */
    SPELA_FLAG_INFERENCE_ONLY = 4, /**< weights stay in flash */
    SPELA_FLAG_BIAS = 8, /**< the first layer's last input is not from the sample: it is 127 */
    SPELA_FLAG_WEIGHT_DECAY = 16 /**< the learning rate does not follow a layer that is halved */
};

/** A frozen network in front of the layers, and what its features are scaled by: spela_front.h. */
typedef struct spela_front spela_front_t;

/** Classes that come and go, and samples to rehearse: spela_continual.h. */
typedef struct spela_continual spela_continual_t;

/** What a runtime was built for. A model refers to the one that it needs. So if SPELA_INT8_ONLY,
 *  SPELA_INT16_ONLY, SPELA_INFERENCE_ONLY or SPELA_SINGLE_UPDATES has left it out of the runtime,
 *  the linker names it. A runtime built without these macros has them all. */
extern const uint8_t spela_runtime_for_int8_inference;
extern const uint8_t spela_runtime_for_int8_learning;
extern const uint8_t spela_runtime_for_int8_batches;
extern const uint8_t spela_runtime_for_int16_inference;
extern const uint8_t spela_runtime_for_int16_learning;
extern const uint8_t spela_runtime_for_int16_batches;

/** A whole network: generated, constant. */
typedef struct {
    const spela_layer_t *layers;
    const spela_front_t *front; /**< makes the first layer's inputs; NULL: a sample is these */
    const uint8_t *runtime;     /**< which of the above it needs; only the linker uses it */
    uint32_t digest;            /**< identifies the model; equal digests, equal tables */
    uint32_t seed;              /**< first state of the dither generator */
    uint32_t halve_rate_every;  /**< samples between two halvings of the learning rate; 0: none */
    uint16_t classes;
    int16_t margin; /**< theta of the margin loss, Q1.14 */
    uint8_t layer_count;
    uint8_t loss;          /**< a spela_loss_t */
    uint8_t flags;         /**< SPELA_FLAG_* */
    uint8_t rate_halvings; /**< number of halvings, and of intervals at the full rate before */
    uint8_t batch;         /**< updates of a layer that are summed before the sum is rounded */
    const spela_continual_t *continual; /**< NULL: its classes stay as they are */
} spela_model_t;

/** A network in use. It lives at the start of the arena; its members are private. */
typedef struct spela spela_t;

/** The label that spela_infer_early gives to a sample that resembles none of the classes, and every
 *  inference while no class is active (spela_continual.h). */
#define SPELA_UNKNOWN UINT16_C(0xFFFF)

/** What an exit says of a sample. */
typedef struct {
    uint16_t label; /**< the class with the greatest score; the lowest such class on a tie */
    uint16_t exit;  /**< the exit that answered, from 0 */
    int16_t cosine; /**< cosine similarity with that class's embedding, Q1.14 */
    int16_t margin; /**< that cosine less the next best class's, Q1.14: the confidence */
} spela_result_t;

/** What has happened since spela_init or spela_reset. Counters stop at their maximum. */
typedef struct {
    uint32_t samples;             /**< samples learned */
    uint32_t layer_updates;       /**< layers updated, over all samples */
    uint32_t multipliers_clipped; /**< update multipliers that did not fit 16 bits */
    uint32_t halvings;            /**< times a layer's weights were halved */
    uint32_t silent;              /**< times a layer had no activation, and so could not learn */
} spela_counters_t;

/** One layer as it stands: pointers stay valid as long as the arena does. */
typedef struct {
    const void *weights;      /**< packed weights */
    size_t weight_bytes;      /**< their size, padding included */
    const int8_t *activation; /**< [units] output for the last sample that reached this layer; NULL
                                   for a convolution */
    uint32_t updates;         /**< updates applied since the last scan for saturated weights */
    uint32_t halvings;        /**< times the weights were halved */
    uint32_t pending;         /**< updates that the weights do not show yet: see spela_flush */
} spela_layer_view_t;

/** Test vectors: samples, and what a network answers to them and learns from them. Generated. */
typedef struct {
    const spela_model_t *model;
    const int8_t *samples;  /**< [sample_count][inputs], taken in turns */
    const uint16_t *labels; /**< [steps] the label learned in each step */
    uint32_t sample_count;
    uint32_t steps;
    uint32_t crc; /**< of embeddings, all answers, and the learned state after each step */
} spela_selftest_t;

/**
 * Lays a network out in the arena and gives it its initial weights.
 *
 * The model is checked first: one that is accepted can later neither overflow nor leave its memory.
 * It has up to 16 layers of up to 4096 units, and its tables keep the ranges of docs/arithmetic.md.
 *
 * @param network      set to the network; it lies in the arena
 * @param model        the generated model; must outlive the network
 * @param arena        aligned to 8 bytes, kept by the caller as long as the network is used
 * @param arena_bytes  at least the model's <NAME>_ARENA_BYTES
 * @return SPELA_OK, SPELA_ERROR_ARGUMENT, SPELA_ERROR_ARENA, SPELA_ERROR_MODEL
 */
spela_status_t spela_init(spela_t **network, const spela_model_t *model, void *arena,
                          size_t arena_bytes);

/** How many exits a model has: as many as layers, less those that are filters of convolutions. */
uint16_t spela_exits(const spela_model_t *model);

/**
 * Classifies a sample at the last exit.
 *
 * @param sample  [inputs] int8
 * @return SPELA_OK, SPELA_ERROR_ARGUMENT, SPELA_ERROR_SIZE
 */
spela_status_t spela_infer(spela_t *network, const int8_t *sample, size_t inputs,
                           spela_result_t *result);

/** As spela_infer, but runs only the layers up to `exit` (from 0) and answers there. */
spela_status_t spela_infer_exit(spela_t *network, const int8_t *sample, size_t inputs,
                                uint16_t exit, spela_result_t *result);

/**
 * Classifies a sample at the first exit that is sure enough: whose margin reaches the layer's
 * exit_margin. The last exit answers the rest. Without such margins in the model, this is
 * spela_infer. The answer's label is SPELA_UNKNOWN if its cosine is below the layer's
 * reject_cosine.
 *
 * The thresholds are calibrated when the model is generated, for the weights that it starts with or
 * is expected to learn; learning on the chip does not change them.
 *
 * @return SPELA_OK, SPELA_ERROR_ARGUMENT, SPELA_ERROR_SIZE
 */
spela_status_t spela_infer_early(spela_t *network, const int8_t *sample, size_t inputs,
                                 spela_result_t *result);

/**
 * Learns one labelled sample: one forward pass, each layer updated by its own loss.
 *
 * A model with a batch above 1 sums that many updates of a layer before it rounds the sum and adds
 * it to the weights. Inference applies what is pending first.
 *
 * @param result  if not NULL, what the last exit said before it learned
 * @return SPELA_OK, SPELA_ERROR_ARGUMENT, SPELA_ERROR_SIZE, SPELA_ERROR_LABEL,
 *         SPELA_ERROR_READ_ONLY; SPELA_ERROR_FLASH: the sample is learned, but the memory in flash
 *         does not keep it, or did not give one back to be rehearsed
 */
spela_status_t spela_learn(spela_t *network, const int8_t *sample, size_t inputs, uint16_t label,
                           spela_result_t *result);

/** Applies pending updates now. They count for every inference without it; call it to have the
 *  work done while nobody waits, or before weights are read with spela_view.
 *  @return SPELA_OK, SPELA_ERROR_ARGUMENT */
spela_status_t spela_flush(spela_t *network);

/** Forgets everything learned: back to the state after spela_init.
 *  @return SPELA_OK, SPELA_ERROR_ARGUMENT */
spela_status_t spela_reset(spela_t *network);

/** The scores of the exit that answered last: [classes] int32, embedding times activation. Valid
 *  until the next call, but not behind a spela_learn with the softmax loss. Returns NULL for a null
 * pointer. */
const int32_t *spela_scores(const spela_t *network);

/** A read-only view of one layer. @return SPELA_OK, SPELA_ERROR_ARGUMENT */
spela_status_t spela_view(const spela_t *network, uint16_t layer, spela_layer_view_t *view);

/** Diagnostics. @return SPELA_OK, SPELA_ERROR_ARGUMENT */
spela_status_t spela_counters(const spela_t *network, spela_counters_t *counters);

/**
 * Whether this chip, this compiler and this memory give the bits that the model's generator
 * computed: the tables, every exit's answers and scores, early exit, and the state after each
 * learning step. Halvings, which need hundreds of steps, are not among them.
 *
 * It begins with spela_init, and leaves in the arena a network that has learned the vectors: a
 * network in use there is lost. So run it before you set the network up, or in another arena.
 *
 * @param test         the model's generated vectors, <name>_model_selftest
 * @param arena        as for spela_init
 * @param arena_bytes  at least the model's <NAME>_ARENA_BYTES
 * @return SPELA_OK if all is right, SPELA_ERROR_SELFTEST if anything is wrong, or an error of
 *         spela_init
 */
spela_status_t spela_selftest(const spela_selftest_t *test, void *arena, size_t arena_bytes);

/** CRC-32 (IEEE 802.3) of the learned state: two networks that agree in it will agree in every
 *  later answer, weights and random numbers included. 0 for a null pointer, and if a sample that
 *  is kept in flash cannot be read. */
uint32_t spela_digest(const spela_t *network);

#ifdef __cplusplus
}
#endif
#endif /* SPELA_H */
