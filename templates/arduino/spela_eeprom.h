/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a network has learned, kept in the EEPROM that a core has, or plays in its flash. Include it
 * in one file of a sketch: it defines the three functions that spela_store.h asks for.
 *
 *   SpelaEeprom eeprom(0, EEPROM.length());
 *   network.load(eeprom);
 *   network.save(eeprom);
 *
 * A core that plays an EEPROM in RAM first needs EEPROM.begin(bytes) before, and EEPROM.commit()
 * after a save; then a power cut does no harm only if its commit stands that.
 */
#ifndef SPELA_EEPROM_H
#define SPELA_EEPROM_H

#include "spela_store.h"

#include <EEPROM.h>

/** A store in two halves of a part of the EEPROM. */
class SpelaEeprom : public spela_store_t {
  public:
    /** From address `first`, `bytes` in all: twice what slotBytes(4) of a network tells. */
    SpelaEeprom(uint32_t first, uint32_t bytes) : spela_store_t() {
        const uint32_t half = bytes / 8U * 4U;
        slots[0].address = first;
        slots[0].bytes = half;
        slots[1].address = first + half;
        slots[1].bytes = half;
        unit_bytes = sizeof unit_;
        buffer = unit_;
    }
    SpelaEeprom(const SpelaEeprom &) = delete;
    SpelaEeprom &operator=(const SpelaEeprom &) = delete;

  private:
    uint32_t unit_[1] = {};
};

static inline bool spela_eeprom_write(uint32_t address, uint32_t byte) {
    const int at = static_cast<int>(address);
    const uint8_t value = static_cast<uint8_t>(byte & 0xFFU);
    if (EEPROM.read(at) != value) { /* cells wear out */
        EEPROM.write(at, value);
    }
    return EEPROM.read(at) == value;
}

bool spela_flash_erase(const spela_store_t *, uint32_t address, uint32_t bytes) {
    bool done = true;
    for (uint32_t i = 0U; i < bytes; i++) {
        done = spela_eeprom_write(address + i, 0xFFU) && done;
    }
    return done;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    bool done = true;
    for (uint32_t i = 0U; i < store->unit_bytes; i++) {
        done = spela_eeprom_write(address + i, data[i / 4U] >> (8U * (i % 4U))) && done;
    }
    return done;
}

bool spela_flash_read(const spela_store_t *, uint32_t address, uint32_t *data, uint32_t bytes) {
    for (uint32_t i = 0U; i < bytes; i += 4U) {
        uint32_t word = 0U;
        for (uint32_t k = 0U; k < 4U; k++) {
            const uint8_t byte = EEPROM.read(static_cast<int>(address + i + k));
            word |= static_cast<uint32_t>(byte) << (8U * k);
        }
        data[i / 4U] = word;
    }
    return true;
}

#endif /* SPELA_EEPROM_H */
