/* SPDX-License-Identifier: Apache-2.0 */
#include "EEPROM.h"

EEPROMClass EEPROM;
