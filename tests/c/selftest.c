/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The self-test of a generated model called toy, in an arena that is as small as it may be. Says
 * what it answered, then what it answered to misuse.
 */
#include "toy_model.h"

#include <stdio.h>
#include <stdlib.h>

int main(void) {
    uint8_t *const arena = malloc(TOY_ARENA_BYTES);
    spela_t *network = NULL;
    if (arena == NULL) {
        return 2;
    }
    const spela_status_t found = spela_selftest(&toy_model_selftest, arena, TOY_ARENA_BYTES);
    const spela_status_t again = spela_selftest(&toy_model_selftest, arena, TOY_ARENA_BYTES);
    printf("%d %d, ", (int)found, (int)again);
    printf("%d ", (int)spela_selftest(NULL, arena, TOY_ARENA_BYTES));
    printf("%d ", (int)spela_selftest(&toy_model_selftest, NULL, TOY_ARENA_BYTES));
    printf("%d ", (int)spela_selftest(&toy_model_selftest, arena, TOY_ARENA_BYTES - 1U));
    printf("%d\n", (int)spela_init(&network, &toy_model, arena, TOY_ARENA_BYTES));
    free(arena);
    return 0;
}
