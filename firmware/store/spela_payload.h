/* SPDX-License-Identifier: Apache-2.0 */
/** What of a network is kept: the payload of a slot. Private to the store.
 *
 *  spela_store_export gives it away part by part. */
#ifndef SPELA_PAYLOAD_H
#define SPELA_PAYLOAD_H

#include "spela_network.h"
#include "spela_slots.h"

#define SPELA_SECTION_HEADER_BYTES 8U

/** A payload in a slot. */
typedef struct {
    uint32_t slot;
    uint32_t bytes;
    uint32_t crc;
} spela_payload_t;

/** Whether a network has a state to keep. */
static inline bool spela_has_state(const spela_t *network) {
    (void)network;
    return SPELA_LEARNS(network->model.pointer);
}

/** The most bytes of a network's state, without a companion. */
uint32_t spela_payload_bytes(const spela_t *network);

/** Puts a network's state, and the store's companion, into a stream. */
void spela_payload_put(const spela_store_t *store, const spela_t *network, spela_stream_t *stream);

/** Checks that a payload is one that the network can have; changes nothing.
 *  @return what is wrong with it */
spela_store_status_t spela_payload_check(const spela_store_t *store, const spela_t *network,
                                         const spela_payload_t *payload);

/** Gives a network, and the store's companion, a payload that was checked.
 *  @return what is wrong with it; then they hold anything of it */
spela_store_status_t spela_payload_load(const spela_store_t *store, const spela_t *network,
                                        const spela_payload_t *payload);

#endif /* SPELA_PAYLOAD_H */
