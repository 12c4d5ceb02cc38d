/* SPDX-License-Identifier: Apache-2.0 */
/** The host's end of the line, written apart from the firmware's: COBS and CRC-32, both ways. */
#ifndef LINE_H
#define LINE_H

#include <stddef.h>
#include <stdint.h>

#define LINE_BYTES_MAX 70000U

static inline uint32_t line_crc(const uint8_t *bytes, size_t count) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0U; i < count; i++) {
        crc ^= bytes[i];
        for (uint32_t bit = 0U; bit < 8U; bit++) {
            crc = (crc & 1U) != 0U ? (crc >> 1) ^ 0xEDB88320U : crc >> 1;
        }
    }
    return ~crc;
}

/** A payload as a frame, its zero byte included; `payload` has room for the CRC. */
static inline size_t line_encode(uint8_t *payload, size_t count, uint8_t *frame) {
    const uint32_t crc = line_crc(payload, count);
    for (uint32_t i = 0U; i < 4U; i++) {
        payload[count + i] = (uint8_t)(crc >> (8U * i));
    }
    size_t code = 0U;
    size_t end = 1U;
    for (size_t i = 0U; i < count + 4U; i++) {
        if (end - code == 255U) {
            frame[code] = 255U;
            code = end;
            end++;
        }
        if (payload[i] == 0U) {
            frame[code] = (uint8_t)(end - code);
            code = end;
            end++;
        } else {
            frame[end] = payload[i];
            end++;
        }
    }
    frame[code] = (uint8_t)(end - code);
    frame[end] = 0U;
    return end + 1U;
}

/** A frame without its zero byte: the payload's length, or SIZE_MAX if it is damaged. */
static inline size_t line_decode(const uint8_t *frame, size_t count, uint8_t *payload) {
    size_t length = 0U;
    for (size_t at = 0U; at < count;) {
        const size_t code = frame[at];
        if (code == 0U || at + code > count) {
            return SIZE_MAX;
        }
        for (size_t i = 1U; i < code; i++) {
            payload[length] = frame[at + i];
            length++;
        }
        at += code;
        if (code != 255U && at < count) {
            payload[length] = 0U;
            length++;
        }
    }
    if (length < 4U) {
        return SIZE_MAX;
    }
    length -= 4U;
    const uint32_t crc = line_crc(payload, length);
    for (uint32_t i = 0U; i < 4U; i++) {
        if (payload[length + i] != (uint8_t)(crc >> (8U * i))) {
            return SIZE_MAX;
        }
    }
    return length;
}

#endif
