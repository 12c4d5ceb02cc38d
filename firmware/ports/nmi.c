/* SPDX-License-Identifier: Apache-2.0 */
/* The NMI, where the store's flash has ECC: what a power cut tore raises it when it is read. */
#include "flash_nmi.h"
#include "port.h"

#include <stddef.h>

void NMI_Handler(void);
void port_fault(const port_exception_t *exception);

void NMI_Handler(void) {
    if (!spela_flash_on_nmi()) {
        port_fault(NULL);
    }
}
