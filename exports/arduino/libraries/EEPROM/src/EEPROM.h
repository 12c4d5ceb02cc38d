/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EEPROM_H
#define EEPROM_H

#include <stdint.h>

/** Cells that hold anything at first, as RAM does. */
class EEPROMClass {
  public:
    uint8_t read(int at) const {
        return cells_[at];
    }
    void write(int at, uint8_t value) {
        cells_[at] = value;
    }
    uint16_t length() const {
        return sizeof cells_;
    }

  private:
    uint8_t cells_[12288];
};

extern EEPROMClass EEPROM;

#endif
