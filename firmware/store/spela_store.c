/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What of a network is kept, and in which slot (docs/store.md).
 *
 * One walk through the learned state describes the payload, whichever way it goes: to flash, from
 * flash to be checked without changing anything, and from flash into the arena.
 */
#include "spela_store.h"

#include "spela_network.h"
#include "spela_slots.h"

/* Tags of a payload's sections. One with this bit may be skipped by a reader that does not know it;
 * any other makes it refuse the state. */
#define SECTION_OPTIONAL UINT32_C(0x8000)
enum {
    SECTION_NETWORK = 1,
    SECTION_LAYER = 2,
    SECTION_WEIGHTS = 3,
    SECTION_PENDING = 4
};

#define SECTION_HEADER_BYTES 8U
#define NETWORK_WORDS        6U
#define LAYER_WORDS          3U

typedef enum {
    WALK_SAVE,
    WALK_CHECK,
    WALK_LOAD
} way_t;

typedef struct {
    spela_stream_t stream;
    spela_t *network; /* written only by WALK_LOAD */
    way_t way;
    spela_store_status_t status;
} walk_t;

/* Where the walk stands, in terms of a layer. */
typedef struct {
    const spela_layer_t *layer;
    uint32_t index;
    uint32_t pending;
} place_t;

static bool learns(const spela_t *network) {
    (void)network;
    return SPELA_LEARNS(network->model.pointer);
}

/* -------------------------------------------------------------------- pieces of a walk */

/** The first refusal is the one that is told. */
static void refuse(walk_t *walk, spela_store_status_t status) {
    if (walk->status == SPELA_STORE_OK) {
        walk->status = status;
    }
}

static void skip(walk_t *walk, uint32_t count) {
    uint8_t skipped[16];
    while (count != 0U && !walk->stream.failed) {
        const uint32_t part = count < sizeof skipped ? count : (uint32_t)sizeof skipped;
        spela_stream_take(&walk->stream, skipped, part);
        count -= part;
    }
}

/** Bytes that lie in the arena as they lie in flash. */
static void move(walk_t *walk, void *data, uint32_t count) {
    switch (walk->way) {
    case WALK_SAVE:
        spela_stream_put(&walk->stream, data, count);
        break;
    case WALK_LOAD:
        spela_stream_take(&walk->stream, data, count);
        break;
    default:
        skip(walk, count);
        break;
    }
}

/** Words: to flash as they are given; from flash they are set, to be checked and then used. */
static void move_words(walk_t *walk, uint32_t *words, uint32_t count) {
    for (uint32_t i = 0U; i < count; i++) {
        uint8_t bytes[4] = {(uint8_t)words[i], (uint8_t)(words[i] >> 8), (uint8_t)(words[i] >> 16),
                            (uint8_t)(words[i] >> 24)};
        if (walk->way == WALK_SAVE) {
            spela_stream_put(&walk->stream, bytes, sizeof bytes);
        } else {
            spela_stream_take(&walk->stream, bytes, sizeof bytes);
            words[i] = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                       (uint32_t)bytes[3] << 24;
        }
    }
}

/** The head of a section: read, it must be this one, behind any that may be skipped. */
static void move_section(walk_t *walk, uint32_t tag, uint32_t index, uint32_t bytes) {
    for (;;) {
        uint32_t head[2] = {tag | index << 16, bytes};
        move_words(walk, head, 2U);
        if (head[0] == (tag | index << 16) && head[1] == bytes) {
            return;
        }
        if (walk->stream.failed || (head[0] & SECTION_OPTIONAL) == 0U) {
            refuse(walk, SPELA_STORE_OTHER_FORMAT);
            return;
        }
        skip(walk, head[1]);
    }
}

/** What is left must be sections that may be skipped. */
static void skip_rest(walk_t *walk) {
    while (walk->stream.bytes != 0U && !walk->stream.failed) {
        uint32_t head[2] = {0U, 0U};
        move_words(walk, head, 2U);
        if ((head[0] & SECTION_OPTIONAL) == 0U) {
            refuse(walk, SPELA_STORE_OTHER_FORMAT);
        }
        skip(walk, head[1]);
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
    const bool is_int16 = SPELA_IS_INT16(walk->network->model.pointer);
    const int32_t half = (int32_t)(UINT32_C(1) << (layer->weight_bits - 1U));
    const spela_shape_t shape = spela_weight_shape(layer);
    for (uint32_t row = 0U; row < shape.rows && !walk->stream.failed; row += 4U) {
        for (uint32_t column = 0U; column < shape.columns; column += 4U) {
            for (uint32_t k = 0U; k < 16U; k++) { /* of a block of 4 by 4 */
                int16_t wide = 0;
                int8_t narrow = 0;
                spela_stream_take(&walk->stream, is_int16 ? (void *)&wide : (void *)&narrow,
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

static void walk_weights(walk_t *walk, const spela_layer_t *layer, uint32_t index) {
    const spela_t *const network = walk->network;
    const uint32_t bytes = spela_weight_bytes(network->model.pointer, layer);
    move_section(walk, (uint32_t)SECTION_WEIGHTS, index, bytes);
    if (walk->way == WALK_CHECK) {
        check_weights(walk, layer);
    } else {
        move(walk, spela_at(network, network->layers[index].weights_offset), bytes);
    }
}

static uint32_t pending_bytes(const spela_layer_t *layer, uint32_t pending) {
    return pending * (layer->inputs + 2U * layer->units);
}

/** Pending updates as the digest of the learned state takes them (docs/arithmetic.md, 7). */
static void walk_pending(walk_t *walk, const place_t *place) {
    const spela_t *const network = walk->network;
    const spela_layer_t *const layer = place->layer;
    const uint32_t stride = spela_stride(network->model.pointer);
    move_section(walk, (uint32_t)SECTION_PENDING, place->index,
                 pending_bytes(layer, place->pending));
    for (uint32_t k = 0U; k < place->pending; k++) {
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
    if (walk->way != WALK_SAVE) {
        skip_rest(walk);
    }
}

/** Reads a slot's payload; returns what is wrong with it. */
static spela_store_status_t read_state(const spela_store_t *store, spela_t *network, way_t way,
                                       const spela_slot_view_t *view) {
    walk_t walk = {spela_slot_open(store, store->in_use, view->bytes), network, way,
                   SPELA_STORE_OK};
    walk_state(&walk);
    if (walk.status == SPELA_STORE_OK && (walk.stream.failed || ~walk.stream.crc != view->crc)) {
        return SPELA_STORE_ERROR_FLASH;
    }
    return walk.status;
}

/* ---------------------------------------------------------------------- which slot */

/** How good a slot is for a network: the better is in use, and of equals the newer. */
static uint32_t worth(const spela_slot_view_t *view, const spela_t *network) {
    if (view->content != SPELA_SLOT_WHOLE) {
        return 0U;
    }
    return view->version == SPELA_STORE_FORMAT_VERSION &&
                   view->digest == network->model.pointer->digest
               ? 2U
               : 1U;
}

/** What a start finds, by what its two slots hold. */
static spela_store_status_t judge(const spela_slot_view_t views[2], uint32_t in_use,
                                  const spela_t *network) {
    if (in_use == SPELA_SLOT_NONE) {
        return views[0].content == SPELA_SLOT_BROKEN || views[1].content == SPELA_SLOT_BROKEN
                   ? SPELA_STORE_CORRUPT
                   : SPELA_STORE_EMPTY;
    }
    if (views[in_use].version != SPELA_STORE_FORMAT_VERSION) {
        return SPELA_STORE_OTHER_FORMAT;
    }
    if (views[in_use].digest != network->model.pointer->digest) {
        return SPELA_STORE_FOREIGN;
    }
    return views[in_use].bytes == 0U ? SPELA_STORE_EMPTY : SPELA_STORE_OK;
}

/**
 * Decides which slot is in use: once, since a word that the power cut tore may read differently
 * each time, and a save must not erase what a load has given out.
 */
static void decide(spela_store_t *store, const spela_t *network) {
    const spela_slot_view_t views[2] = {spela_slot_view(store, 0U), spela_slot_view(store, 1U)};
    const uint32_t worths[2] = {worth(&views[0], network), worth(&views[1], network)};
    uint32_t newer = 0U;
    if (views[1].has_header &&
        (!views[0].has_header || spela_is_newer(views[1].sequence, views[0].sequence))) {
        newer = 1U;
    }
    uint32_t in_use = worths[newer] >= worths[1U - newer] ? newer : 1U - newer;
    if (worths[in_use] == 0U) {
        in_use = SPELA_SLOT_NONE;
    } else {
        spela_slot_confirm(store, in_use);
    }
    store->saves = views[newer].sequence; /* 0 without a header */
    store->found = (uint8_t)judge(views, in_use, network);
    store->in_use = (uint8_t)in_use;
    store->is_decided = true;
}

/** What every call asks first. */
static spela_store_status_t prepare(spela_store_t *store, const spela_t *network) {
    if (store == NULL || network == NULL || !spela_slots_are_valid(store)) {
        return SPELA_STORE_ERROR_ARGUMENT;
    }
    if (!learns(network)) {
        return SPELA_STORE_ERROR_READ_ONLY;
    }
    if (!store->is_decided) {
        decide(store, network);
    }
    return SPELA_STORE_OK;
}

/* ---------------------------------------------------------------------- what users call */

uint32_t spela_store_slot_bytes(const spela_t *network, uint32_t unit_bytes) {
    if (network == NULL || !learns(network) || !spela_is_unit(unit_bytes)) {
        return 0U;
    }
    const spela_model_t *const model = network->model.pointer;
    uint32_t bytes = SECTION_HEADER_BYTES + 4U * NETWORK_WORDS;
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        const spela_layer_t *const layer = &model->layers[i];
        bytes += SECTION_HEADER_BYTES + 4U * LAYER_WORDS;
        bytes += SECTION_HEADER_BYTES + spela_weight_bytes(model, layer);
        bytes += model->batch == 1U
                     ? 0U
                     : SECTION_HEADER_BYTES + pending_bytes(layer, model->batch - 1U);
    }
    return spela_slot_overhead(unit_bytes) + (bytes + unit_bytes - 1U) / unit_bytes * unit_bytes;
}

/** As after spela_init, which spela_reset alone does not bring about: it leaves padding alone. */
static void start_again(spela_t *network) {
    const spela_model_t *const model = network->model.pointer;
    for (uint32_t i = 0U; i < model->layer_count; i++) {
        uint8_t *const weights = spela_at(network, network->layers[i].weights_offset);
        for (uint32_t k = 0U; k < spela_weight_bytes(model, &model->layers[i]); k++) {
            weights[k] = 0U;
        }
    }
    (void)spela_reset(network);
}

spela_store_status_t spela_store_load(spela_store_t *store, spela_t *network) {
    spela_store_status_t status = prepare(store, network);
    if (status == SPELA_STORE_OK) {
        status = (spela_store_status_t)store->found;
    }
    if (status != SPELA_STORE_OK) {
        return status;
    }
    const spela_slot_view_t view = spela_slot_view(store, store->in_use);
    if (view.content != SPELA_SLOT_WHOLE) {
        return SPELA_STORE_CORRUPT; /* since it was decided */
    }
    status = read_state(store, network, WALK_CHECK, &view);
    if (status != SPELA_STORE_OK) {
        return status;
    }
    status = read_state(store, network, WALK_LOAD, &view);
    if (status != SPELA_STORE_OK) {
        start_again(network);
        return SPELA_STORE_ERROR_FLASH;
    }
    return SPELA_STORE_OK;
}

/** Writes a state, or that there is none, to the slot that is not in use. */
static spela_store_status_t write_slot(spela_store_t *store, const spela_t *network,
                                       bool is_state) {
    spela_store_status_t status = prepare(store, network);
    if (status != SPELA_STORE_OK) {
        return status;
    }
    const uint32_t needed = spela_store_slot_bytes(network, store->unit_bytes);
    if (store->slots[0].bytes < needed || store->slots[1].bytes < needed) {
        return SPELA_STORE_ERROR_SIZE;
    }
    const uint32_t slot = store->in_use == 0U ? 1U : 0U;
    walk_t walk = {spela_slot_begin(store, slot), spela_at(network, 0U), WALK_SAVE, SPELA_STORE_OK};
    if (is_state) {
        walk_state(&walk);
    }
    if (!spela_slot_commit(store, slot, &walk.stream, store->saves + 1U,
                           network->model.pointer->digest)) {
        return SPELA_STORE_ERROR_FLASH;
    }
    store->saves++;
    store->in_use = (uint8_t)slot;
    store->found = (uint8_t)(is_state ? SPELA_STORE_OK : SPELA_STORE_EMPTY);
    return SPELA_STORE_OK;
}

spela_store_status_t spela_store_save(spela_store_t *store, const spela_t *network) {
    return write_slot(store, network, true);
}

spela_store_status_t spela_store_forget(spela_store_t *store, const spela_t *network) {
    return write_slot(store, network, false);
}

spela_store_status_t spela_store_inspect(spela_store_t *store, const spela_t *network,
                                         spela_store_info_t *info) {
    if (info == NULL) {
        return SPELA_STORE_ERROR_ARGUMENT;
    }
    const spela_store_status_t status = prepare(store, network);
    if (status != SPELA_STORE_OK) {
        return status;
    }
    info->status = (spela_store_status_t)store->found;
    info->saves = store->saves;
    info->bytes = 0U;
    if (store->in_use != SPELA_SLOT_NONE) {
        info->bytes = spela_slot_view(store, store->in_use).bytes;
    }
    return SPELA_STORE_OK;
}
