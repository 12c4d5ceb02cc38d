/* SPDX-License-Identifier: Apache-2.0 */
/** The conversation with a host: docs/protocol.md. All numbers are little endian. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include "frame.h"
#include "spela.h"

#define PROTOCOL_VERSION 1U

typedef enum {
    COMMAND_NONE = 0,        /**< answers to a frame that could not be read */
    COMMAND_INFO = 1,        /**< what the device runs */
    COMMAND_INFER = 2,       /**< a sample, at every exit */
    COMMAND_INFER_LAST = 3,  /**< a sample, by spela_infer */
    COMMAND_LEARN = 4,       /**< a labelled sample, by spela_learn */
    COMMAND_STATE = 5,       /**< a part of a layer's weights */
    COMMAND_COUNTERS = 6,    /**< diagnostics, and the digest of the learned state */
    COMMAND_RESET = 7,       /**< back to the initial weights */
    COMMAND_INFER_EARLY = 8, /**< a sample, by spela_infer_early */
    COMMAND_FLUSH = 9,       /**< applies pending updates */
    COMMAND_FEATURES = 10,   /**< a sample, by spela_features: if there is a frozen network */
    COMMAND_RECALL = 11,     /**< features, by spela_recall: if there is a frozen network */
    COMMAND_FAULT = 127,     /**< sent by the device alone: the core took a fault */
} command_t;

/** Statuses beside those of spela_status_t, which are below 128. */
typedef enum {
    PROTOCOL_MALFORMED = 128, /**< the frame is not COBS, or too short */
    PROTOCOL_DAMAGED = 129,   /**< the CRC does not match */
    PROTOCOL_OVERLONG = 130,  /**< the frame is longer than any request */
    PROTOCOL_UNKNOWN = 131,   /**< no such command */
    PROTOCOL_LENGTH = 132,    /**< the payload is not as long as the command says */
    PROTOCOL_RANGE = 133,     /**< offset and length reach beyond the layer's weights */
    PROTOCOL_FAULT = 255,     /**< of COMMAND_FAULT */
} protocol_status_t;

/** A request: command, flags, argument (label or layer) u16, then data. */
#define REQUEST_HEAD_BYTES  4U
#define STATE_REQUEST_BYTES (REQUEST_HEAD_BYTES + 8U)

/** Flag of COMMAND_LEARN: answer with the digest of the learned state. */
#define LEARN_FLAG_DIGEST 1U

/** Answers the request in `payload`. @param network  NULL if spela_init refused */
void protocol_answer(frame_writer_t *writer, spela_t *network, const uint8_t *payload,
                     uint32_t payload_bytes);

/** Answers a frame that could not be read. @param event  neither FRAME_PENDING nor FRAME_READY */
void protocol_refuse(frame_writer_t *writer, frame_event_t event);

#endif /* PROTOCOL_H */
