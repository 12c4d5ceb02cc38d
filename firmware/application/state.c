/* SPDX-License-Identifier: Apache-2.0 */
/** The network's start, and its states in flash (docs/store.md). */
#include "request.h"

/** Of INFO. */
#define ABILITY_SAVE       1U
#define ABILITY_CHECKPOINT 2U
#define ABILITY_GUARD      4U
#define ABILITY_FROZEN     8U

uint32_t state_reset(application_t *device) {
    const spela_status_t status = spela_reset(device->network);
    if (status == SPELA_OK) {
        settings_reset(device);
        guard_set_baseline(device);
    }
    return (uint32_t)status;
}

static void start_network(application_t *device) {
    device->model = APPLICATION_MODEL;
    for (uint32_t i = 0U; i < APPLICATION_LAYER_COUNT; i++) {
        device->layers[i] = APPLICATION_MODEL.layers[i];
    }
    device->model.layers = device->layers;
    if (spela_init(&device->network, &device->model, device->arena, sizeof device->arena) !=
        SPELA_OK) {
        device->network = NULL; /* then every answer says so */
    }
    settings_reset(device);
}

static uint32_t common_abilities(const application_t *device) {
    uint32_t abilities = device->kept.is_frozen != 0U ? ABILITY_FROZEN : 0U;
#ifdef APPLICATION_GUARD_SAMPLES
    abilities |= ABILITY_GUARD;
#endif
    return abilities;
}

#ifdef SPELA_INFERENCE_ONLY

uint32_t state_abilities(const application_t *device) {
    return common_abilities(device);
}

void answer_store(application_t *device, const request_t *request) {
    answer_status(device, request, (uint32_t)SPELA_ERROR_READ_ONLY);
}

void answer_export(application_t *device, const request_t *request) {
    answer_status(device, request, (uint32_t)SPELA_ERROR_READ_ONLY);
}

uint32_t state_change(application_t *device, const request_t *request) {
    (void)device;
    (void)request;
    return (uint32_t)SPELA_ERROR_READ_ONLY;
}

uint32_t state_load(application_t *device, uint32_t store) {
    (void)device;
    (void)store;
    return (uint32_t)SPELA_ERROR_READ_ONLY;
}

#else

/** Bytes of an export that are in hand at once. */
#define EXPORT_BYTES 32U

void answer_export(application_t *device, const request_t *request) {
    static const spela_store_t companion_only = {.companion = &application.kept,
                                                 .companion_bytes = sizeof application.kept};
    const spela_store_t *const store = &companion_only;
    if (request->data_bytes != 4U) {
        answer_status(device, request, PROTOCOL_LENGTH);
        return;
    }
    uint8_t part[EXPORT_BYTES];
    uint32_t offset = request->argument;
    uint32_t left = word_at(request->data);
    const uint32_t whole = spela_store_export(store, device->network, 0U, part, 0U);
    if (whole == 0U) {
        answer_status(device, request, (uint32_t)SPELA_ERROR_READ_ONLY);
    } else if (offset > whole || left > whole - offset) {
        answer_status(device, request, PROTOCOL_RANGE);
    } else {
        answer_start(device, request, (uint32_t)SPELA_OK);
        frame_write_u32(&device->writer, whole);
        while (left != 0U) {
            const uint32_t count = left < EXPORT_BYTES ? left : EXPORT_BYTES;
            (void)spela_store_export(store, device->network, offset, part, count);
            frame_write_bytes(&device->writer, part, count);
            offset += count;
            left -= count;
        }
        frame_write_end(&device->writer);
    }
}

#ifdef APPLICATION_STORE_UNIT

/** Statuses of the protocol that stand for a store's. */
#define PROTOCOL_OF_STORE 144U

static uint32_t status_of(spela_store_status_t status) {
    switch (status) {
    case SPELA_STORE_OK:
        return (uint32_t)SPELA_OK;
    case SPELA_STORE_ERROR_READ_ONLY:
        return (uint32_t)SPELA_ERROR_READ_ONLY;
    case SPELA_STORE_ERROR_ORDER:
        return PROTOCOL_ORDER;
    default:
        return PROTOCOL_OF_STORE + (uint32_t)status;
    }
}

static const spela_slot_t application_slots[][2] = APPLICATION_SLOTS;

static bool has_store(uint32_t store) {
    return store < sizeof application_slots / sizeof application_slots[0];
}

static void start_stores(application_t *device) {
    for (uint32_t i = 0U; has_store(i); i++) {
        spela_store_t *const store = &device->stores[i];
        store->slots[0] = application_slots[i][0];
        store->slots[1] = application_slots[i][1];
        store->unit_bytes = APPLICATION_STORE_UNIT;
        store->buffer = device->units[i];
        store->companion = &device->kept;
        store->companion_bytes = sizeof device->kept;
    }
}

/** What follows a load, by what the store says. */
static uint32_t loaded(application_t *device, spela_store_status_t status, uint32_t baseline) {
    if (status == SPELA_STORE_OK) {
        settings_apply(device);
        guard_set_baseline(device);
    } else if (status == SPELA_STORE_ERROR_FLASH) {
        (void)state_reset(device); /* the network is reset, and what was kept may be torn */
    } else {
        device->kept.baseline = (uint16_t)baseline;
    }
    return status_of(status);
}

uint32_t state_load(application_t *device, uint32_t store) {
    if (!has_store(store)) {
        return PROTOCOL_NO_STORE;
    }
    const uint32_t baseline = device->kept.baseline;
    device->kept.baseline = NO_BASELINE; /* unless the state has one */
    return loaded(device, spela_store_load(&device->stores[store], device->network), baseline);
}

/** Goes on with the state that was saved. */
static void load_at_start(application_t *device) {
    const spela_store_status_t status =
        spela_store_load(&device->stores[STORE_SAVED], device->network);
    device->found = (uint8_t)status;
    (void)loaded(device, status, NO_BASELINE);
}

uint32_t state_abilities(const application_t *device) {
    return common_abilities(device) | ABILITY_SAVE |
           (has_store(STORE_CHECKPOINT) ? ABILITY_CHECKPOINT : 0U);
}

void answer_store(application_t *device, const request_t *request) {
    frame_writer_t *const writer = &device->writer;
    if (request->argument >= STORES) {
        answer_status(device, request, (uint32_t)SPELA_ERROR_ARGUMENT);
        return;
    }
    spela_store_t *const store = &device->stores[request->argument];
    spela_store_info_t info;
    if (!has_store(request->argument)) {
        answer_status(device, request, PROTOCOL_NO_STORE);
        return;
    }
    const spela_store_status_t status = spela_store_inspect(store, device->network, &info);
    answer_start(device, request, status_of(status));
    if (status == SPELA_STORE_OK) {
        frame_write_u32(writer, (uint32_t)info.status);
        frame_write_u32(writer, info.saves);
        frame_write_u32(writer, info.bytes);
        frame_write_u32(writer, store->slots[0].bytes);
    }
    frame_write_end(writer);
}

/** The body of an answer to what has replaced or read a state. */
static uint32_t keep_saved(application_t *device, uint32_t store, uint32_t status) {
    spela_store_info_t info;
    if (status == (uint32_t)SPELA_OK) {
        (void)spela_store_inspect(&device->stores[store], device->network, &info);
        keep_u32(device, info.saves);
        keep_u32(device, info.bytes);
    }
    return status;
}

static uint32_t save(application_t *device, uint32_t store) {
    const uint32_t baseline = device->kept.baseline;
    if (store == (uint32_t)STORE_CHECKPOINT) {
        device->kept.baseline = NO_BASELINE;
        guard_set_baseline(device);
    }
    const spela_store_status_t status = spela_store_save(&device->stores[store], device->network);
    if (status != SPELA_STORE_OK) {
        device->kept.baseline = (uint16_t)baseline;
    }
    return status_of(status);
}

static uint32_t start_import(application_t *device, const request_t *request) {
    if (request->data_bytes != 8U) {
        return PROTOCOL_LENGTH;
    }
    if (word_at(request->data) != device->model.digest) {
        return PROTOCOL_STORE_FOREIGN;
    }
    device->import_crc = word_at(&request->data[4]);
    return status_of(
        spela_store_import_start(&device->stores[STORE_SAVED], device->network, request->argument));
}

static uint32_t take_import(application_t *device, const request_t *request) {
    spela_store_t *const store = &device->stores[STORE_SAVED];
    if (request->data_bytes == 0U) {
        return PROTOCOL_LENGTH;
    }
    if (request->argument != store->import_done) {
        return PROTOCOL_ORDER;
    }
    const uint32_t status =
        status_of(spela_store_import_put(store, request->data, request->data_bytes));
    keep_u32(device, store->import_done);
    return status;
}

static uint32_t end_import(application_t *device) {
    const spela_store_status_t status =
        spela_store_import_end(&device->stores[STORE_SAVED], device->network, device->import_crc);
    return status == SPELA_STORE_OK ? state_load(device, STORE_SAVED) : status_of(status);
}

uint32_t state_change(application_t *device, const request_t *request) {
    const uint32_t store =
        request->command == COMMAND_CHECKPOINT || request->command == COMMAND_ROLLBACK
            ? STORE_CHECKPOINT
            : STORE_SAVED;
    if (!has_store(store)) {
        return PROTOCOL_NO_STORE;
    }
    switch (request->command) {
    case COMMAND_SAVE:
    case COMMAND_CHECKPOINT:
        return keep_saved(device, store, save(device, store));
    case COMMAND_LOAD:
    case COMMAND_ROLLBACK:
        return keep_saved(device, store, state_load(device, store));
    case COMMAND_IMPORT_START:
        return start_import(device, request);
    case COMMAND_IMPORT_PART:
        return take_import(device, request);
    default:
        return keep_saved(device, store, end_import(device));
    }
}

#else /* no store */

uint32_t state_abilities(const application_t *device) {
    return common_abilities(device);
}

void answer_store(application_t *device, const request_t *request) {
    const bool is_known = request->argument < STORES;
    answer_status(device, request,
                  is_known ? (uint32_t)PROTOCOL_NO_STORE : (uint32_t)SPELA_ERROR_ARGUMENT);
}

uint32_t state_change(application_t *device, const request_t *request) {
    (void)device;
    (void)request;
    return PROTOCOL_NO_STORE;
}

uint32_t state_load(application_t *device, uint32_t store) {
    (void)device;
    (void)store;
    return PROTOCOL_NO_STORE;
}

#endif
#endif

void application_start(application_t *device) {
    start_network(device);
    if (device->network == NULL) {
        return;
    }
#ifdef APPLICATION_STORE_UNIT
    start_stores(device);
    load_at_start(device);
#endif
    guard_set_baseline(device);
}
