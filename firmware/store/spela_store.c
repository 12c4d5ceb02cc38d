/* SPDX-License-Identifier: Apache-2.0 */
/** Which slot a network's state is in, and how it gets there and back (docs/store.md). */
#include "spela_store.h"

#include "spela_network.h"
#include "spela_payload.h"
#include "spela_slots.h"

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
    if (!spela_has_state(network)) {
        return SPELA_STORE_ERROR_READ_ONLY;
    }
    store->import_bytes = 0U; /* its unit in the buffer is lost now */
    if (!store->is_decided) {
        decide(store, network);
    }
    return SPELA_STORE_OK;
}

/* ---------------------------------------------------------------------- what users call */

uint32_t spela_store_slot_bytes(const spela_t *network, uint32_t unit_bytes) {
    if (network == NULL || !spela_has_state(network) || !spela_is_unit(unit_bytes)) {
        return 0U;
    }
    return spela_slot_overhead(unit_bytes) +
           (spela_payload_bytes(network) + unit_bytes - 1U) / unit_bytes * unit_bytes;
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
    const spela_payload_t payload = {store->in_use, view.bytes, view.crc};
    status = spela_payload_check(store, network, &payload);
    if (status != SPELA_STORE_OK) {
        return status;
    }
    status = spela_payload_load(store, network, &payload);
    if (status != SPELA_STORE_OK) {
        start_again(network);
        return SPELA_STORE_ERROR_FLASH;
    }
    return SPELA_STORE_OK;
}

/** Whether both slots have room for a network's state, whatever is pending. */
static bool has_room(const spela_store_t *store, const spela_t *network) {
    const uint32_t unit = store->unit_bytes;
    uint32_t needed = spela_store_slot_bytes(network, unit);
    if (store->companion_bytes != 0U) {
        needed += (SPELA_SECTION_HEADER_BYTES + store->companion_bytes + unit - 1U) / unit * unit;
    }
    return store->slots[0].bytes >= needed && store->slots[1].bytes >= needed;
}

static uint32_t idle_slot(const spela_store_t *store) {
    return store->in_use == 0U ? 1U : 0U;
}

/** Makes the idle slot, whose payload has ended, the one in use. */
static spela_store_status_t commit(spela_store_t *store, const spela_t *network,
                                   const spela_stream_t *stream, spela_store_status_t found) {
    const uint32_t slot = idle_slot(store);
    if (!spela_slot_commit(store, slot, stream, store->saves + 1U,
                           network->model.pointer->digest)) {
        return SPELA_STORE_ERROR_FLASH;
    }
    store->saves++;
    store->in_use = (uint8_t)slot;
    store->found = (uint8_t)found;
    return SPELA_STORE_OK;
}

/** Writes a state, or that there is none, to the slot that is not in use. */
static spela_store_status_t write_slot(spela_store_t *store, const spela_t *network,
                                       bool is_state) {
    spela_store_status_t status = prepare(store, network);
    if (status != SPELA_STORE_OK) {
        return status;
    }
    if (!has_room(store, network)) {
        return SPELA_STORE_ERROR_SIZE;
    }
    spela_stream_t stream = spela_slot_begin(store, idle_slot(store));
    if (is_state) {
        spela_payload_put(store, network, &stream);
    }
    spela_stream_end(&stream);
    return commit(store, network, &stream, is_state ? SPELA_STORE_OK : SPELA_STORE_EMPTY);
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

/* ---------------------------------------------------------------------------- import */

static spela_stream_t import_stream(const spela_store_t *store) {
    const spela_stream_t stream = {
        store,
        store->import_address,
        store->import_at,
        store->import_done,
        store->import_crc,
        store->import_failed,
    };
    return stream;
}

/** Puts the stream of an import aside until its next part comes. */
static spela_store_status_t keep_import(spela_store_t *store, const spela_stream_t *stream) {
    store->import_address = stream->address;
    store->import_at = stream->at;
    store->import_done = stream->bytes;
    store->import_crc = stream->crc;
    store->import_failed = stream->failed;
    return stream->failed ? SPELA_STORE_ERROR_FLASH : SPELA_STORE_OK;
}

spela_store_status_t spela_store_import_start(spela_store_t *store, const spela_t *network,
                                              uint32_t bytes) {
    const spela_store_status_t status = prepare(store, network);
    if (status != SPELA_STORE_OK) {
        return status;
    }
    if (bytes == 0U) {
        return SPELA_STORE_ERROR_ARGUMENT;
    }
    const uint32_t overhead = spela_slot_overhead(store->unit_bytes);
    const uint32_t slot = idle_slot(store);
    if (!has_room(store, network) || bytes > store->slots[slot].bytes - overhead) {
        return SPELA_STORE_ERROR_SIZE;
    }
    const spela_stream_t stream = spela_slot_begin(store, slot);
    store->import_bytes = stream.failed ? 0U : bytes;
    return keep_import(store, &stream);
}

spela_store_status_t spela_store_import_put(spela_store_t *store, const void *data,
                                            uint32_t count) {
    if (store == NULL || data == NULL) {
        return SPELA_STORE_ERROR_ARGUMENT;
    }
    if (store->import_bytes == 0U || count > store->import_bytes - store->import_done) {
        return SPELA_STORE_ERROR_ORDER;
    }
    spela_stream_t stream = import_stream(store);
    spela_stream_put(&stream, data, count);
    return keep_import(store, &stream);
}

spela_store_status_t spela_store_import_end(spela_store_t *store, const spela_t *network,
                                            uint32_t crc) {
    if (store == NULL || network == NULL) {
        return SPELA_STORE_ERROR_ARGUMENT;
    }
    if (store->import_bytes == 0U || store->import_done != store->import_bytes) {
        return SPELA_STORE_ERROR_ORDER;
    }
    store->import_bytes = 0U;
    spela_stream_t stream = import_stream(store);
    spela_stream_end(&stream);
    if (stream.failed) {
        return SPELA_STORE_ERROR_FLASH;
    }
    if (~stream.crc != crc) {
        return SPELA_STORE_CORRUPT;
    }
    const spela_payload_t payload = {idle_slot(store), stream.bytes, crc};
    const spela_store_status_t status = spela_payload_check(store, network, &payload);
    return status == SPELA_STORE_OK ? commit(store, network, &stream, SPELA_STORE_OK) : status;
}
