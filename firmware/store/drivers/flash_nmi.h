/* SPDX-License-Identifier: Apache-2.0 */
/** What the store's flash on STM32L4 and L5 needs of a firmware: a line in the handler of the NMI.
 */
#ifndef FLASH_NMI_H
#define FLASH_NMI_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * To be called by NMI_Handler, before anything else.
 *
 * A double word that a power cut tore may have two wrong bits. Reading it raises the NMI, again and
 * again until its flag is cleared.
 *
 * @return true if this was why the NMI was taken, and the store was reading: the flag is cleared,
 *         and spela_flash_read will say that it could not read. Return from the handler.
 *         false: the NMI is another's.
 */
bool spela_flash_on_nmi(void);

#ifdef __cplusplus
}
#endif
#endif /* FLASH_NMI_H */
