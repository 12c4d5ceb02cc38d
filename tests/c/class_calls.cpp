// SPDX-License-Identifier: Apache-2.0
// A program that predicts, learns, saves and loads: with the class, or by calls of C (PLAIN).
#include <ToyNetwork.h>

extern int8_t sample[TOY_INPUTS];
extern spela_store_t store;
int classify();
bool correct(int label);
bool start();
bool keep();

#ifdef PLAIN

alignas(8) static uint8_t arena[TOY_ARENA_BYTES];
static spela_t *network;
static spela_result_t answer;

bool start() {
    return spela_init(&network, &toy_model, arena, sizeof arena) == SPELA_OK &&
           spela_store_load(&store, network) == SPELA_STORE_OK;
}

int classify() {
    return spela_infer_early(network, sample, TOY_INPUTS, &answer) == SPELA_OK ? answer.label : -1;
}

bool correct(int label) {
    return spela_learn(network, sample, TOY_INPUTS, static_cast<uint16_t>(label), nullptr) ==
           SPELA_OK;
}

bool keep() {
    return spela_store_save(&store, network) == SPELA_STORE_OK;
}

#else

static ToyNetwork network;

bool start() {
    return network.begin() && network.load(store);
}

int classify() {
    return network.predict(sample);
}

bool correct(int label) {
    return network.learn(sample, label);
}

bool keep() {
    return network.save(store);
}

#endif
