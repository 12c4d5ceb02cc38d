/* SPDX-License-Identifier: Apache-2.0 */
/** The ring of readings, and the sample that becomes of them. */
#include "spela_front_end.h"

#include "spela_arithmetic.h"
#include "spela_rows.h"

#define INPUT_MAX 127

/** What was written before is in memory before what follows is: an interrupt looks at both. */
#define IN_ORDER() __asm__ volatile("" ::: "memory")

/* ------------------------------------------------------------------- the interrupt's side */

static inline bool can_take(const spela_front_end_t *front_end) {
    const spela_front_end_state_t *const state = front_end->state;
    return state->gaps == state->acknowledged && state->head - state->tail < front_end->capacity;
}

/** A reading is lost. The first of a gap begins it: it lasts until the main loop has seen it. */
static bool lose(const spela_front_end_t *front_end) {
    spela_front_end_state_t *const state = front_end->state;
    const uint32_t gaps = state->gaps;
    if (gaps == state->acknowledged) {
        state->summed = 0U;
        state->gaps = gaps + 1U;
    }
    state->lost++;
    return false;
}

/** Where the ring holds the next reading. */
static inline int16_t *next_place(const spela_front_end_t *front_end) {
    return &front_end->ring[front_end->state->write_at * (uint32_t)front_end->axes];
}

/** Adds a value to those that are averaged; puts their mean into its place with the last. */
static void add(const spela_front_end_t *front_end, int16_t *place, uint32_t axis, int32_t value) {
    const uint32_t summed = front_end->state->summed;
    front_end->sums[axis] = value + (summed == 0U ? 0 : front_end->sums[axis]);
    if (summed + 1U == front_end->averaged) {
        place[axis] = (int16_t)spela_mean(front_end->sums[axis], front_end->averaged);
    }
}

static inline void put(const spela_front_end_t *front_end, int16_t *place, uint32_t axis,
                       int32_t value) {
    if (front_end->averaged > 1U) {
        add(front_end, place, axis, value);
    } else {
        place[axis] = (int16_t)value;
    }
}

static inline void finish(const spela_front_end_t *front_end) {
    spela_front_end_state_t *const state = front_end->state;
    if (front_end->averaged > 1U) {
        state->summed++;
        if (state->summed < front_end->averaged) {
            return;
        }
        state->summed = 0U;
    }
    const uint32_t next = state->write_at + 1U;
    state->write_at = (uint16_t)(next == front_end->capacity ? 0U : next);
    IN_ORDER();
    state->head++;
}

bool spela_push_int8(const spela_front_end_t *front_end, const int8_t *reading) {
    if (!can_take(front_end)) {
        return lose(front_end);
    }
    int16_t *const place = next_place(front_end);
    for (uint32_t axis = 0U; axis < front_end->axes; axis++) {
        put(front_end, place, axis, reading[axis]);
    }
    finish(front_end);
    return true;
}

bool spela_push_uint8(const spela_front_end_t *front_end, const uint8_t *reading) {
    if (!can_take(front_end)) {
        return lose(front_end);
    }
    int16_t *const place = next_place(front_end);
    for (uint32_t axis = 0U; axis < front_end->axes; axis++) {
        put(front_end, place, axis, reading[axis]);
    }
    finish(front_end);
    return true;
}

bool spela_push_int16(const spela_front_end_t *front_end, const int16_t *reading) {
    if (!can_take(front_end)) {
        return lose(front_end);
    }
    int16_t *const place = next_place(front_end);
    for (uint32_t axis = 0U; axis < front_end->axes; axis++) {
        put(front_end, place, axis, reading[axis]);
    }
    finish(front_end);
    return true;
}

bool spela_push_int32(const spela_front_end_t *front_end, const int32_t *reading) {
    if (!can_take(front_end)) {
        return lose(front_end);
    }
    int16_t *const place = next_place(front_end);
    const uint32_t shift = front_end->shift;
    for (uint32_t axis = 0U; axis < front_end->axes; axis++) {
        int32_t value = spela_shift_right(reading[axis], shift);
        if (shift > 0U) { /* rounded, in a way that cannot overflow */
            value += spela_shift_right(reading[axis], shift - 1U) & 1;
        }
        put(front_end, place, axis, spela_clip(value, INT16_MIN, INT16_MAX));
    }
    finish(front_end);
    return true;
}

/* ------------------------------------------------------------------- the main loop's side */

int8_t spela_scaled(int32_t feature, const spela_scale_t *scale) {
    /* |feature - offset| <= 2^18, factor < 2^12, shift <= 30 */
    const int32_t product = (feature - scale->offset) * (int32_t)scale->factor;
    const uint32_t shift = scale->shift;
    const int32_t half = (int32_t)((UINT32_C(1) << shift) >> 1);
    return (int8_t)spela_clip(spela_shift_right(product + half, shift), -INPUT_MAX, INPUT_MAX);
}

/** Is done with the next readings; there are so many. */
static void advance(const spela_front_end_t *front_end, uint32_t readings) {
    spela_front_end_state_t *const state = front_end->state;
    const uint32_t at = state->read_at + readings; /* below twice the capacity */
    state->read_at = (uint16_t)(at >= front_end->capacity ? at - front_end->capacity : at);
    IN_ORDER();
    state->tail += readings;
}

/** Begins the next sample with the rows that it shares with the last one. */
static void begin_next(const spela_front_end_t *front_end) {
    spela_front_end_state_t *const state = front_end->state;
    const uint32_t kept = (uint32_t)front_end->kept * front_end->channels;
    const uint32_t gone = (uint32_t)front_end->rows * front_end->channels - kept;
    for (uint32_t i = 0U; i < kept; i++) {
        front_end->sample[i] = front_end->sample[gone + i];
    }
    state->rows = front_end->kept;
    state->skip = front_end->skip;
    state->is_taken = false;
}

static void compute_row(const spela_front_end_t *front_end) {
    spela_front_end_state_t *const state = front_end->state;
    int8_t *const row = &front_end->sample[(uint32_t)state->rows * front_end->channels];
    switch (front_end->row) {
#ifndef SPELA_NO_STATISTICS
    case SPELA_ROW_STATISTICS:
        spela_statistics_row(front_end, row);
        break;
#endif
#ifndef SPELA_NO_SPECTRUM
    case SPELA_ROW_SPECTRUM:
        spela_spectrum_row(front_end, row);
        break;
#endif
    default:
        for (uint32_t axis = 0U; axis < front_end->axes; axis++) {
            const uint32_t at = (uint32_t)state->read_at * front_end->axes + axis;
            row[axis] = spela_channel(front_end, axis, front_end->ring[at]);
        }
        break;
    }
    state->rows++;
    advance(front_end, front_end->hop);
}

bool spela_sample_ready(const spela_front_end_t *front_end) {
    spela_front_end_state_t *const state = front_end->state;
    if (state->is_taken) {
        begin_next(front_end);
    }
    while (state->rows < front_end->rows) {
        const uint32_t gaps = state->gaps;
        const uint32_t there = state->head - state->tail;
        IN_ORDER();
        if (state->skip > 0U && there > 0U) {
            const uint32_t skipped = state->skip < there ? state->skip : there;
            state->skip -= skipped;
            advance(front_end, skipped);
        } else if (state->skip == 0U && there >= front_end->span) {
            compute_row(front_end);
        } else if (gaps != state->acknowledged) { /* what follows is lost: nothing is pushed now */
            state->rows = 0U;
            state->skip = 0U;
            advance(front_end, there);
            state->acknowledged = gaps;
        } else {
            return false;
        }
    }
    return true;
}

const int8_t *spela_sample_take(const spela_front_end_t *front_end) {
    spela_front_end_state_t *const state = front_end->state;
    if (state->rows < front_end->rows) {
        return NULL;
    }
    state->is_taken = true;
    return front_end->sample;
}

void spela_front_end_restart(const spela_front_end_t *front_end) {
    spela_front_end_state_t *const state = front_end->state;
    state->head = 0U;
    state->tail = 0U;
    state->gaps = 0U;
    state->lost = 0U;
    state->acknowledged = 0U;
    state->skip = 0U;
    state->write_at = 0U;
    state->read_at = 0U;
    state->summed = 0U;
    state->rows = 0U;
    state->is_taken = false;
}
