/* SPDX-License-Identifier: Apache-2.0 */
/**
 * From a sensor's readings to a network's sample (docs/front-end.md).
 *
 * Readings go into a ring, from an interrupt if need be. The main loop makes rows of features of
 * them as soon as there are enough, so a sample is complete when its last row is, and samples that
 * overlap share rows.
 */
#ifndef SPELA_FRONT_END_H
#define SPELA_FRONT_END_H

#include "spela_config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Which features a row holds. */
typedef enum {
    SPELA_ROW_SIGNALS = 0,    /**< one reading, as it is */
    SPELA_ROW_STATISTICS = 1, /**< figures of each axis */
    SPELA_ROW_SPECTRUM = 2    /**< band powers of each axis */
} spela_row_t;

/** The statistics of an axis, as bits; a row holds them in this order. */
enum {
    SPELA_MEAN = 1,
    SPELA_DEVIATION = 2, /**< mean absolute deviation from the mean */
    SPELA_MINIMUM = 4,
    SPELA_MAXIMUM = 8,
    SPELA_CROSSINGS = 16 /**< of the mean */
};

/** A feature to an input: (feature - offset) * factor / 2^shift, rounded, within -127 and 127. */
typedef struct {
    int32_t offset;
    uint16_t factor;
    uint8_t shift;
} spela_scale_t;

/** The tables of a spectrum. */
typedef struct {
    const uint16_t *window;   /**< Q15, of the first half of a frame */
    const uint32_t *twiddles; /**< Q15, points / 4 + 1: cos, and -sin in the upper half */
    const uint16_t *first;    /**< bands + 2: the first bin between two bands' peaks */
    const uint16_t *weights;  /**< Q15, of the band above; from bin first[0] on */
    uint16_t points;          /**< of the transform: a power of two, 32 to 1024 */
    uint16_t bands;
} spela_spectrum_t;

/** What changes. All zero at the start. The interrupt writes the first four, the rest reads them.
 */
typedef struct {
    volatile uint32_t head;         /**< readings put into the ring */
    volatile uint32_t gaps;         /**< times that a reading found the ring full */
    volatile uint32_t lost;         /**< readings that were not taken */
    uint16_t write_at;              /**< in the ring */
    uint16_t summed;                /**< readings in the sums */
    volatile uint32_t tail;         /**< readings that are done with */
    volatile uint32_t acknowledged; /**< gaps after which a new sample was begun */
    uint32_t skip;                  /**< readings to come that no row needs */
    uint16_t read_at;
    uint16_t rows; /**< in the sample */
    bool is_taken; /**< the sample was handed out */
} spela_front_end_state_t;

/** A front end: generated, constant. */
typedef struct {
    spela_front_end_state_t *state;
    int16_t *ring;                    /**< [capacity][axes] */
    int32_t *sums;                    /**< [axes]; NULL: nothing is averaged */
    int8_t *sample;                   /**< [rows][channels] */
    uint32_t *work;                   /**< [points / 2] of a spectrum */
    const spela_scale_t *scales;      /**< [channels], or one */
    const spela_spectrum_t *spectrum; /**< NULL: rows hold something else */
    uint32_t skip;                    /**< readings between two samples that no row needs */
    uint16_t capacity;                /**< of the ring, in readings after averaging */
    uint16_t span;                    /**< readings of a row */
    uint16_t hop;                     /**< from one row to the next, 1 to span */
    uint16_t rows;                    /**< of a sample */
    uint16_t kept;                    /**< of which the next sample has so many */
    uint16_t channels;                /**< of a row */
    uint16_t averaged;                /**< readings whose average goes into the ring; 1: each */
    uint8_t axes;
    uint8_t row;        /**< a spela_row_t */
    uint8_t statistics; /**< SPELA_MEAN ... as bits */
    uint8_t shift;      /**< by which int32 readings become int16 */
    bool scales_alike;  /**< one scale for all channels */
} spela_front_end_t;

/**
 * Takes one reading, all axes. May be called from one interrupt while the main loop does the rest.
 *
 * A reading that finds the ring full is lost, and so are those that follow until the main loop has
 * used up what is there: no sample spans a gap.
 *
 * @return whether it was taken
 */
bool spela_push_int8(const spela_front_end_t *front_end, const int8_t *reading);
bool spela_push_uint8(const spela_front_end_t *front_end, const uint8_t *reading);
bool spela_push_int16(const spela_front_end_t *front_end, const int16_t *reading);
bool spela_push_int32(const spela_front_end_t *front_end, const int32_t *reading);

/**
 * Does what there is to do, and says whether a sample is complete.
 *
 * A sample that was handed out is over with this call.
 */
bool spela_sample_ready(const spela_front_end_t *front_end);

/**
 * The complete sample, for spela_infer and spela_learn; valid until the next spela_sample_ready.
 *
 * @return NULL if none is complete
 */
const int8_t *spela_sample_take(const spela_front_end_t *front_end);

/** Forgets all readings, as after a pause. Not while an interrupt may push. */
void spela_front_end_restart(const spela_front_end_t *front_end);

/** A feature to an input. |feature| and |offset| <= 2^17. */
int8_t spela_scaled(int32_t feature, const spela_scale_t *scale);

#ifdef __cplusplus
}
#endif
#endif /* SPELA_FRONT_END_H */
