/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs backbones on a core with MVE, or in a simulator of one, and compares their features. At
 * CASES lies how many there are; then of each the addresses of its structure, its arena and the
 * features expected, and their number. Reports the number of the first that disagrees, from 1, or
 * 0.
 */
#include "semihosting.h"
#include "spela_backbone.h"

#define CASES ((const case_t *)0x20040004U)
#define COUNT (*(const uint32_t *)0x20040000U)

typedef struct {
    const spela_backbone_t *backbone;
    void *arena;
    const int8_t *expected;
    uint32_t size;
} case_t;

static bool agrees(const case_t *it) {
    static const int8_t sample[1];
    if (!spela_backbone_is_valid(it->backbone)) {
        return false;
    }
    const int8_t *const features =
        spela_backbone_run(it->backbone, sample, it->arena, 0U, it->backbone->operator_count);
    for (uint32_t i = 0U; i < it->size; i++) {
        if (features[i] != it->expected[i]) {
            return false;
        }
    }
    return true;
}

void start(void);
void start(void) {
    *(volatile uint32_t *)0xE000ED88U |= 15U << 20; /* CPACR: vector registers */
    __asm__ volatile("dsb\n isb" ::: "memory");
    uint32_t found = 0U;
    for (uint32_t i = 0U; i < COUNT && found == 0U; i++) {
        found = agrees(&CASES[i]) ? 0U : i + 1U;
    }
    report(found);
}

extern const vectors_t vectors;
__attribute__((section(".vectors"), used))
const vectors_t vectors = {0x20040000U, {start, start, start}};
