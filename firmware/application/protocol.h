/* SPDX-License-Identifier: Apache-2.0 */
/** The conversation with a host: docs/protocol.md. All numbers are little endian. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include "frame.h"

#define PROTOCOL_VERSION 2U

typedef enum {
    COMMAND_NONE = 0,          /**< answers to a frame that could not be read */
    COMMAND_INFO = 1,          /**< what the device runs */
    COMMAND_INFER = 2,         /**< a sample, at every exit */
    COMMAND_INFER_LAST = 3,    /**< a sample, by spela_infer */
    COMMAND_LEARN = 4,         /**< a labelled sample, by spela_learn */
    COMMAND_STATE = 5,         /**< a part of a layer's weights */
    COMMAND_COUNTERS = 6,      /**< diagnostics, and the digest of the learned state */
    COMMAND_RESET = 7,         /**< back to the initial weights */
    COMMAND_INFER_EARLY = 8,   /**< a sample, by spela_infer_early */
    COMMAND_FLUSH = 9,         /**< applies pending updates */
    COMMAND_FEATURES = 10,     /**< a sample, by spela_features: if there is a frozen network */
    COMMAND_SAVE = 11,         /**< the learned state to flash */
    COMMAND_LOAD = 12,         /**< back to the state saved last */
    COMMAND_CHECKPOINT = 13,   /**< the learned state to flash, to roll back to */
    COMMAND_ROLLBACK = 14,     /**< back to the checkpoint */
    COMMAND_STORE = 15,        /**< what flash holds */
    COMMAND_EXPORT = 16,       /**< a part of the learned state */
    COMMAND_IMPORT_START = 17, /**< the size and CRC of a state to come */
    COMMAND_IMPORT_PART = 18,  /**< the next part of it */
    COMMAND_IMPORT_END = 19,   /**< checks it, saves it, and goes on with it */
    COMMAND_STATISTICS = 20,   /**< figures of learning, and of each class */
    COMMAND_NAME = 21,         /**< names a class */
    COMMAND_FORGET = 22,       /**< forgets a class: if classes come and go */
    COMMAND_FREEZE = 23,       /**< learning stops, or goes on */
    COMMAND_RATE = 24,         /**< a layer's learning rate */
    COMMAND_THRESHOLDS = 25,   /**< a layer's thresholds of early exit and rejection */
    COMMAND_GUARD = 26,        /**< how many of the guard's samples are right */
    COMMAND_RECALL = 27,       /**< features, by spela_recall: if there is a frozen network */
    COMMAND_PUSH = 28,         /**< raw readings: if there is a front end */
    COMMAND_SAMPLE = 29,       /**< the sample that became of them */
    COMMAND_ADD_CLASS = 30,    /**< makes a spare class active: if classes come and go */
    COMMAND_CLASSES = 31,      /**< what is known of each class: if they come and go */
    COMMAND_REHEARSE = 32,     /**< learns samples of the memory again: if there is one */
    COMMAND_ASK = 33,          /**< a sample, and whether its label is worth to ask for */
    COMMAND_FAULT = 127,       /**< sent by the device alone: the core took a fault */
} command_t;

/** Statuses beside those of spela_status_t, which are below 128. */
typedef enum {
    PROTOCOL_MALFORMED = 128,   /**< the frame is not COBS, or too short */
    PROTOCOL_DAMAGED = 129,     /**< the CRC does not match */
    PROTOCOL_OVERLONG = 130,    /**< the frame is longer than any request */
    PROTOCOL_UNKNOWN = 131,     /**< no such command */
    PROTOCOL_LENGTH = 132,      /**< the payload is not as long as the command says */
    PROTOCOL_RANGE = 133,       /**< offset and length reach beyond what there is */
    PROTOCOL_NO_STORE = 134,    /**< the board keeps no such state */
    PROTOCOL_FROZEN = 135,      /**< learning is frozen */
    PROTOCOL_UNSUPPORTED = 136, /**< the firmware was generated without it */
    PROTOCOL_ORDER = 137,       /**< no import was started, or this part is not the next */
    PROTOCOL_NOT_READY = 138,   /**< the front end has no complete sample */
    /* from here on, PROTOCOL_OF_STORE and a spela_store_status_t */
    PROTOCOL_STORE_EMPTY = 145,
    PROTOCOL_STORE_CORRUPT = 146,
    PROTOCOL_STORE_FOREIGN = 147,
    PROTOCOL_STORE_OTHER_FORMAT = 148,
    PROTOCOL_STORE_ARGUMENT = 149,
    PROTOCOL_STORE_SIZE = 150,
    PROTOCOL_STORE_FLASH = 151,
    PROTOCOL_FAULT = 255, /**< of COMMAND_FAULT */
} protocol_status_t;

/** A request: command, flags, number u16, argument u32, then data. */
#define REQUEST_HEAD_BYTES 8U

/** Flag of COMMAND_LEARN: answer with the digest of the learned state. */
#define LEARN_FLAG_DIGEST 1U

/** The longest body of an answer that is kept. */
#define KEPT_BODY_BYTES 16U

/** The last request that could be read, and, if it changed anything, its answer: the host may not
 *  have got it, and ask again. */
typedef struct {
    uint32_t crc;
    uint16_t number;
    bool is_known; /**< there was one */
    bool is_kept;  /**< it changed something: what follows is its answer */
    uint8_t status;
    uint8_t bytes;
    uint8_t body[KEPT_BODY_BYTES];
} last_request_t;

typedef struct application application_t;

/** Answers the request in the application's frame, whose CRC lies behind it. */
void protocol_answer(application_t *device, uint32_t payload_bytes);

/** Answers a frame that could not be read. @param event  neither FRAME_PENDING nor FRAME_READY */
void protocol_refuse(application_t *device, frame_event_t event);

#endif /* PROTOCOL_H */
