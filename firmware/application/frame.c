/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include "port.h"

#define CRC_START 0xFFFFFFFFU

/* CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320), four bits at a time. */
static uint32_t crc_byte(uint32_t crc, uint8_t byte) {
    static const uint32_t table[16] = {
        0x00000000U, 0x1DB71064U, 0x3B6E20C8U, 0x26D930ACU, 0x76DC4190U, 0x6B6B51F4U,
        0x4DB26158U, 0x5005713CU, 0xEDB88320U, 0xF00F9344U, 0xD6D6A3E8U, 0xCB61B38CU,
        0x9B64C2B0U, 0x86D3D2D4U, 0xA00AE278U, 0xBDBDF21CU,
    };
    uint32_t value = crc ^ byte;
    value = (value >> 4) ^ table[value & 15U];
    value = (value >> 4) ^ table[value & 15U];
    return value;
}

static void restart(frame_reader_t *reader) {
    reader->length = 0U;
    reader->left = 0U;
    reader->implied_zero = false;
    reader->overlong = false;
    reader->started = false;
}

void frame_read_start(frame_reader_t *reader, uint8_t *bytes, uint32_t capacity) {
    reader->bytes = bytes;
    reader->capacity = capacity;
    restart(reader);
}

static void store(frame_reader_t *reader, uint8_t byte) {
    if (reader->length < reader->capacity) {
        reader->bytes[reader->length] = byte;
        reader->length++;
    } else {
        reader->overlong = true;
    }
}

static frame_event_t check(const frame_reader_t *reader, uint32_t *payload_bytes) {
    if (reader->overlong) {
        return FRAME_OVERLONG;
    }
    if (reader->left != 0U || reader->length < FRAME_CRC_BYTES) {
        return FRAME_MALFORMED;
    }
    const uint32_t payload = reader->length - FRAME_CRC_BYTES;
    uint32_t crc = CRC_START;
    for (uint32_t i = 0U; i < payload; i++) {
        crc = crc_byte(crc, reader->bytes[i]);
    }
    crc = ~crc;
    for (uint32_t i = 0U; i < FRAME_CRC_BYTES; i++) {
        if (reader->bytes[payload + i] != (uint8_t)(crc >> (8U * i))) {
            return FRAME_DAMAGED;
        }
    }
    *payload_bytes = payload;
    return FRAME_READY;
}

frame_event_t frame_read(frame_reader_t *reader, uint8_t byte, uint32_t *payload_bytes) {
    if (byte == 0U) {
        const frame_event_t event = reader->started ? check(reader, payload_bytes) : FRAME_PENDING;
        restart(reader);
        return event;
    }
    reader->started = true;
    if (reader->left == 0U) { /* a code byte: one more than the bytes that follow it */
        if (reader->implied_zero) {
            store(reader, 0U);
        }
        reader->left = (uint8_t)(byte - 1U);
        reader->implied_zero = byte != FRAME_BLOCK_BYTES;
    } else {
        store(reader, byte);
        reader->left--;
    }
    return FRAME_PENDING;
}

static void send_block(frame_writer_t *writer) {
    writer->block[0] = writer->fill;
    for (uint8_t i = 0U; i < writer->fill; i++) {
        port_write(writer->block[i]);
    }
    writer->fill = 1U;
}

static void encode(frame_writer_t *writer, uint8_t byte) {
    if (byte == 0U) {
        send_block(writer);
    } else {
        writer->block[writer->fill] = byte; /* fill < FRAME_BLOCK_BYTES: full blocks are sent */
        writer->fill++;
        if (writer->fill == FRAME_BLOCK_BYTES) {
            send_block(writer);
        }
    }
}

void frame_write_start(frame_writer_t *writer) {
    writer->crc = CRC_START;
    writer->fill = 1U;
}

void frame_write_u8(frame_writer_t *writer, uint8_t value) {
    writer->crc = crc_byte(writer->crc, value);
    encode(writer, value);
}

void frame_write_u16(frame_writer_t *writer, uint16_t value) {
    frame_write_u8(writer, (uint8_t)value);
    frame_write_u8(writer, (uint8_t)(value >> 8));
}

void frame_write_u32(frame_writer_t *writer, uint32_t value) {
    frame_write_u16(writer, (uint16_t)value);
    frame_write_u16(writer, (uint16_t)(value >> 16));
}

void frame_write_bytes(frame_writer_t *writer, const uint8_t *bytes, size_t count) {
    for (size_t i = 0U; i < count; i++) {
        frame_write_u8(writer, bytes[i]);
    }
}

void frame_write_end(frame_writer_t *writer) {
    const uint32_t crc = ~writer->crc;
    for (uint32_t i = 0U; i < FRAME_CRC_BYTES; i++) {
        encode(writer, (uint8_t)(crc >> (8U * i)));
    }
    send_block(writer); /* a last, empty block is just its code byte; decoders drop it */
    port_write(0U);
}
