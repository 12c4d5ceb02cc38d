/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs backbones that come on standard input, under the compiler's sanitizers, and writes what they
 * compute. Of each comes: its number of bytes, those of its arena, its image, its arena. In the
 * image, pointers count from its start.
 */
#include <stdio.h>
#include <stdlib.h>

#include "spela_backbone.h"

static void *take(size_t bytes) {
    void *const memory = malloc(bytes);
    if (memory == NULL || fread(memory, 1U, bytes, stdin) != bytes) {
        exit(3);
    }
    return memory;
}

static const void *moved(const uint8_t *image, const void *offset) {
    return offset == NULL ? NULL : image + (uintptr_t)offset;
}

int main(void) {
    int result = 0; /* 4: a backbone was refused */
    uint32_t sizes[2];
    while (fread(sizes, sizeof sizes, 1U, stdin) == 1U) {
        uint8_t *const image = take(sizes[0]);
        uint8_t *const arena = take(sizes[1]);
        spela_backbone_t backbone = *(spela_backbone_t *)(void *)image;
        spela_operator_t *const operators =
            (spela_operator_t *)(void *)&image[(uintptr_t)backbone.operators];
        for (uint32_t i = 0U; i < backbone.operator_count; i++) {
            operators[i].constants = moved(image, operators[i].constants);
            operators[i].channels = moved(image, operators[i].channels);
        }
        backbone.operators = operators;
        if (!spela_backbone_is_valid(&backbone)) {
            result = 4;
        } else {
            int8_t *const sample = calloc(1U, backbone.inputs);
            const int8_t *features = NULL; /* one operator at a time: any part may be run */
            for (uint32_t i = 0U; i < backbone.operator_count; i++) {
                features = spela_backbone_run(&backbone, sample, arena, i, i + 1U);
            }
            if (fwrite(features, 1U, backbone.features, stdout) != backbone.features) {
                return 2;
            }
            free(sample);
        }
        free(image);
        free(arena);
    }
    return result;
}
