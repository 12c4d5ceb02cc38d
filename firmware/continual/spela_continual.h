/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Classes that come and go: new ones are taught, old ones are forgotten, all of them are rehearsed
 * (docs/arithmetic-continual.md).
 *
 * A model with spare classes has embeddings for more classes than it was trained with. A class is
 * active, or spare: what is spare is never answered, and no other class is held apart from it. To
 * teach a sample with the label of a spare class makes the class active.
 */
#ifndef SPELA_CONTINUAL_H
#define SPELA_CONTINUAL_H

#include "spela.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What of an answer is compared with a limit that follows what is taught: below, spela_infer_early
 *  answers SPELA_UNKNOWN. A layer's reject_cosine is another limit, which does not follow. */
typedef enum {
    SPELA_UNKNOWN_BY_NOTHING = 0,
    SPELA_UNKNOWN_BY_COSINE = 1,
    SPELA_UNKNOWN_BY_MARGIN = 2
} spela_unknown_by_t;

/** What the memory keeps of a class, to be rehearsed. */
typedef enum {
    SPELA_KEEPS_SAMPLES = 0, /**< some of its samples */
    SPELA_KEEPS_MEANS = 1    /**< the mean of its samples: what is rehearsed is drawn near it; needs
                                SPELA_WITH_MEANS */
} spela_keeps_t;

#ifdef SPELA_WITH_MEMORY_IN_FLASH
/** Flash in which a memory of samples lies: a ring of blocks, which one network uses at a time.
 *  The runtime calls the three functions of spela_store.h for it, with addresses in these blocks.
 */
typedef struct {
    const struct spela_store *store; /**< for your three functions: its unit_bytes, and its context.
                                          Its buffer, unit_bytes of RAM, is used during calls of the
                                          runtime; its slots are not used */
    uint32_t address;                /**< of the first block */
    uint32_t block_bytes;            /**< what is erased at once: one or more of the flash's own */
    uint32_t blocks; /**< 2 or more: all but one have room for one sample more than is kept */
} spela_memory_flash_t;
#endif

/** What a model has for classes that come and go: generated, constant. */
struct spela_continual {
    const uint8_t *runtime; /**< spela_runtime_for_continual, or that for means or for a memory
                                 in flash; only the linker uses it */
    const void *memory;     /**< at the start: int8 [known][capacity][inputs, padded]; or of means,
                                 uint16 [inputs, padded] for the deviations, then int16 [known]
                                 [inputs, padded]; NULL: it is empty */
    const uint32_t *seen;   /**< [known] samples of a class seen at the start; NULL: none */
    uint16_t known;         /**< classes that are active at the start: the first */
    uint16_t capacity;      /**< samples of a class that are kept, to be rehearsed; or 1 mean */
    uint8_t ratio;          /**< samples rehearsed after each one that is taught */
    uint8_t unknown_by;     /**< a spela_unknown_by_t */
    uint8_t keeps;          /**< a spela_keeps_t */
    const int16_t *limits;  /**< [exits] below which an answer is unknown at the start, Q1.14, above
                                 0; NULL if unknown_by is SPELA_UNKNOWN_BY_NOTHING */
    uint32_t rise; /**< by which a limit, times 2^16, rises with an answer above it; with one below,
                        it falls by 2^22 less this */
#ifdef SPELA_WITH_MEMORY_IN_FLASH
    const spela_memory_flash_t *flash; /**< where samples are kept; NULL: in the arena */
#endif
};

/** A model with such classes refers to it: the linker names it if SPELA_WITH_CONTINUAL is
 *  missing. */
extern const uint8_t spela_runtime_for_continual;

/** The same for one that keeps means and SPELA_WITH_MEANS, and for one that keeps samples in flash
 *  and SPELA_WITH_MEMORY_IN_FLASH. */
extern const uint8_t spela_runtime_for_means;
extern const uint8_t spela_runtime_for_memory_in_flash;

/** What is known of a class. */
typedef struct {
    uint32_t seen;      /**< samples of it that were taught, here or before the start; as many of
                             them as there is room for are in the memory, or their mean */
    uint32_t is_active; /**< 1, or 0: it is spare */
} spela_class_t;

/** What is known of a class.
 *  @return SPELA_OK, SPELA_ERROR_ARGUMENT, SPELA_ERROR_LABEL */
spela_status_t spela_class(const spela_t *network, uint16_t label, spela_class_t *found);

/**
 * Makes the first spare class active. It may be answered from now on; teach it some samples.
 *
 * @param label  set to it
 * @return SPELA_OK, SPELA_ERROR_ARGUMENT, SPELA_ERROR_LABEL if no class is spare,
 *         SPELA_ERROR_READ_ONLY
 */
spela_status_t spela_add_class(spela_t *network, uint16_t *label);

/**
 * Forgets a class: it is spare from now on, and so is never answered.
 *
 * First each of its samples in the memory is taught, six times, as one of the other class that it
 * is most like, with four samples of other classes rehearsed after each: as long as thirty learning
 * steps and six inferences a sample; for a mean, twenty samples are drawn near it instead. Then
 * they leave the memory, whose bytes become zero, or are erased if they lie in flash. What learning
 * the class has done to the weights is so blurred, but not undone; and after spela_reset a class of
 * the factory is back.
 *
 * @return SPELA_OK, SPELA_ERROR_ARGUMENT, SPELA_ERROR_LABEL if the class is not active,
 *         SPELA_ERROR_READ_ONLY; SPELA_ERROR_FLASH: the class is spare, but it was not unlearned to
 *         the end, or its samples may still lie in flash
 */
spela_status_t spela_forget(spela_t *network, uint16_t label);

/**
 * Learns samples of the memory again, for a device that has nothing else to do: new classes are
 * kept apart from old ones by it. Each is drawn as one that is rehearsed beside a taught one is.
 *
 * @param steps  how many
 * @return SPELA_OK, SPELA_ERROR_ARGUMENT, SPELA_ERROR_READ_ONLY, SPELA_ERROR_LABEL if the memory is
 *         empty; SPELA_ERROR_FLASH: a sample could not be read, and those behind it are not learned
 */
spela_status_t spela_rehearse(spela_t *network, uint32_t steps);

/**
 * Whether it is worth to ask for the label of a sample that was just answered: the answer was not
 * sure enough for learning to have nothing to do, or not sure and of a class that few samples were
 * seen of.
 *
 * @param result  what was answered
 * @return 1, or 0; 0 for a null pointer, and for a model without classes that come and go
 */
uint32_t spela_wants_label(const spela_t *network, const spela_result_t *result);

#ifdef __cplusplus
}
#endif
#endif /* SPELA_CONTINUAL_H */
