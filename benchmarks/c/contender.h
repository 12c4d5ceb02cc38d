/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One contender: a dense network INPUTS-HIDDEN-OUTPUTS behind a few calls, so that one program
 * measures them all. INPUTS, HIDDEN, OUTPUTS and CLASSES come from the command line.
 */
#ifndef CONTENDER_H
#define CONTENDER_H

#include <stddef.h>
#include <stdint.h>

/** Sets the network up, with weights from draw(). @return 0, or what went wrong */
uint8_t contender_start(void);

/** Takes the next sample and its label, in whatever form the network wants them: not counted. */
void contender_take(const int8_t sample[INPUTS], uint16_t label);

/** One whole inference of the sample taken: counted. @return 0, or what went wrong */
uint8_t benchmark_infer(void);

/** One whole learning step with the sample taken: counted. @return 0, or what went wrong */
uint8_t benchmark_learn(void);

/** How much RAM the contender takes, in bytes, and what its last step did. */
typedef struct {
    uint32_t weights;      /**< parameters, biases included */
    uint32_t infer_buffer; /**< beyond the weights, to infer */
    uint32_t learn_buffer; /**< beyond the weights, to infer and learn; 0: it does not learn */
    uint32_t active;       /**< units that were not zero in the last step; 0: not known */
} benchmark_facts_t;

/** Kept by the contender, read by the host. */
extern benchmark_facts_t benchmark_facts;

/** The next of a fixed sequence of numbers in -127..127. */
int8_t draw(uint32_t *state);

#define WEIGHT_SEED 2U

#endif /* CONTENDER_H */
