/* SPDX-License-Identifier: Apache-2.0 */
/** A request in hand, and what the parts of the application do about it. Private to it. */
#ifndef REQUEST_H
#define REQUEST_H

#include "application.h"

typedef struct {
    uint8_t command;
    uint8_t flags;
    uint16_t number;
    uint32_t argument;
    const uint8_t *data;
    uint32_t data_bytes;
    bool is_repeated; /**< it was answered before, and is not to be counted again */
} request_t;

static inline uint32_t half_at(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8);
}

static inline uint32_t word_at(const uint8_t *bytes) {
    return half_at(bytes) | (half_at(&bytes[2]) << 16);
}

/** Counts up, and stops at the maximum. */
static inline void count_up(uint32_t *counter) {
    *counter += *counter != UINT32_MAX;
}

/** The library checks the length, as it checks the label. */
static inline const int8_t *sample_of(const request_t *request) {
    return (const int8_t *)request->data;
}

/* Answers that are sent as they are made; the caller writes the body and ends the frame. */
void answer_start(application_t *device, const request_t *request, uint32_t status);
void answer_status(application_t *device, const request_t *request, uint32_t status);

/* The body of an answer that is kept: at most KEPT_BODY_BYTES in all. */
void keep_u16(application_t *device, uint32_t value);
void keep_u32(application_t *device, uint32_t value);
void keep_bytes(application_t *device, const uint8_t *bytes, uint32_t count);

/* network.c */

void answer_info(application_t *device, const request_t *request);
void answer_infer(application_t *device, const request_t *request);

/** INFER_LAST, INFER_EARLY and, if classes come and go, ASK: what one inference says. */
void answer_result(application_t *device, const request_t *request);

void answer_state(application_t *device, const request_t *request);
void answer_counters(application_t *device, const request_t *request);

/** If there is a frozen network. */
void answer_features(application_t *device, const request_t *request);

/** LEARN; returns the status. */
uint32_t network_learn(application_t *device, const request_t *request);

/* front_end.c, if there is one. */

void answer_sample(application_t *device, const request_t *request);

/** PUSH: takes readings as an interrupt would, and does after each what the main loop would.
 *  Returns the status. */
uint32_t front_end_push(application_t *device, const request_t *request);

/** Puts the front end's sample in the place of one of no values; returns whether there is one. */
bool front_end_find_sample(request_t *request);

/* settings.c: what is kept beside the network's own state. */

/** As it left the factory. */
void settings_reset(application_t *device);

/** Has the network follow the layers' settings. */
void settings_apply(application_t *device);

/** Counts an answer of the network, unless the request is repeated. */
void figures_count(application_t *device, const request_t *request, const spela_result_t *result);

void answer_statistics(application_t *device, const request_t *request);

/** NAME, FREEZE, RATE, THRESHOLDS; returns the status. */
uint32_t settings_change(application_t *device, const request_t *request);

/* state.c: states in flash. */

/** Back to the factory's weights, settings, names and figures. */
uint32_t state_reset(application_t *device);

/** Abilities of INFO that concern states in flash. */
uint32_t state_abilities(const application_t *device);

void answer_store(application_t *device, const request_t *request);
void answer_export(application_t *device, const request_t *request);

/** SAVE, LOAD, CHECKPOINT, ROLLBACK and imports; returns the status. */
uint32_t state_change(application_t *device, const request_t *request);

/** Goes back to a state in flash, or changes nothing; returns the status. */
uint32_t state_load(application_t *device, uint32_t store);

/* classes.c, if classes come and go. */

void answer_classes(application_t *device, const request_t *request);

/** ADD_CLASS, FORGET, REHEARSE; returns the status. */
uint32_t classes_change(application_t *device, const request_t *request);

/* guard.c */

/** Makes what is right now the baseline, if none is known of this guard. */
void guard_set_baseline(application_t *device);

/** To be called for each sample learned: looks when it is time, and may go back. Returns what LEARN
 *  says of the guard. */
uint32_t guard_count(application_t *device);

/** GUARD; returns the status. */
uint32_t guard_answer(application_t *device);

#endif /* REQUEST_H */
