/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Frames on a serial line: a payload and its CRC-32, COBS encoded, ended by a zero byte.
 *
 * docs/protocol.md describes them. Reading decodes byte by byte into the caller's buffer; writing
 * encodes byte by byte, so that an answer of any length needs no buffer of its own.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_CRC_BYTES 4U

typedef enum {
    FRAME_PENDING = 0,   /**< the frame has not ended yet */
    FRAME_READY = 1,     /**< ended: the payload lies in the buffer */
    FRAME_MALFORMED = 2, /**< ended: not COBS, or too short for a CRC */
    FRAME_DAMAGED = 3,   /**< ended: the CRC does not match */
    FRAME_OVERLONG = 4,  /**< ended: it did not fit the buffer */
} frame_event_t;

typedef struct {
    uint8_t *bytes;
    uint32_t capacity; /**< of the buffer: payload and CRC */
    uint32_t length;   /**< bytes decoded so far */
    uint8_t left;      /**< bytes left in the current COBS block */
    bool implied_zero; /**< the current block stands for a zero behind it */
    bool overlong;
    bool started;
} frame_reader_t;

/** Sets a reader to wait for the start of a frame. @param bytes  kept; [capacity] */
void frame_read_start(frame_reader_t *reader, uint8_t *bytes, uint32_t capacity);

/**
 * Takes a byte from the line. Zero bytes between frames are skipped.
 *
 * @param payload_bytes  on FRAME_READY, the payload's length without the CRC; may be 0
 */
frame_event_t frame_read(frame_reader_t *reader, uint8_t byte, uint32_t *payload_bytes);

/** The longest COBS block: a code byte and 254 others. */
#define FRAME_BLOCK_BYTES 255U

typedef struct {
    uint32_t crc;
    uint8_t fill; /**< bytes in the block, its code byte included */
    uint8_t block[FRAME_BLOCK_BYTES];
} frame_writer_t;

void frame_write_start(frame_writer_t *writer);
void frame_write_u8(frame_writer_t *writer, uint8_t value);
void frame_write_u16(frame_writer_t *writer, uint16_t value);
void frame_write_u32(frame_writer_t *writer, uint32_t value);
void frame_write_bytes(frame_writer_t *writer, const uint8_t *bytes, size_t count);

/** Ends the frame: CRC and zero byte. */
void frame_write_end(frame_writer_t *writer);

#endif /* FRAME_H */
