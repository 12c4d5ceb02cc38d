/* SPDX-License-Identifier: Apache-2.0 */
/**
 * spela_store - what a network has learned, kept in flash through a power cut at any moment.
 *
 * A store has two slots. A save writes the slot that is not in use, and only its last words make it
 * count: whatever happens before, the state in use stays as it is. The format, and why it holds:
 * docs/store.md.
 *
 * C99, freestanding, without a heap and without a second copy of the weights: they go from the
 * arena to flash, and back, through a buffer of one unit. It needs three functions of yours,
 * spela_flash_erase, spela_flash_program and spela_flash_read. Compile it with the macros that the
 * runtime is compiled with.
 *
 * One store serves one network. No function may be interrupted by another call with the same store
 * or the same network.
 */
#ifndef SPELA_STORE_H
#define SPELA_STORE_H

#include "spela.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of the format that this code writes, and the only one that it reads. */
#define SPELA_STORE_FORMAT_VERSION 1U

/** What a call answers. */
typedef enum {
    SPELA_STORE_OK = 0,
    SPELA_STORE_EMPTY = 1,           /**< nothing was saved yet, or it was forgotten */
    SPELA_STORE_CORRUPT = 2,         /**< something was saved, but no slot holds it whole */
    SPELA_STORE_FOREIGN = 3,         /**< what is saved was learned by another model */
    SPELA_STORE_OTHER_FORMAT = 4,    /**< what is saved is in a format that this code cannot read */
    SPELA_STORE_ERROR_ARGUMENT = 5,  /**< a null pointer, or a store that cannot be: see below */
    SPELA_STORE_ERROR_SIZE = 6,      /**< a slot has less than spela_store_slot_bytes */
    SPELA_STORE_ERROR_FLASH = 7,     /**< flash did not take what it was given, or changed */
    SPELA_STORE_ERROR_READ_ONLY = 8, /**< the model learns nothing: there is nothing to keep */
    SPELA_STORE_ERROR_ORDER = 9      /**< no import was started, or more comes than announced */
} spela_store_status_t;

/** A slot: erase blocks, which may be of different sizes, with nothing else in them. */
typedef struct {
    uint32_t address; /**< of its first byte */
    uint32_t bytes;   /**< of all its blocks */
} spela_slot_t;

/** A store. What comes after `context` is its own, and zero at first. */
typedef struct spela_store {
    spela_slot_t slots[2]; /**< which do not overlap */
    uint32_t unit_bytes;   /**< what the flash programs at once: a power of two from 4 to 256 */
    uint32_t *buffer;      /**< unit_bytes of RAM, used only during a call and during an import */
    void *companion;       /**< bytes of yours that are saved and loaded as well; NULL: none */
    uint32_t companion_bytes;
    void *context; /**< for your three functions, which are given the store */
    uint32_t saves;
    uint32_t import_bytes; /**< announced; 0: there is no import */
    uint32_t import_address;
    uint32_t import_at;
    uint32_t import_done;
    uint32_t import_crc;
    bool import_failed;
    uint8_t found;
    uint8_t in_use;
    bool is_decided;
} spela_store_t;

/** What spela_store_inspect says. */
typedef struct {
    spela_store_status_t status; /**< as spela_store_load would answer */
    uint32_t saves; /**< how often was saved: each save erased one slot, the two in turns */
    uint32_t bytes; /**< size of the state in use; 0 if there is none */
} spela_store_info_t;

/**
 * Yours: erases a whole slot, so that all its bytes are 0xFF, block after block.
 *
 * @return false if the flash reports an error
 */
bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes);

/**
 * Yours: programs one unit, which is erased.
 *
 * @param address  a multiple of unit_bytes from the start of a slot
 * @param data     store->unit_bytes
 * @return false if the flash reports an error
 */
bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data);

/**
 * Yours: reads flash. Where reading a torn unit is an exception (an ECC error on STM32L4, say), it
 * has to catch that.
 *
 * @param address  a multiple of 4 from the start of a slot
 * @param bytes    a multiple of 4
 * @return false if the bytes cannot be read
 */
bool spela_flash_read(const spela_store_t *store, uint32_t address, uint32_t *data, uint32_t bytes);

/** How many bytes a slot needs for a network, pending updates included, with this unit; the bytes
 *  of a companion and eight more come on top, before they are rounded up to a unit. 0 if the
 *  network is NULL or learns nothing, or the unit is not one that a store may have. */
uint32_t spela_store_slot_bytes(const spela_t *network, uint32_t unit_bytes);

/**
 * Gives a network what was saved last. To be called after spela_init; calling it later goes back to
 * the last save.
 *
 * The first call with a store decides which slot is in use. If the save that wrote it was cut
 * within its last words, it programs these again.
 *
 * A companion comes with it, if one of this size was saved; otherwise it is left as it is.
 *
 * @return SPELA_STORE_OK; on anything else the network is unchanged, and so as spela_init made it,
 *         except that SPELA_STORE_ERROR_FLASH, when flash changed while it was being read, leaves
 *         it as spela_reset does, and the companion with anything in it.
 */
spela_store_status_t spela_store_load(spela_store_t *store, spela_t *network);

/**
 * Saves what a network has learned. Erasing takes long, and the core waits for it where it runs
 * from the same flash.
 *
 * @return SPELA_STORE_OK, SPELA_STORE_ERROR_ARGUMENT, _SIZE, _READ_ONLY; or _FLASH, after which the
 *         next start finds the state saved before, or this one
 */
spela_store_status_t spela_store_save(spela_store_t *store, const spela_t *network);

/** Saves that nothing is learned, so that the next spela_store_load answers SPELA_STORE_EMPTY. The
 *  network is unchanged; the slot that was in use is not erased. @return as spela_store_save */
spela_store_status_t spela_store_forget(spela_store_t *store, const spela_t *network);

/** Says what the store holds. @return SPELA_STORE_OK, SPELA_STORE_ERROR_ARGUMENT, _READ_ONLY */
spela_store_status_t spela_store_inspect(spela_store_t *store, const spela_t *network,
                                         spela_store_info_t *info);

/**
 * Copies a part of what a save would write now, so that it can be sent elsewhere.
 *
 * @param store   for its companion; NULL: none
 * @param offset  of the first byte
 * @param data    [count]; bytes beyond the end are left as they are
 * @return the size of the whole, in bytes; 0 if the network is NULL or learns nothing, or a sample
 *         that it keeps in flash cannot be read
 */
uint32_t spela_store_export(const spela_store_t *store, const spela_t *network, uint32_t offset,
                            void *data, uint32_t count);

/**
 * Starts to receive, part by part, what an export has sent: into the slot that is not in use, which
 * is erased. The network and the state in use are not touched. Any other call with the store, but
 * for spela_store_export, ends the import.
 *
 * @param bytes  the size of the whole, at least 1
 * @return SPELA_STORE_OK, SPELA_STORE_ERROR_ARGUMENT, _SIZE, _READ_ONLY, _FLASH
 */
spela_store_status_t spela_store_import_start(spela_store_t *store, const spela_t *network,
                                              uint32_t bytes);

/** Takes the next part. @return SPELA_STORE_OK, SPELA_STORE_ERROR_ARGUMENT, _ORDER, _FLASH */
spela_store_status_t spela_store_import_put(spela_store_t *store, const void *data, uint32_t count);

/**
 * Ends an import: checks that it is whole and one that the network can have, as spela_store_load
 * does, and makes its slot count. The network is not touched: spela_store_load comes next.
 *
 * @param crc  CRC-32 of all parts together
 * @return SPELA_STORE_OK, SPELA_STORE_ERROR_ARGUMENT, _ORDER if parts are missing;
 *         SPELA_STORE_CORRUPT, _OTHER_FORMAT: it is none that the network can have, and nothing has
 *         changed; SPELA_STORE_ERROR_FLASH as for spela_store_save
 */
spela_store_status_t spela_store_import_end(spela_store_t *store, const spela_t *network,
                                            uint32_t crc);

#ifdef __cplusplus
}
#endif
#endif /* SPELA_STORE_H */
