/* SPDX-License-Identifier: Apache-2.0 */
/** Everything that the application keeps in RAM, apart from the stack. */
#ifndef APPLICATION_H
#define APPLICATION_H

#include "application_config.h"
#include "frame.h"
#include "protocol.h"
#include "spela.h"
#ifndef SPELA_INFERENCE_ONLY
#include "spela_store.h"
#endif

/** The most data of a request: a sample, or 64 bytes. It starts at a multiple of 4 bytes. */
#define APPLICATION_DATA_BYTES  (APPLICATION_INPUT_COUNT > 64U ? APPLICATION_INPUT_COUNT : 64U)
#define APPLICATION_FRAME_BYTES (REQUEST_HEAD_BYTES + APPLICATION_DATA_BYTES + FRAME_CRC_BYTES)

/** Bytes of a class's name, filled up with zeros. */
#define NAME_BYTES 12U

/** Instead of the guard's baseline, while nothing is known of it. */
#define NO_BASELINE UINT16_MAX

/** Figures of a class: docs/protocol.md, STATISTICS. */
typedef struct {
    int64_t margins;
    uint32_t learned;
    uint32_t right;
    uint32_t answered;
    int32_t recent;
} class_figures_t;

/** What a host may set of a layer; members as those of spela_layer_t. */
typedef struct {
    uint16_t rate_mantissa;
    int16_t rate_shift;
    int16_t exit_margin;
    int16_t reject_cosine;
} layer_settings_t;

/** What is kept beside the network's own state; it is saved with it, as it lies here. */
typedef struct {
    class_figures_t classes[APPLICATION_CLASS_COUNT];
    layer_settings_t layers[APPLICATION_LAYER_COUNT];
    uint32_t unknown;    /**< samples answered as unknown */
    uint16_t baseline;   /**< of the guard */
    uint16_t since_look; /**< samples learned since the guard last looked */
    uint16_t times_back; /**< that the guard went back */
    uint8_t is_frozen;
    uint8_t guard; /**< the guard that `baseline` is of; 0: none */
    uint8_t names[APPLICATION_CLASS_COUNT][NAME_BYTES];
} kept_t;

/** States in flash. */
enum {
    STORE_SAVED = 0,
    STORE_CHECKPOINT = 1,
    STORES = 2
};

struct application {
    uint8_t arena[APPLICATION_ARENA_SIZE] __attribute__((aligned(8)));
    kept_t kept;
    uint8_t frame[APPLICATION_FRAME_BYTES] __attribute__((aligned(4)));
    spela_model_t model; /**< as generated, but that its layers are these */
    spela_layer_t layers[APPLICATION_LAYER_COUNT];
    spela_t *network; /**< NULL if spela_init refused */
    frame_reader_t reader;
    frame_writer_t writer;
    last_request_t last;
#ifdef APPLICATION_STORE_UNIT
    spela_store_t stores[STORES]; /**< all zero where there is no room for such a state */
    uint32_t units[STORES][APPLICATION_STORE_UNIT / 4U];
    uint32_t import_crc; /**< announced, of the state that is being imported */
    uint8_t found;       /**< in flash at the start, a spela_store_status_t */
#endif
};

extern application_t application;

/** Sets up the network and what is kept, and goes on with the state that was saved. */
void application_start(application_t *device);

#endif /* APPLICATION_H */
