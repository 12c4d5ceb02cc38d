/* SPDX-License-Identifier: Apache-2.0 */
/** The softmax loss: how every class pulls at an activation (docs/arithmetic.md, section 5).
 *  Included by spela_learn.c alone. */

#define SPELA_OCTAVES 2955U /**< octaves of the sharpened softmax a cosine of 1, Q8: 8 log2(e) */
#define SPELA_LEARNED 256   /**< of a label so near to certain, 1 / 64, nothing is learned */

/** 2^(-octaves), Q16, from octaves in Q22, below 2^27. Between powers of two it is a parabola. */
static inline uint32_t weight_of(uint32_t octaves) {
    const uint32_t part = (octaves >> 14) & 0xFFU;
    return (UINT32_C(0x10000) - 172U * part + ((11U * part * part) >> 6)) >> (octaves >> 22);
}

/** Whether a class is there to be told apart: one that is spare is not. */
static inline bool is_class(const spela_t *network, uint32_t c) {
#ifdef SPELA_WITH_CONTINUAL
    return !SPELA_IS_CONTINUAL(network->model.pointer) || spela_classes(network)[c].is_active != 0U;
#else
    (void)network;
    (void)c;
    return true;
#endif
}

/** Makes coefficients of the scores, in their place: Q1.14, one less the softmax for the label,
 * minus the softmax for the others. False where there is nothing left to learn. */
static bool find_coefficients(const spela_t *network, uint32_t index, uint16_t label,
                              spela_direction_t *direction) {
    const spela_model_t *const model = network->model.pointer;
    const spela_layer_t *const layer = spela_layer(network, index);
    const uint32_t classes = model->classes;
    int32_t *const values = spela_at(network, network->scores_offset);
    int32_t greatest = INT32_MIN;
    uint32_t total = 0U;
    for (uint32_t c = 0U; c < classes; c++) {
        values[c] = spela_cosine(values[c], direction->inverse, layer->exit.embedding_shift);
        greatest = values[c] > greatest && is_class(network, c) ? values[c] : greatest;
    }
    for (uint32_t c = 0U; c < classes; c++) {
        if (is_class(network, c)) {
            total += weight_of((uint32_t)(greatest - values[c]) * SPELA_OCTAVES); /* <= 2^24 */
        }
    }
    /* cppcheck-suppress zerodiv ; the greatest cosine's weight is 2^16 */
    const uint32_t share = UINT32_C(0x40000000) / total; /* <= 2^14 */
    int32_t projection = 0;
    for (uint32_t c = 0U; c < classes; c++) {
        const uint32_t weight =
            is_class(network, c) ? weight_of((uint32_t)(greatest - values[c]) * SPELA_OCTAVES) : 0U;
        const int32_t coefficient =
            (c == label ? SPELA_ONE_Q14 : 0) - (int32_t)((weight * share) >> 16);
        projection += coefficient * values[c]; /* coefficients sum to 2^15 at most: < 2^29.1 */
        values[c] = coefficient;
    }
    direction->projection = spela_shift_right_rounded(projection, 14U);
    return values[label] >= SPELA_LEARNED;
}

/** One element of v, Q1.14: the sum of all embeddings' pulls. */
static int32_t attraction(const spela_t *network, const spela_layer_t *layer, uint32_t j) {
    const int32_t *const coefficients = spela_at(network, network->scores_offset);
    const uint32_t at = spela_element(j);
    int32_t sum = 0;
    for (uint32_t c = 0U; c < network->model.pointer->classes; c++) {
        sum += coefficients[c] * spela_embedding(layer, c)[at]; /* 2^22 at most in all */
    }
    return spela_shift_right_rounded(sum, layer->exit.embedding_shift);
}
