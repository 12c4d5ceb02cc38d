/* SPDX-License-Identifier: Apache-2.0 */
/* The NMI, where the store's flash has ECC: what a power cut tore raises it when it is read. */
#include "flash_nmi.h"
#include "port.h"

void NMI_Handler(void);

void NMI_Handler(void) {
    if (spela_flash_on_nmi()) {
        return;
    }
    const uint32_t report[4] = {0U}; /* another NMI: no fault has set a bit */
    port_on_fault(report, 4U);
    for (;;) {
        /* For the debugger. */
    }
}
