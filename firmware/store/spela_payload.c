/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What of a network is kept: the payload of a slot (docs/store.md).
 *
 * One walk through the learned state describes it, whichever way it goes: to flash, from flash to
 * be checked without changing anything, from flash into the arena, and a part of it to whoever asks
 * for it.
 */
#include "spela_payload.h"

#include "spela_network.h"

/* Tags of a payload's sections. One with this bit may be skipped by a reader that does not know it;
 * any other makes it refuse the state. */
#define SECTION_OPTIONAL UINT32_C(0x8000)
enum {
    SECTION_NETWORK = 1,
    SECTION_LAYER = 2,
    SECTION_WEIGHTS = 3,
    SECTION_PENDING = 4,
    SECTION_CLASS = 6,
    SECTION_SLOTS = 7, /* of the memory: samples, or a mean */
    SECTION_LIMIT = 8,
    SECTION_DEVIATIONS = 9,
    SECTION_COMPANION = 0x8005 /* bytes of the user's */
};

#define NETWORK_WORDS 6U
#define LAYER_WORDS   3U
#define CLASS_WORDS   2U
#define LIMIT_MIN     UINT32_C(0x00010000) /* Q1.14 times 2^16 */
#define LIMIT_MAX     UINT32_C(0x7FFF0000)

typedef enum {
    WALK_SAVE,
    WALK_CHECK,
    WALK_LOAD,
    WALK_EXPORT
} way_t;

/* The part of the payload that an export asks for. */
typedef struct {
    uint8_t *data;
    uint32_t offset;
    uint32_t count;
    uint32_t at; /* how far the walk is */
} window_t;

typedef struct {
    spela_stream_t *stream; /* of WALK_EXPORT it tells alone whether it has failed */
    spela_t *network;       /* written only by WALK_LOAD, and so is the companion */
    void *companion;
    uint32_t companion_bytes;
    way_t way;
    spela_store_status_t status;
    window_t window;
} walk_t;

/* Where the walk stands, in terms of a layer. */
typedef struct {
    const spela_layer_t *layer;
    uint32_t index;
    uint32_t pending;
} place_t;

/* -------------------------------------------------------------------- pieces of a walk */

/** The first refusal is the one that is told. */
static void refuse(walk_t *walk, spela_store_status_t status) {
    if (walk->status == SPELA_STORE_OK) {
        walk->status = status;
    }
}

static void skip(walk_t *walk, uint32_t count) {
    uint8_t skipped[16];
    while (count != 0U && !walk->stream->failed) {
        const uint32_t part = count < sizeof skipped ? count : (uint32_t)sizeof skipped;
        spela_stream_take(walk->stream, skipped, part);
        count -= part;
    }
}

/** Bytes that pass by an export: those that it asks for are copied. */
static void show(window_t *window, const uint8_t *data, uint32_t count) {
    const uint32_t end = window->offset + window->count;
    const uint32_t from = window->offset > window->at ? window->offset - window->at : 0U;
    for (uint32_t i = from; i < count && window->at + i < end; i++) {
        window->data[window->at + i - window->offset] = data[i];
    }
    window->at += count;
}

/** Bytes that lie in the arena as they lie in flash. */
static void move(walk_t *walk, void *data, uint32_t count) {
    switch (walk->way) {
    case WALK_SAVE:
        spela_stream_put(walk->stream, data, count);
        break;
    case WALK_EXPORT:
        show(&walk->window, data, count);
        break;
    case WALK_LOAD:
        spela_stream_take(walk->stream, data, count);
        break;
    default:
        skip(walk, count);
        break;
    }
}

/** Whether the walk tells the state, and does not take one. */
static bool is_outward(const walk_t *walk) {
    return walk->way == WALK_SAVE || walk->way == WALK_EXPORT;
}

/** Words: to flash as they are given; from flash they are set, to be checked and then used. */
static void move_words(walk_t *walk, uint32_t *words, uint32_t count) {
    for (uint32_t i = 0U; i < count; i++) {
        uint8_t bytes[4] = {(uint8_t)words[i], (uint8_t)(words[i] >> 8), (uint8_t)(words[i] >> 16),
                            (uint8_t)(words[i] >> 24)};
        if (is_outward(walk)) {
            move(walk, bytes, sizeof bytes);
        } else {
            spela_stream_take(walk->stream, bytes, sizeof bytes);
            words[i] = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                       (uint32_t)bytes[3] << 24;
        }
    }
}

/** The head of a section: read, it must be this one, behind any that may be skipped. */
static void move_section(walk_t *walk, uint32_t tag, uint32_t index, uint32_t bytes) {
    for (;;) {
        uint32_t head[2] = {tag | index << 16, bytes};
        move_words(walk, head, 2U); /* outward, they stay as they are */
        if (head[0] == (tag | index << 16) && head[1] == bytes) {
            return;
        }
        if (walk->stream->failed || (head[0] & SECTION_OPTIONAL) == 0U) {
            refuse(walk, SPELA_STORE_OTHER_FORMAT);
            return;
        }
        skip(walk, head[1]);
    }
}

/** What is left must be the companion and sections that may be skipped. */
static void take_rest(walk_t *walk) {
    while (walk->stream->bytes != 0U && !walk->stream->failed) {
        uint32_t head[2] = {0U, 0U};
        move_words(walk, head, 2U);
        if ((head[0] & SECTION_OPTIONAL) == 0U) {
            refuse(walk, SPELA_STORE_OTHER_FORMAT);
        }
        if (head[0] == (uint32_t)SECTION_COMPANION && head[1] == walk->companion_bytes) {
            move(walk, walk->companion, walk->companion_bytes);
        } else {
            skip(walk, head[1]);
        }
    }
}

/* ------------------------------------------------------------------- the learned state */

static void walk_network(walk_t *walk) {
    spela_t *const network = walk->network;
    spela_counters_t *const counters = &network->counters;
    uint32_t words[NETWORK_WORDS] = {network->dither_state,   counters->samples,
                                     counters->layer_updates, counters->multipliers_clipped,
                                     counters->halvings,      counters->silent};
    move_section(walk, (uint32_t)SECTION_NETWORK, 0U, 4U * NETWORK_WORDS);
    move_words(walk, words, NETWORK_WORDS);
    if (walk->way == WALK_LOAD) {
        network->dither_state = words[0];
        counters->samples = words[1];
        counters->layer_updates = words[2];
        counters->multipliers_clipped = words[3];
        counters->halvings = words[4];
        counters->silent = words[5];
    }
}

/** A layer's counts; returns how many updates are pending. */
static uint32_t walk_layer_state(walk_t *walk, uint32_t index) {
    const spela_model_t *const model = walk->network->model.pointer;
    spela_layer_state_t *const state = &walk->network->layers[index];
    uint32_t words[LAYER_WORDS] = {state->updates, state->halvings, state->pending};
    move_section(walk, (uint32_t)SECTION_LAYER, index, 4U * LAYER_WORDS);
    move_words(walk, words, LAYER_WORDS);
    /* What learning keeps to, and what it may rely on. */
    if (words[0] >= SPELA_SCAN_INTERVAL || words[2] >= model->batch ||
        (words[1] > SPELA_HALVINGS_MAX &&
         !spela_has_flag(model, (uint32_t)SPELA_FLAG_WEIGHT_DECAY))) {
        refuse(walk, SPELA_STORE_CORRUPT);
        return 0U;
    }
    if (walk->way == WALK_LOAD) {
        state->updates = (uint16_t)words[0];
        state->halvings = words[1];
        state->pending = (uint16_t)words[2];
    }
    return words[2];
}

/** Takes weights and checks what inference and learning rely on: their range, which bounds the
 * sums, and that padding is zero. */
static void check_weights(walk_t *walk, const spela_layer_t *layer) {
    const bool is_int16 = SPELA_HAS_INT16(walk->network->model.pointer, layer);
    const int32_t half = (int32_t)(UINT32_C(1) << (layer->weight_bits - 1U));
    const spela_shape_t shape = spela_weight_shape(layer);
    for (uint32_t row = 0U; row < shape.rows && !walk->stream->failed; row += 4U) {
        for (uint32_t column = 0U; column < shape.columns; column += 4U) {
            for (uint32_t k = 0U; k < 16U; k++) { /* of a block of 4 by 4 */
                int16_t wide = 0;
                int8_t narrow = 0;
                spela_stream_take(walk->stream, is_int16 ? (void *)&wide : (void *)&narrow,
                                  is_int16 ? 2U : 1U);
                const int32_t weight = is_int16 ? wide : narrow;
                const bool is_padding =
                    row + k / 4U >= layer->units || column + k % 4U >= layer->inputs;
                if (weight < -half || weight >= half || (is_padding && weight != 0)) {
                    refuse(walk, SPELA_STORE_CORRUPT);
                }
            }
        }
    }
}

#ifdef SPELA_WITH_INT12
/** Takes residuals of filters: any are possible, but those of padding are zero. */
static void check_residuals(walk_t *walk, const spela_layer_t *layer) {
    const spela_shape_t shape = spela_weight_shape(layer);
    for (uint32_t row = 0U; row < shape.rows && !walk->stream->failed; row += 4U) {
        for (uint32_t column = 0U; column < shape.columns; column += 4U) {
            for (uint32_t k = 0U; k < 8U; k++) { /* of a block of 4 by 4, two in a byte */
                uint8_t pair = 0U;
                spela_stream_take(walk->stream, &pair, 1U);
                const uint32_t left = column + 2U * (k % 2U);
                uint32_t padding = left + 1U >= layer->inputs ? 0xF0U : 0U;
                padding = row + k / 2U >= layer->units || left >= layer->inputs ? 0xFFU : padding;
                if ((pair & padding) != 0U) {
                    refuse(walk, SPELA_STORE_CORRUPT);
                }
            }
        }
    }
}
#endif

static void walk_weights(walk_t *walk, const spela_layer_t *layer, uint32_t index) {
    const spela_t *const network = walk->network;
    const uint32_t bytes = spela_weight_bytes(network->model.pointer, layer);
    move_section(walk, (uint32_t)SECTION_WEIGHTS, index, bytes);
    if (walk->way == WALK_CHECK) {
        check_weights(walk, layer);
#ifdef SPELA_WITH_INT12
        if (SPELA_HAS_INT12(network->model.pointer, layer)) {
            check_residuals(walk, layer);
        }
#endif
    } else {
        move(walk, spela_at(network, network->layers[index].weights_offset), bytes);
    }
}

static uint32_t pending_bytes(const spela_layer_t *layer, uint32_t pending) {
    return pending * (layer->inputs + 2U * layer->units);
}

/** Whether an export asks for none of the next `count` bytes. */
static bool is_beside(const window_t *window, uint32_t count) {
    return window->at + count <= window->offset || window->at >= window->offset + window->count;
}

/** Pending updates as the digest of the learned state takes them (docs/arithmetic.md, 7). */
static void walk_pending(walk_t *walk, const place_t *place) {
    const spela_t *const network = walk->network;
    const spela_layer_t *const layer = place->layer;
    const uint32_t stride = spela_stride(network->model.pointer);
    move_section(walk, (uint32_t)SECTION_PENDING, place->index,
                 pending_bytes(layer, place->pending));
    for (uint32_t k = 0U; k < place->pending; k++) {
        if (walk->way == WALK_EXPORT && is_beside(&walk->window, pending_bytes(layer, 1U))) {
            walk->window.at += pending_bytes(layer, 1U);
            continue;
        }
        int8_t *const inputs = spela_kept(network, place->index) + 4U * k;
        int16_t *const multipliers = spela_multipliers(network, place->index) + k;
        for (uint32_t i = 0U; i < layer->inputs; i++) {
            move(walk, &inputs[(i / 4U) * 4U * stride + i % 4U], 1U);
        }
        for (uint32_t j = 0U; j < layer->units; j++) {
            move(walk, &multipliers[j * stride], 2U);
        }
    }
}

#ifdef SPELA_WITH_CONTINUAL
/** What is rehearsed: samples or means, one in each slot. Their padding must be zero. */
static void walk_slots(walk_t *walk, void *slots, uint32_t count) {
    const spela_model_t *const model = walk->network->model.pointer;
    const uint32_t bytes = spela_slot_bytes(model);
    const uint32_t filled = spela_layer_inputs(model) * (SPELA_HAS_MEANS(model) ? 2U : 1U);
    if (walk->way != WALK_CHECK) {
        move(walk, slots, count * bytes);
        return;
    }
    for (uint32_t k = 0U; k < count && !walk->stream->failed; k++) {
        skip(walk, filled);
        for (uint32_t i = filled; i < bytes; i++) {
            uint8_t padding = 0U;
            spela_stream_take(walk->stream, &padding, 1U);
            if (padding != 0U) {
                refuse(walk, SPELA_STORE_CORRUPT);
            }
        }
    }
}

#ifdef SPELA_WITH_MEMORY_IN_FLASH
/** A sample that goes to a slot in flash; false if it cannot. */
static bool load_slot(walk_t *walk, uint32_t label, uint32_t slot) {
    spela_stream_take(walk->stream, spela_drawn(walk->network),
                      spela_slot_bytes(walk->network->model.pointer));
    return !walk->stream->failed && spela_load_slot(walk->network, label, slot);
}

/** A sample that comes from a slot in flash; false if it cannot be read. */
static bool give_slot(walk_t *walk, uint32_t label, uint32_t slot) {
    const uint32_t bytes = spela_slot_bytes(walk->network->model.pointer);
    if (walk->way == WALK_EXPORT && is_beside(&walk->window, bytes)) {
        walk->window.at += bytes;
        return true;
    }
    const int8_t *const sample = spela_read_slot(walk->network, label, slot);
    if (sample == NULL) {
        return false;
    }
    if (walk->way == WALK_SAVE) {
        spela_stream_put(walk->stream, sample, bytes);
    } else {
        show(&walk->window, (const uint8_t *)sample, bytes);
    }
    return true;
}

/** The samples of a class that lie in flash, one after the other through the arena. */
static void walk_memory_flash(walk_t *walk, uint32_t label, uint32_t count) {
    for (uint32_t slot = 0U; slot < count && !walk->stream->failed; slot++) {
        const bool is_done =
            walk->way == WALK_LOAD ? load_slot(walk, label, slot) : give_slot(walk, label, slot);
        walk->stream->failed = walk->stream->failed || !is_done;
    }
}
#endif

/** The limit below which an exit's answer is unknown. */
static void walk_limit(walk_t *walk, uint32_t exit) {
    int32_t *const limit = &spela_limits(walk->network)[exit];
    uint32_t word = (uint32_t)*limit;
    move_section(walk, (uint32_t)SECTION_LIMIT, exit, 4U);
    move_words(walk, &word, 1U);
    if (word < LIMIT_MIN || word > LIMIT_MAX) {
        refuse(walk, SPELA_STORE_CORRUPT);
    } else if (walk->way == WALK_LOAD) {
        *limit = (int32_t)word;
    } else {
        /* it is as it was */
    }
}

/** What is known of a class, and its samples. */
static void walk_class(walk_t *walk, uint32_t label) {
    const uint32_t capacity = walk->network->model.pointer->continual->capacity;
    spela_class_t *const state = &spela_classes(walk->network)[label];
    uint32_t words[CLASS_WORDS] = {state->seen, state->is_active};
    move_section(walk, (uint32_t)SECTION_CLASS, label, 4U * CLASS_WORDS);
    move_words(walk, words, CLASS_WORDS);
    if (words[1] > 1U || (words[1] == 0U && words[0] != 0U)) {
        refuse(walk, SPELA_STORE_CORRUPT);
        return;
    }
    if (walk->way == WALK_LOAD) {
        state->seen = words[0];
        state->is_active = words[1];
#ifdef SPELA_WITH_MEMORY_IN_FLASH
        if (SPELA_KEEPS_IN_FLASH(walk->network->model.pointer)) {
            spela_clear_slots(walk->network, label);
        }
#endif
    }
    const uint32_t count = words[0] < capacity ? words[0] : capacity;
    if (count != 0U) {
        const uint32_t bytes = count * spela_slot_bytes(walk->network->model.pointer);
        move_section(walk, (uint32_t)SECTION_SLOTS, label, bytes);
#ifdef SPELA_WITH_MEMORY_IN_FLASH
        if (SPELA_KEEPS_IN_FLASH(walk->network->model.pointer) && walk->way != WALK_CHECK) {
            walk_memory_flash(walk, label, count);
            return;
        }
#endif
        walk_slots(walk, spela_slot(walk->network, label, 0U), count);
    }
}
#endif

static void walk_state(walk_t *walk) {
    const spela_model_t *const model = walk->network->model.pointer;
    walk_network(walk);
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        place_t place = {&model->layers[i], i, 0U};
        place.pending = walk_layer_state(walk, i);
        walk_weights(walk, place.layer, i);
        if (place.pending != 0U) {
            walk_pending(walk, &place);
        }
    }
#ifdef SPELA_WITH_CONTINUAL
    for (uint32_t i = 0U; spela_follows(model) && i < spela_exits(model); i++) {
        walk_limit(walk, i);
    }
    if (SPELA_IS_CONTINUAL(model) && SPELA_HAS_MEANS(model)) {
        move_section(walk, (uint32_t)SECTION_DEVIATIONS, 0U, spela_deviation_bytes(model));
        walk_slots(walk, spela_deviations(walk->network), 1U);
    }
    for (uint32_t c = 0U; SPELA_IS_CONTINUAL(model) && c < model->classes; c++) {
        walk_class(walk, c);
    }
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    if (SPELA_IS_CONTINUAL(model) && SPELA_KEEPS_IN_FLASH(model) &&
        (walk->way == WALK_SAVE || walk->way == WALK_LOAD)) {
        spela_seal_memory_flash(walk->network);
    }
#endif
#endif
    if (!is_outward(walk)) {
        take_rest(walk);
    } else if (walk->companion_bytes != 0U) {
        move_section(walk, (uint32_t)SECTION_COMPANION, 0U, walk->companion_bytes);
        move(walk, walk->companion, walk->companion_bytes);
    } else {
        /* there is no companion */
    }
}

static walk_t walk_of(const spela_store_t *store, const spela_t *network, way_t way) {
    const walk_t walk = {.network = spela_at(network, 0U),
                         .companion = store == NULL ? NULL : store->companion,
                         .companion_bytes = store == NULL ? 0U : store->companion_bytes,
                         .way = way};
    return walk;
}

/* ------------------------------------------------------------------ what the store calls */

uint32_t spela_payload_bytes(const spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    uint32_t bytes = SPELA_SECTION_HEADER_BYTES + 4U * NETWORK_WORDS;
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        const spela_layer_t *const layer = &model->layers[i];
        bytes += SPELA_SECTION_HEADER_BYTES + 4U * LAYER_WORDS;
        bytes += SPELA_SECTION_HEADER_BYTES + spela_weight_bytes(model, layer);
        bytes += model->batch == 1U
                     ? 0U
                     : SPELA_SECTION_HEADER_BYTES + pending_bytes(layer, model->batch - 1U);
    }
#ifdef SPELA_WITH_CONTINUAL
    if (SPELA_IS_CONTINUAL(model)) {
        bytes += model->classes * (SPELA_SECTION_HEADER_BYTES + 4U * CLASS_WORDS);
        bytes += spela_follows(model) ? spela_exits(model) * (SPELA_SECTION_HEADER_BYTES + 4U) : 0U;
        bytes += model->continual->capacity == 0U ? 0U
                                                  : model->classes * SPELA_SECTION_HEADER_BYTES +
                                                        spela_memory_bytes(model, model->classes);
        bytes +=
            SPELA_HAS_MEANS(model) ? SPELA_SECTION_HEADER_BYTES + spela_deviation_bytes(model) : 0U;
    }
#endif
    return bytes;
}

void spela_payload_put(const spela_store_t *store, const spela_t *network, spela_stream_t *stream) {
    walk_t walk = walk_of(store, network, WALK_SAVE);
    walk.stream = stream;
    walk_state(&walk);
}

/** Reads a slot's payload; returns what is wrong with it. */
static spela_store_status_t read_state(const spela_store_t *store, const spela_t *network,
                                       way_t way, const spela_payload_t *payload) {
    walk_t walk = walk_of(store, network, way);
    spela_stream_t stream = spela_slot_open(store, payload->slot, payload->bytes);
    walk.stream = &stream;
    walk_state(&walk);
    if (way == WALK_CHECK && walk.status == SPELA_STORE_OK && stream.failed && stream.bytes == 0U) {
        return SPELA_STORE_CORRUPT; /* it ends within its last section */
    }
    if (walk.status == SPELA_STORE_OK && (stream.failed || ~stream.crc != payload->crc)) {
        return SPELA_STORE_ERROR_FLASH;
    }
    return walk.status;
}

spela_store_status_t spela_payload_check(const spela_store_t *store, const spela_t *network,
                                         const spela_payload_t *payload) {
    return read_state(store, network, WALK_CHECK, payload);
}

spela_store_status_t spela_payload_load(const spela_store_t *store, const spela_t *network,
                                        const spela_payload_t *payload) {
    return read_state(store, network, WALK_LOAD, payload);
}

uint32_t spela_store_export(const spela_store_t *store, const spela_t *network, uint32_t offset,
                            void *data, uint32_t count) {
    if (network == NULL || !spela_has_state(network) || (data == NULL && count != 0U)) {
        return 0U;
    }
    walk_t walk = walk_of(store, network, WALK_EXPORT);
    const window_t window = {data, offset, count <= UINT32_MAX - offset ? count : 0U, 0U};
    spela_stream_t stream = {.failed = false};
    walk.window = window;
    walk.stream = &stream;
    walk_state(&walk);
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    if (stream.failed) {
        return 0U;
    }
#endif
    return walk.window.at;
}
