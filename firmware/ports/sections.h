/* SPDX-License-Identifier: Apache-2.0 */
/** What the linker script defines, and the memory that C finds set up at its start. */
#ifndef SECTIONS_H
#define SECTIONS_H

#include <stdint.h>

/* Only their addresses matter. */
extern uint32_t port_stack_bottom[];
extern uint32_t port_stack_top[];
extern const uint32_t port_data_load[];
extern uint32_t port_data_start[];
extern uint32_t port_data_end[];
extern uint32_t port_bss_start[];
extern uint32_t port_bss_end[];

/** Gives variables their initial values. */
static inline void port_set_up_memory(void) {
    const uint32_t *load = port_data_load;
    for (uint32_t *word = port_data_start; word != port_data_end; word++) {
        *word = *load;
        load++;
    }
    for (uint32_t *word = port_bss_start; word != port_bss_end; word++) {
        *word = 0;
    }
}

#endif /* SECTIONS_H */
