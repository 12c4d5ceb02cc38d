/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever spela_init accepts must run: models with corrupted parameters and tables, under the
 * sanitizers. Arguments: a seed, and how many models. Says how many were accepted, and refused.
 *
 * Tables are as long as the parameters say, since no runtime could tell that they are not; the
 * arena is from malloc and as small as spela_init permits, to the byte.
 */
#include "fields.h" /* of spela_layer_t and spela_model_t, from the generator's list */
#include "spela.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS_MAX  255U
#define TABLE_BYTES 100000U /* larger ones are not tried */
#define ARENA_BYTES 5000000U
#define STEPS       6U

static spela_layer_t layers[LAYERS_MAX];
static spela_model_t model;
static void *tables[2U * LAYERS_MAX + 2U]; /* the arena and a sample as well */
static uint32_t table_count;
static uint64_t state;

/* A number below `bound`: splitmix64. */
static uint32_t below(uint32_t bound) {
    state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t x = state;
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((x ^ (x >> 31)) >> 32) % bound;
}

static bool is_int16(void) {
    return (model.flags & (uint32_t)SPELA_FLAG_WEIGHTS_INT16) != 0U;
}

static uint64_t padded(uint64_t size) {
    return (size + 3U) / 4U * 4U;
}

static uint64_t weight_bytes(const spela_layer_t *layer) {
    return padded(layer->units) * padded(layer->inputs) * (is_int16() ? 2U : 1U);
}

static void *new_table(size_t bytes) {
    void *const table = malloc(bytes == 0U ? 1U : bytes);
    if (table == NULL) {
        exit(2);
    }
    tables[table_count] = table;
    table_count++;
    return table;
}

/* Embeddings as long as they may be, or a little shorter or longer; or any bytes. */
static const int8_t *new_embeddings(const spela_layer_t *layer) {
    const uint32_t columns = (uint32_t)padded(layer->units);
    const uint32_t size = columns * (uint32_t)padded(model.classes);
    int8_t *const table = new_table(size);
    const uint32_t kind = below(10U);
    const uint32_t shift = layer->exit.embedding_shift < 14U ? layer->exit.embedding_shift : 14U;
    uint32_t longest = 0U; /* the largest element, alone or where all are equal */
    const uint64_t limit = (UINT64_C(9) << (2U * shift)) / 8U;
    while (longest < 127U &&
           (uint64_t)(longest + 1U) * (longest + 1U) * (kind < 5U ? 1U : columns) <= limit) {
        longest++;
    }
    longest += below(20U) == 0U;
    for (uint32_t i = 0U; i < size; i++) {
        const int32_t sign = below(2U) == 0U ? -1 : 1;
        const uint32_t column = i / 16U * 4U % columns + i % 4U;
        const bool is_one = kind >= 5U || column == i / 4U % 4U % layer->units;
        table[i] = (int8_t)(is_one ? sign * (int32_t)longest : 0);
        if (kind == 9U) {
            table[i] = (int8_t)((int32_t)below(256U) - 128);
        }
    }
    return table;
}

/* Weights all at one end of their range, at either end, or anywhere in it; or all beyond it. */
static const void *new_weights(const spela_layer_t *layer) {
    const bool is_wide = is_int16();
    const uint32_t bits =
        is_wide && layer->weight_bits >= 8U && layer->weight_bits <= 16U ? layer->weight_bits : 8U;
    const int32_t half = (int32_t)(UINT32_C(1) << (bits - 1U));
    const uint32_t size = (uint32_t)(padded(layer->units) * padded(layer->inputs));
    const uint32_t kind = below(10U);
    void *const table = new_table((size_t)weight_bytes(layer));
    for (uint32_t i = 0U; i < size; i++) {
        int32_t weight = (int32_t)below(2U * (uint32_t)half) - half;
        if (kind < 6U) {
            weight = kind < 2U || (kind < 4U && below(2U) == 0U) ? -half : half - 1;
        } else if (kind == 9U && is_wide) {
            weight = INT16_MIN;
        }
        if (is_wide) {
            ((int16_t *)table)[i] = (int16_t)weight;
        } else {
            ((int8_t *)table)[i] = (int8_t)weight;
        }
    }
    return table;
}

/* A model that a generator might have made, tables aside. */
static void draw_model(void) {
    static const uint16_t widths[] = {1U, 2U, 5U, 16U, 33U, 255U, 256U, 257U, 700U, 1000U, 1500U};
    memset(layers, 0, sizeof layers);
    model.layers = layers;
    model.seed = below(UINT32_MAX);
    model.halve_rate_every = below(3U);
    model.classes = (uint16_t)(2U + below(below(8U) == 0U ? 300U : 5U));
    model.margin = (int16_t)(below(2U) == 0U ? INT16_MAX : 5000);
    model.layer_count = (uint8_t)(1U + below(3U));
    model.loss = (uint8_t)below(3U);
    model.flags = (uint8_t)below(32U);
    model.rate_halvings = (uint8_t)below(16U);
    model.batch = (uint8_t)(below(2U) == 0U ? 1U : below(66U));
    for (uint32_t i = 0U; i < model.layer_count; i++) {
        spela_layer_t *const layer = &layers[i];
        layer->seed = below(UINT32_MAX);
        layer->inputs = i == 0U ? widths[below(11U)] : layers[i - 1U].units;
        layer->units = (uint16_t)(2U + below(20U));
        layer->learner.rate_mantissa = (uint16_t)(32768U + below(32768U));
        layer->learner.rate_shift = (int16_t)((int32_t)below(60U) - 40);
        layer->exit.embedding_shift = (uint8_t)(below(8U) == 0U ? below(15U) : 6U + below(4U));
        layer->leak_shift = (uint8_t)(below(2U) * below(11U));
        layer->weight_bits = 8U;
        while (is_int16() && layer->weight_bits < 16U &&
               ((uint32_t)layer->inputs << layer->weight_bits) < UINT32_C(1) << 23) {
            layer->weight_bits++;
        }
        if (is_int16() && below(8U) == 0U) {
            layer->weight_bits = 16U; /* too many for more than 256 inputs */
        }
    }
}

/* A scalar of a structure: where it lies, and how many bytes it has. */
typedef struct {
    size_t offset;
    size_t bytes;
} field_t;

#define LAYER_FIELD(name, type) {offsetof(spela_layer_t, name), sizeof(type)},
#define MODEL_FIELD(name, type) {offsetof(spela_model_t, name), sizeof(type)},
static const field_t layer_fields[] = {LAYER_FIELDS(LAYER_FIELD)};
static const field_t model_fields[] = {MODEL_FIELDS(MODEL_FIELD)};

/* Any value of a field of this many bits, or one at an edge. */
static uint32_t spoilt(uint32_t value, uint32_t bits) {
    static const uint32_t edges[] = {0U, 1U, 2U, 14U, 15U, 30U, 31U, 128U, 4096U};
    const uint32_t largest = UINT32_MAX >> (32U - bits);
    switch (below(7U)) {
    case 0U:
        return below(largest) + 1U;
    case 1U:
        return largest;
    case 2U:
        return largest / 2U + below(2U); /* the ends of a signed field */
    case 3U:
        return edges[below(9U)] & largest;
    case 4U:
        return (value + 1U) & largest;
    case 5U:
        return (value - 1U) & largest;
    default:
        return value ^ (UINT32_C(1) << below(bits));
    }
}

/* Spoils one of the fields of a structure. */
static void spoil_one(void *structure, const field_t *fields, size_t count) {
    const field_t *const field = &fields[below((uint32_t)count)];
    uint8_t *const bytes = (uint8_t *)structure + field->offset;
    uint32_t value = 0U; /* little endian, as every machine that runs this */
    memcpy(&value, bytes, field->bytes);
    value = spoilt(value, 8U * (uint32_t)field->bytes);
    memcpy(bytes, &value, field->bytes);
}

static void spoil(void) {
    const size_t of_layer = sizeof layer_fields / sizeof *layer_fields;
    const size_t of_model = sizeof model_fields / sizeof *model_fields;
    if (below((uint32_t)(of_layer + of_model)) < of_layer) {
        spoil_one(&layers[below(3U) % model.layer_count], layer_fields, of_layer);
    } else {
        spoil_one(&model, model_fields, of_model);
    }
}

/* Gives the model its tables; false if they are too large to be tried. */
static bool add_tables(void) {
    const bool learns = (model.flags & (uint32_t)SPELA_FLAG_INFERENCE_ONLY) == 0U;
    const bool is_drawn = below(2U) == 0U && (learns || below(8U) == 0U);
    for (uint32_t i = 0U; i < model.layer_count; i++) {
        spela_layer_t *const layer = &layers[i];
        if (padded(layer->units) * padded(model.classes) > TABLE_BYTES ||
            (!is_drawn && weight_bytes(layer) > TABLE_BYTES)) {
            return false;
        }
        if (layer->units > 0U && model.classes > 0U) {
            layer->exit.embeddings = new_embeddings(layer);
        }
        layer->weights = is_drawn ? NULL : new_weights(layer);
    }
    return true;
}

/* A bias takes one of the first layer's inputs. */
static size_t sample_inputs(void) {
    return layers[0].inputs - ((model.flags & (uint32_t)SPELA_FLAG_BIAS) != 0U ? 1U : 0U);
}

static void fill_sample(int8_t *sample, uint32_t kind) {
    for (uint32_t i = 0U; i < sample_inputs(); i++) {
        const int32_t random = (int32_t)below(256U) - 128;
        const int32_t values[STEPS] = {-128, random, 127, 0, random < 0 ? -128 : 127, random % 3};
        sample[i] = (int8_t)values[kind];
    }
}

/* Everything that can be done with a network, with extreme samples. */
static void use(spela_t *network) {
    int8_t *const sample = new_table(sample_inputs());
    spela_result_t result;
    for (uint32_t step = 0U; step < STEPS; step++) {
        fill_sample(sample, step);
        for (uint16_t exit = 0U; exit < model.layer_count; exit++) {
            if (spela_infer_exit(network, sample, sample_inputs(), exit, &result) != SPELA_OK) {
                abort();
            }
        }
        if (spela_infer_early(network, sample, sample_inputs(), &result) != SPELA_OK) {
            abort();
        }
        (void)spela_learn(network, sample, sample_inputs(), (uint16_t)below(model.classes),
                          &result);
        (void)spela_digest(network);
    }
    (void)spela_reset(network);
}

/* Whether the model is accepted; then it is used, in an arena that is as small as it may be. */
static bool try_model(void) {
    static uint64_t scratch[ARENA_BYTES / 8U];
    spela_t *network = NULL;
    if (spela_init(&network, &model, scratch, ARENA_BYTES) != SPELA_OK) {
        return false;
    }
    size_t too_small = 0U;
    size_t enough = ARENA_BYTES;
    while (enough - too_small > 1U) {
        const size_t middle = too_small + (enough - too_small) / 2U;
        if (spela_init(&network, &model, scratch, middle) == SPELA_OK) {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
    void *const arena = new_table(enough);
    if (spela_init(&network, &model, arena, enough) != SPELA_OK) {
        abort();
    }
    use(network);
    return true;
}

int main(int count, char **arguments) {
    if (count != 3) {
        return 2;
    }
    state = strtoull(arguments[1], NULL, 10);
    const uint32_t models = (uint32_t)strtoul(arguments[2], NULL, 10);
    uint32_t accepted = 0U;
    uint32_t refused = 0U;
    for (uint32_t i = 0U; i < models; i++) {
        draw_model();
        for (uint32_t spoils = below(3U); spoils > 0U && model.layer_count > 0U; spoils--) {
            spoil();
        }
        if (add_tables()) {
            if (try_model()) {
                accepted++;
            } else {
                refused++;
            }
        }
        while (table_count > 0U) {
            table_count--;
            free(tables[table_count]);
        }
    }
    printf("%u accepted, %u refused\n", (unsigned)accepted, (unsigned)refused);
    return 0;
}
