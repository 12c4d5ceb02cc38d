/** Early exit: the first exit that is sure enough answers (docs/arithmetic.md, section 8). */
#include "spela_network.h"

/** What an exit says, or that it does not know: its cosine is lower than known classes' are. */
static spela_result_t answer_or_unknown(const spela_layer_t *layer, spela_result_t answer) {
    if (layer->reject_cosine != 0 && answer.cosine < layer->reject_cosine) {
        answer.label = SPELA_UNKNOWN;
    }
    return answer;
}

spela_status_t spela_infer_early(spela_t *network, const int8_t *sample, size_t inputs,
                                 spela_result_t *result) {
    const spela_status_t status = spela_check_sample(network, sample, inputs);
    if (status != SPELA_OK) {
        return status;
    }
    if (result == NULL) {
        return SPELA_ERROR_ARGUMENT;
    }
    const uint32_t last = network->model.pointer->layer_count - 1U;
    spela_widen(sample, (uint32_t)inputs, spela_wide(network, 0U));
    for (uint32_t i = 0U; i <= last; i++) {
        const spela_layer_t *const layer = spela_layer(network, i);
        const spela_output_t output = spela_run_layer(network, i);
        if (i < last && layer->exit_margin == 0) {
            continue; /* nobody leaves here: no need for scores */
        }
        spela_score(network, i);
        const spela_result_t answer =
            spela_answer(network, i, spela_inverse_norm(output.squared_norm));
        if (i == last || answer.margin >= layer->exit_margin) {
            *result = answer_or_unknown(layer, answer);
            break;
        }
    }
    return SPELA_OK;
}
