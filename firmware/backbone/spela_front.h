/* SPDX-License-Identifier: Apache-2.0 */
/** What stands in front of the layers: a frozen network, and the scaling of its features. */
#ifndef SPELA_FRONT_H
#define SPELA_FRONT_H

#include "spela.h"
#include "spela_backbone.h"
#include "spela_scaling.h"

#ifdef __cplusplus
extern "C" {
#endif

/** From a sample to the first layer's inputs: generated, constant. A feature less the zero point is
 *  scaled as a raw value is (docs/arithmetic.md, section 9). */
struct spela_front {
    const spela_backbone_t *backbone;
    const spela_scaling_t *scalings; /**< one for each feature, or a single one for all */
    uint32_t scaling_count;
    int8_t zero_point; /**< the feature that stands for 0 */
};

/** A model with a front refers to it: the linker names it if SPELA_WITH_BACKBONE is missing. */
extern const uint8_t spela_runtime_for_backbone;

/** The same for one with taps and SPELA_WITH_TAPS. */
extern const uint8_t spela_runtime_for_taps;

/**
 * Computes a sample's features, as they are before they are scaled.
 *
 * They are kept: for a model with a front, a NULL sample of 0 inputs stands in every call for the
 * sample of the call before, and nothing is computed again. So a sample that was classified can be
 * learned at the cost of the layers alone. Before the first sample all features are 0.
 *
 * In a network with taps, the features are those of all taps in their order, then those at the cut.
 * spela_infer_early computes what it needs. After a sample that left early, a call with NULL and 0
 * goes on from there; SPELA_ERROR_ARGUMENT if spela_sample was called in between, since its place
 * was that of maps that are still needed.
 *
 * @param features  set to as many values as the network has inputs; valid until the next call
 * @return SPELA_OK, SPELA_ERROR_ARGUMENT (as well if the model has no front), SPELA_ERROR_SIZE
 */
spela_status_t spela_features(spela_t *network, const int8_t *sample, size_t inputs,
                              const int8_t **features);

/**
 * Memory in which a sample may be put together for the next call, so that it needs none of its own:
 * the backbone's plan has a place for it, which its feature maps take over.
 *
 *     int8_t *const sample = spela_sample(network);
 *     camera_read(sample);
 *     (void)spela_infer(network, sample, inputs, &result);
 *
 * That call destroys the sample, and so does every other that infers, learns, flushes or resets. To
 * learn it afterwards, pass NULL and 0.
 *
 * @return as many values as a sample has; NULL for a null pointer or a model without a front
 */
int8_t *spela_sample(spela_t *network);

/**
 * Takes features that were computed before, in place of the sample that they came from: they are
 * that of the call before, as if it had been given. So a device that keeps a sample's features,
 * often fewer bytes than the sample itself, learns it in several passes and computes it once.
 *
 * @param features  `count` values, as spela_features gave them
 * @return SPELA_OK, SPELA_ERROR_ARGUMENT (as well if the model has no front), SPELA_ERROR_SIZE
 */
spela_status_t spela_recall(spela_t *network, const int8_t *features, size_t count);

#ifdef __cplusplus
}
#endif
#endif /* SPELA_FRONT_H */
