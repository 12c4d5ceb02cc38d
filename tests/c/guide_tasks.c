/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tasks of docs/integration.md on this machine: one learns, another infers all the time. Says
 * what inference answers at the end. With FreeRTOS, on its kernel for POSIX; else with two threads.
 */
#define _POSIX_C_SOURCE 200809L

#include "shared.h"

#include <stdio.h>
#include <stdlib.h>

#define STEPS 400U

static void fill(int8_t sample[PUMP_INPUTS], uint32_t n) {
    for (uint32_t k = 0U; k < PUMP_INPUTS; k++) {
        sample[k] = (int8_t)((int32_t)((n * 37U + k * k * 11U) % 255U) - 127);
    }
}

static void rest(void);

static void learn_all(void) {
    for (uint32_t n = 0U; n < STEPS; n++) {
        int8_t sample[PUMP_INPUTS];
        fill(sample, n);
        if (!shared_learn(sample, (uint16_t)(n % PUMP_CLASSES))) {
            exit(1);
        }
        if (n % 16U == 0U) {
            rest();
        }
    }
}

static void infer_once(uint32_t n) {
    int8_t sample[PUMP_INPUTS];
    fill(sample, n);
    if (shared_infer(sample) >= PUMP_CLASSES) {
        exit(1);
    }
}

static void report(void) {
    for (uint32_t n = 0U; n < 8U; n++) {
        int8_t sample[PUMP_INPUTS];
        fill(sample, n);
        printf("%u\n", (unsigned)shared_infer(sample));
    }
    fflush(stdout);
}

#ifdef WITH_FREERTOS
#include "FreeRTOS.h"
#include "task.h"

static void rest(void) {
    vTaskDelay(1);
}

static void learner(void *argument) {
    (void)argument;
    learn_all();
    report();
    exit(0);
}

static void watcher(void *argument) {
    (void)argument;
    for (uint32_t n = 0U;; n++) {
        infer_once(n);
        if (n % 8U == 0U) {
            rest();
        }
    }
}

int main(void) {
    static StaticTask_t tasks[2];
    static StackType_t stacks[2][4096];
    lock_start();
    if (!shared_start()) {
        return 1;
    }
    (void)xTaskCreateStatic(learner, "learn", 4096, NULL, 1, stacks[0], &tasks[0]);
    (void)xTaskCreateStatic(watcher, "watch", 4096, NULL, 2, stacks[1], &tasks[1]);
    vTaskStartScheduler();
    return 1;
}
#else
#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static bool is_over;

void lock_start(void) {}

void lock_take(void) {
    (void)pthread_mutex_lock(&mutex);
}

void lock_give(void) {
    (void)pthread_mutex_unlock(&mutex);
}

static void rest(void) {}

static bool over(void) {
    (void)pthread_mutex_lock(&gate);
    const bool is = is_over;
    (void)pthread_mutex_unlock(&gate);
    return is;
}

static void *watcher(void *argument) {
    (void)argument;
    for (uint32_t n = 0U; !over(); n++) {
        infer_once(n);
    }
    return NULL;
}

int main(void) {
    pthread_t thread;
    lock_start();
    if (!shared_start() || pthread_create(&thread, NULL, watcher, NULL) != 0) {
        return 1;
    }
    learn_all();
    (void)pthread_mutex_lock(&gate);
    is_over = true;
    (void)pthread_mutex_unlock(&gate);
    (void)pthread_join(thread, NULL);
    report();
    return 0;
}
#endif
