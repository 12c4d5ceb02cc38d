/* SPDX-License-Identifier: Apache-2.0 */
/** The two slots of a store on flash. They know nothing of what they keep. Private to the store. */
#ifndef SPELA_SLOTS_H
#define SPELA_SLOTS_H

#include "spela_store.h"

#define SPELA_SLOT_NONE 2U /**< instead of a slot's index */

/** What a slot holds. */
typedef enum {
    SPELA_SLOT_UNSEALED, /**< nothing, or what a save left that was cut */
    SPELA_SLOT_BROKEN,   /**< something that was saved, but is not whole any more */
    SPELA_SLOT_WHOLE
} spela_slot_content_t;

/** A slot's header: valid, whatever the content is, if `has_header`. */
typedef struct {
    spela_slot_content_t content;
    bool has_header;
    uint32_t version;
    uint32_t sequence;
    uint32_t digest;
    uint32_t bytes; /**< of the payload */
    uint32_t crc;   /**< of the payload */
} spela_slot_view_t;

/** A payload on its way to flash or from it, through the store's buffer. */
typedef struct {
    const spela_store_t *store;
    uint32_t address; /**< of the next unit */
    uint32_t at;      /**< of the buffer: where the next byte goes, or is */
    uint32_t bytes;   /**< put so far, or left to take */
    uint32_t crc;     /**< of the bytes put or taken so far, not inverted yet */
    bool failed;      /**< something could not be programmed or read, or more was taken than is */
} spela_stream_t;

/** Whether a store may have this unit. */
bool spela_is_unit(uint32_t unit_bytes);

/** Whether the store's members make sense. */
bool spela_slots_are_valid(const spela_store_t *store);

/** How many bytes of a slot are not for the payload. */
uint32_t spela_slot_overhead(uint32_t unit_bytes);

/** Whether sequence number `a` comes after `b`: they are serial numbers, which wrap around. */
bool spela_is_newer(uint32_t a, uint32_t b);

/** Looks at a slot, its payload's CRC included. */
spela_slot_view_t spela_slot_view(const spela_store_t *store, uint32_t slot);

/** Programs those of a slot's seals that are still erased. */
void spela_slot_confirm(const spela_store_t *store, uint32_t slot);

/** Erases a slot and starts a payload there. */
spela_stream_t spela_slot_begin(const spela_store_t *store, uint32_t slot);

void spela_stream_put(spela_stream_t *stream, const void *data, uint32_t count);

/** Ends the payload: programs what is left in the buffer. */
void spela_stream_end(spela_stream_t *stream);

/** Reads the payload that was ended back, and makes the slot count.
 *  @return whether it surely does; if not, it may all the same */
bool spela_slot_commit(const spela_store_t *store, uint32_t slot, const spela_stream_t *stream,
                       uint32_t sequence, uint32_t digest);

/** Starts to read a payload. */
spela_stream_t spela_slot_open(const spela_store_t *store, uint32_t slot, uint32_t bytes);

/** Takes bytes; zeros once the stream has failed. */
void spela_stream_take(spela_stream_t *stream, void *data, uint32_t count);

#endif /* SPELA_SLOTS_H */
