/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The two slots of a store on flash (docs/store.md).
 *
 * A slot: header, three seals, payload, each at a multiple of the unit. Programmed in the order
 * payload, header, seals; and every unit once after an erase. A slot counts if any of its seals is
 * not erased: then the header before it, and the payload before that, were programmed to the end.
 */
#include "spela_slots.h"

#include "spela_network.h" /* CRC-32 */

#define HEADER_BYTES 32U
#define HEADER_WORDS (HEADER_BYTES / 4U)
#define MAGIC        UINT32_C(0x534C5053) /* "SPLS", lowest byte first */
#define SEALS        3U
#define ERASED       UINT32_C(0xFFFFFFFF)

/* Words of the header. The first five and the last keep their place in every version. */
enum {
    WORD_MAGIC,
    WORD_VERSION,
    WORD_SEQUENCE,
    WORD_DIGEST,
    WORD_UNIT,
    WORD_BYTES,
    WORD_CRC,
    WORD_HEADER_CRC /* of the words before it */
};

bool spela_is_unit(uint32_t unit_bytes) {
    return unit_bytes >= 4U && unit_bytes <= 256U && (unit_bytes & (unit_bytes - 1U)) == 0U;
}

bool spela_slots_are_valid(const spela_store_t *store) {
    const uint32_t unit = store->unit_bytes;
    const spela_slot_t *const a = &store->slots[0];
    const spela_slot_t *const b = &store->slots[1];
    if (store->buffer == NULL || !spela_is_unit(unit)) {
        return false;
    }
    const uint32_t gap =
        a->address < b->address ? b->address - a->address : a->address - b->address;
    const uint32_t first_bytes = a->address < b->address ? a->bytes : b->bytes;
    return gap >= first_bytes && gap != 0U && a->bytes % unit == 0U && b->bytes % unit == 0U &&
           a->bytes >= spela_slot_overhead(unit) && b->bytes >= spela_slot_overhead(unit) &&
           a->bytes - 1U <= UINT32_MAX - a->address && b->bytes - 1U <= UINT32_MAX - b->address;
}

static uint32_t header_bytes(uint32_t unit_bytes) {
    return unit_bytes > HEADER_BYTES ? unit_bytes : HEADER_BYTES;
}

uint32_t spela_slot_overhead(uint32_t unit_bytes) {
    return header_bytes(unit_bytes) + SEALS * unit_bytes;
}

bool spela_is_newer(uint32_t a, uint32_t b) {
    return a - b - 1U < UINT32_C(0x7FFFFFFF);
}

/* ------------------------------------------------------------------------- streams */

spela_stream_t spela_slot_open(const spela_store_t *store, uint32_t slot, uint32_t bytes) {
    const spela_stream_t stream = {
        store,  store->slots[slot].address + spela_slot_overhead(store->unit_bytes),
        0U,     bytes,
        ERASED, false};
    return stream;
}

static void program_unit(spela_stream_t *stream) {
    const spela_store_t *const store = stream->store;
    if (!stream->failed && !spela_flash_program(store, stream->address, store->buffer)) {
        stream->failed = true;
    }
    stream->address += store->unit_bytes;
    stream->at = 0U;
}

void spela_stream_put(spela_stream_t *stream, const void *data, uint32_t count) {
    const uint8_t *const bytes = data;
    uint8_t *const buffer = (uint8_t *)stream->store->buffer;
    stream->crc = spela_crc_bytes(stream->crc, data, count);
    stream->bytes += count;
    for (uint32_t i = 0U; i < count; i++) {
        buffer[stream->at] = bytes[i];
        stream->at++;
        if (stream->at == stream->store->unit_bytes) {
            program_unit(stream);
        }
    }
}

void spela_stream_end(spela_stream_t *stream) {
    uint8_t *const buffer = (uint8_t *)stream->store->buffer;
    if (stream->at == 0U) {
        return;
    }
    while (stream->at < stream->store->unit_bytes) {
        buffer[stream->at] = (uint8_t)ERASED;
        stream->at++;
    }
    program_unit(stream);
}

void spela_stream_take(spela_stream_t *stream, void *data, uint32_t count) {
    const spela_store_t *const store = stream->store;
    const uint8_t *const buffer = (const uint8_t *)store->buffer;
    uint8_t *const bytes = data;
    for (uint32_t i = 0U; i < count; i++) {
        if (stream->at == 0U && !stream->failed) {
            stream->failed =
                stream->bytes == 0U ||
                !spela_flash_read(store, stream->address, store->buffer, store->unit_bytes);
            stream->address += store->unit_bytes;
        }
        if (stream->bytes == 0U) {
            stream->failed = true;
        }
        if (stream->failed) {
            bytes[i] = 0U;
            continue;
        }
        bytes[i] = buffer[stream->at];
        stream->at = (stream->at + 1U) % store->unit_bytes;
        stream->bytes--;
    }
    stream->crc = spela_crc_bytes(stream->crc, data, count);
}

/** Whether the payload can be read and has this CRC. */
static bool payload_is_whole(const spela_store_t *store, uint32_t slot, uint32_t bytes,
                             uint32_t crc) {
    spela_stream_t stream = spela_slot_open(store, slot, bytes);
    uint8_t taken[16] = {0U};
    while (stream.bytes != 0U && !stream.failed) {
        spela_stream_take(&stream, taken,
                          stream.bytes < sizeof taken ? stream.bytes : (uint32_t)sizeof taken);
    }
    return !stream.failed && ~stream.crc == crc;
}

/* --------------------------------------------------------------------------- seals */

static uint32_t seal_address(const spela_store_t *store, uint32_t slot, uint32_t seal) {
    return store->slots[slot].address + header_bytes(store->unit_bytes) + seal * store->unit_bytes;
}

/** Whether programming a seal was begun. A seal that cannot be read was torn. */
static bool seal_is_begun(const spela_store_t *store, uint32_t slot, uint32_t seal) {
    if (!spela_flash_read(store, seal_address(store, slot, seal), store->buffer,
                          store->unit_bytes)) {
        return true;
    }
    uint32_t common = ERASED;
    for (uint32_t i = 0U; i < store->unit_bytes / 4U; i++) {
        common &= store->buffer[i];
    }
    return common != ERASED;
}

static bool program_seal(const spela_store_t *store, uint32_t slot, uint32_t seal) {
    for (uint32_t i = 0U; i < store->unit_bytes / 4U; i++) {
        store->buffer[i] = 0U;
    }
    return spela_flash_program(store, seal_address(store, slot, seal), store->buffer);
}

/** Whether any seal was begun. */
static bool is_sealed(const spela_store_t *store, uint32_t slot) {
    for (uint32_t seal = 0U; seal < SEALS; seal++) {
        if (seal_is_begun(store, slot, seal)) {
            return true;
        }
    }
    return false;
}

void spela_slot_confirm(const spela_store_t *store, uint32_t slot) {
    for (uint32_t seal = 0U; seal < SEALS; seal++) {
        if (!seal_is_begun(store, slot, seal)) {
            /* If the flash refuses, the slot counts by the other seals as before. */
            (void)program_seal(store, slot, seal);
        }
    }
}

/* -------------------------------------------------------------------------- headers */

/* Headers are little endian, whatever the core is. */
static uint32_t header_word(const uint32_t header[HEADER_WORDS], uint32_t word) {
    const uint8_t *const bytes = (const uint8_t *)&header[word];
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void set_header_word(uint32_t header[HEADER_WORDS], uint32_t word, uint32_t value) {
    uint8_t *const bytes = (uint8_t *)&header[word];
    for (uint32_t i = 0U; i < 4U; i++) {
        bytes[i] = (uint8_t)(value >> (8U * i));
    }
}

static uint32_t header_crc(const uint32_t header[HEADER_WORDS]) {
    return ~spela_crc_bytes(ERASED, header, HEADER_BYTES - 4U);
}

spela_slot_view_t spela_slot_view(const spela_store_t *store, uint32_t slot) {
    spela_slot_view_t view = {SPELA_SLOT_UNSEALED, false, 0U, 0U, 0U, 0U, 0U};
    uint32_t header[HEADER_WORDS];
    if (!is_sealed(store, slot)) {
        return view;
    }
    view.content = SPELA_SLOT_BROKEN;
    view.has_header = spela_flash_read(store, store->slots[slot].address, header, HEADER_BYTES) &&
                      header_word(header, WORD_MAGIC) == MAGIC &&
                      header_word(header, WORD_HEADER_CRC) == header_crc(header) &&
                      header_word(header, WORD_UNIT) == store->unit_bytes;
    if (!view.has_header) {
        return view;
    }
    view.version = header_word(header, WORD_VERSION);
    view.sequence = header_word(header, WORD_SEQUENCE);
    view.digest = header_word(header, WORD_DIGEST);
    view.bytes = header_word(header, WORD_BYTES);
    view.crc = header_word(header, WORD_CRC);
    const uint32_t room = store->slots[slot].bytes - spela_slot_overhead(store->unit_bytes);
    if (view.bytes <= room && payload_is_whole(store, slot, view.bytes, view.crc)) {
        view.content = SPELA_SLOT_WHOLE;
    }
    return view;
}

/* --------------------------------------------------------------------------- writing */

spela_stream_t spela_slot_begin(const spela_store_t *store, uint32_t slot) {
    spela_stream_t stream = spela_slot_open(store, slot, 0U);
    /* Even if it reads as erased: after a cut that does not mean that it is. */
    stream.failed = !spela_flash_erase(store, store->slots[slot].address, store->slots[slot].bytes);
    return stream;
}

/** Programs the header and reads it back. */
static bool write_header(const spela_store_t *store, uint32_t slot,
                         const uint32_t header[HEADER_WORDS]) {
    const uint32_t address = store->slots[slot].address;
    spela_stream_t stream = {store, address, 0U, 0U, ERASED, false};
    uint32_t written[HEADER_WORDS];
    spela_stream_put(&stream, header, HEADER_BYTES);
    spela_stream_end(&stream);
    if (stream.failed || !spela_flash_read(store, address, written, HEADER_BYTES)) {
        return false;
    }
    uint32_t difference = 0U;
    for (uint32_t i = 0U; i < HEADER_WORDS; i++) {
        difference |= header[i] ^ written[i];
    }
    return difference == 0U;
}

bool spela_slot_commit(const spela_store_t *store, uint32_t slot, const spela_stream_t *stream,
                       uint32_t sequence, uint32_t digest) {
    if (stream->failed || !payload_is_whole(store, slot, stream->bytes, ~stream->crc)) {
        return false;
    }
    uint32_t header[HEADER_WORDS];
    set_header_word(header, WORD_MAGIC, MAGIC);
    set_header_word(header, WORD_VERSION, SPELA_STORE_FORMAT_VERSION);
    set_header_word(header, WORD_SEQUENCE, sequence);
    set_header_word(header, WORD_DIGEST, digest);
    set_header_word(header, WORD_UNIT, store->unit_bytes);
    set_header_word(header, WORD_BYTES, stream->bytes);
    set_header_word(header, WORD_CRC, ~stream->crc);
    set_header_word(header, WORD_HEADER_CRC, header_crc(header));
    if (!write_header(store, slot, header)) {
        return false;
    }
    for (uint32_t seal = 0U; seal < SEALS; seal++) {
        if (!program_seal(store, slot, seal) || !seal_is_begun(store, slot, seal)) {
            return false;
        }
    }
    return true;
}
