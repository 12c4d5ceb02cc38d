/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs cases through the kernels of the core that this is compiled for, on that core or in a
 * simulator of it, and compares the results with those that come with the cases.
 *
 * Either run_cases is called, or a Cortex-M starts by the vector table: then the cases lie at
 * CASES, and the result is reported by semihosting.
 */
#include "spela_kernels.h"

#define CASES ((const uint32_t *)0x20040000U)

#define BYTES_MAX 0x4000U /* the longest array of a case */
#define GUARD     32U     /* bytes around each array, which no kernel may touch */
#define GUARDED   0xA5U

enum {
    AGREE = 0,
    INPUTS = 1,
    SUMS = 2,
    WEIGHTS = 3,
    STATE = 4,
    RELIEVED = 5,
    HALVED = 6,
    STRAY = 7,
    REGISTERS = 8,
    KEPT_INPUTS = 9,
    APPLIED = 10,
    APPLIED_STATE = 11
};

typedef struct {
    uint8_t before[GUARD];
    uint8_t data[BYTES_MAX];
    uint8_t behind[GUARD];
} guarded_t;

/* What precedes a case's arrays: the inputs, the weights, the sums expected, the rows to update,
 * the weights expected after that, and those after relieving; then, of the updates that are applied
 * as one, the inputs of each, the multipliers of each row, and the weights expected. Each begins at
 * a word. */
typedef struct {
    uint32_t rows;
    uint32_t columns;
    uint32_t weight_bits;
    uint32_t is_int16;
    uint32_t inputs; /* at most as many as columns */
    uint32_t updates;
    uint32_t state;
    uint32_t multiplier;
    uint32_t increment;
    uint32_t state_after;
    uint32_t limit;
    uint32_t is_relieved;
    uint32_t batch;   /* updates applied as one */
    uint32_t scratch; /* bytes beyond those that suffice */
    uint32_t state_in_the_end;
} case_t;

static guarded_t wide __attribute__((aligned(16)));
static guarded_t weights __attribute__((aligned(16)));
static guarded_t sums __attribute__((aligned(16)));
static guarded_t rows __attribute__((aligned(16)));
static guarded_t inputs __attribute__((aligned(16)));
static guarded_t kept __attribute__((aligned(16)));
static guarded_t multipliers __attribute__((aligned(16)));
static guarded_t scratch __attribute__((aligned(16)));

uint32_t run_cases(const uint32_t *words);

static void guard(guarded_t *array, uint32_t used) {
    for (uint32_t i = 0U; i < GUARD; i++) {
        array->before[i] = GUARDED;
        array->data[used + i] = GUARDED;
    }
}

static bool is_guarded(const guarded_t *array, uint32_t used) {
    for (uint32_t i = 0U; i < GUARD; i++) {
        if (array->before[i] != GUARDED || array->data[used + i] != GUARDED) {
            return false;
        }
    }
    return true;
}

static const uint8_t *take(const uint32_t **words, uint32_t bytes) {
    const uint8_t *const start = (const uint8_t *)*words;
    *words += (bytes + 3U) / 4U;
    return start;
}

static void copy(uint8_t *to, const uint8_t *from, uint32_t bytes) {
    for (uint32_t i = 0U; i < bytes; i++) {
        to[i] = from[i];
    }
}

static bool equal(const uint8_t *one, const uint8_t *other, uint32_t bytes) {
    for (uint32_t i = 0U; i < bytes; i++) {
        if (one[i] != other[i]) {
            return false;
        }
    }
    return true;
}

#if defined(__arm__) || defined(__riscv)

#ifdef __riscv

/* s0 to s11. */
#define KEPT 12U

/* clang-format off */

/* As below, for RISC-V. */
__attribute__((naked)) static void call_filled(
    __attribute__((unused)) uintptr_t function, __attribute__((unused)) const uintptr_t *arguments,
    __attribute__((unused)) uint32_t *kept) {
#define FOR_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define SAVE(n)     "sw s" #n ", 4 * " #n "(sp)\n"
#define FILL(n)     "lw s" #n ", 4 * " #n "(a2)\n"
#define TELL(n)     "sw s" #n ", 4 * " #n "(a2)\n"
#define RESTORE(n)  "lw s" #n ", 4 * " #n "(sp)\n"
    __asm__ volatile(
        "addi sp, sp, -64\n"
        "sw   ra, 60(sp)\n"
        "sw   a2, 56(sp)\n"
        FOR_EACH(SAVE)
        FOR_EACH(FILL)
        "mv   t0, a0\n"
        "mv   t1, a1\n"
        "lw   a0, 0(t1)\n"
        "lw   a1, 4(t1)\n"
        "lw   a2, 8(t1)\n"
        "lw   a3, 12(t1)\n"
        "jalr t0\n"
        "lw   a2, 56(sp)\n"
        FOR_EACH(TELL)
        FOR_EACH(RESTORE)
        "lw   ra, 60(sp)\n"
        "addi sp, sp, 64\n"
        "ret\n");
}

/* clang-format on */

#else

/* What a function must leave as it was: r4-r11, and q4-q7 (d8-d15) where there are vectors. */
#ifdef __ARM_FEATURE_MVE
#define KEPT 24U
#else
#define KEPT 8U
#endif

/* clang-format off */

/* Calls a function of up to four arguments with these registers filled from `kept`, and writes back
 * what it left in them. */
__attribute__((naked)) static void call_filled(
    __attribute__((unused)) uintptr_t function, __attribute__((unused)) const uintptr_t *arguments,
    __attribute__((unused)) uint32_t *kept) {
    __asm__ volatile(
        ".syntax unified\n"
        "push    {r4-r7, lr}\n"
        "mov     r4, r8\n"
        "mov     r5, r9\n"
        "mov     r6, r10\n"
        "mov     r7, r11\n"
        "push    {r2, r4-r7}\n"
        "mov     r12, r0\n"
#ifdef __ARM_FEATURE_MVE
        "sub     sp, #64\n"
        "vstrw.32 q4, [sp]\n"
        "vstrw.32 q5, [sp, #16]\n"
        "vstrw.32 q6, [sp, #32]\n"
        "vstrw.32 q7, [sp, #48]\n"
        "vldrw.u32 q4, [r2, #32]\n"
        "vldrw.u32 q5, [r2, #48]\n"
        "vldrw.u32 q6, [r2, #64]\n"
        "vldrw.u32 q7, [r2, #80]\n"
#endif
        "adds    r2, #16\n"
        "ldmia   r2!, {r4-r7}\n"
        "mov     r8, r4\n"
        "mov     r9, r5\n"
        "mov     r10, r6\n"
        "mov     r11, r7\n"
        "subs    r2, #32\n"
        "ldmia   r2!, {r4-r7}\n"
        "ldr     r0, [r1]\n"
        "ldr     r2, [r1, #8]\n"
        "ldr     r3, [r1, #12]\n"
        "ldr     r1, [r1, #4]\n"
        "blx     r12\n"
#ifdef __ARM_FEATURE_MVE
        "ldr     r0, [sp, #64]\n"
        "vstrw.32 q4, [r0, #32]\n"
        "vstrw.32 q5, [r0, #48]\n"
        "vstrw.32 q6, [r0, #64]\n"
        "vstrw.32 q7, [r0, #80]\n"
        "vldrw.u32 q4, [sp]\n"
        "vldrw.u32 q5, [sp, #16]\n"
        "vldrw.u32 q6, [sp, #32]\n"
        "vldrw.u32 q7, [sp, #48]\n"
        "add     sp, #64\n"
#endif
        "pop     {r0}\n"
        "stmia   r0!, {r4-r7}\n"
        "mov     r4, r8\n"
        "mov     r5, r9\n"
        "mov     r6, r10\n"
        "mov     r7, r11\n"
        "stmia   r0!, {r4-r7}\n"
        "pop     {r4-r7}\n"
        "mov     r8, r4\n"
        "mov     r9, r5\n"
        "mov     r10, r6\n"
        "mov     r11, r7\n"
        "pop     {r4-r7, pc}\n");
}

/* clang-format on */

#endif

/* Calls a kernel; says whether it left the registers as they were. */
static bool keeps_registers(uintptr_t function, uintptr_t a, uintptr_t b, uintptr_t c,
                            uintptr_t d) {
    const uintptr_t arguments[4] = {a, b, c, d};
    uint32_t kept[KEPT];
    for (uint32_t i = 0U; i < KEPT; i++) {
        kept[i] = UINT32_C(0x9E3779B9) * (i + 1U);
    }
    call_filled(function, arguments, kept);
    for (uint32_t i = 0U; i < KEPT; i++) {
        if (kept[i] != UINT32_C(0x9E3779B9) * (i + 1U)) {
            return false;
        }
    }
    return true;
}

#define CALL4(kernel, a, b, c, d)                                                                  \
    keeps_registers((uintptr_t)(kernel), (uintptr_t)(a), (uintptr_t)(b), (uintptr_t)(c),           \
                    (uintptr_t)(d))
#define CALL3(kernel, a, b, c) CALL4(kernel, a, b, c, 0U)

#else /* the host's kernels are C: their compiler keeps registers */

#define CALL4(kernel, a, b, c, d) (kernel((a), (b), (c), (d)), true)
#define CALL3(kernel, a, b, c)    (kernel((a), (b), (c)), true)

#endif

/* Keeps updates, applies them as one, and looks at what became of the weights. */
static uint32_t run_batch(const case_t *it, const spela_shape_t *shape, const uint32_t **words) {
    const uint32_t weight_bytes = it->rows * it->columns * (it->is_int16 != 0U ? 2U : 1U);
    const uint32_t stride = (it->batch + 1U) / 2U * 2U;
    const uint32_t kept_bytes = it->columns * stride;
    const uint32_t multiplier_bytes = 2U * it->rows * stride;
    const uint32_t scratch_bytes = spela_scratch_bytes(it->rows, stride) + it->scratch;
    int8_t *const w = (int8_t *)weights.data;
    int16_t *const w16 = (int16_t *)(void *)weights.data;
    int16_t *const x = (int16_t *)(void *)wide.data;
    bool keeps = true;
    for (uint32_t i = 0U; i < kept_bytes; i++) {
        kept.data[i] = GUARDED; /* the place that fills a pair may hold anything */
    }
    for (uint32_t k = 0U; k < it->batch; k++) {
        const int8_t *const given = (const int8_t *)take(words, it->inputs);
        spela_widen(given, it->inputs, x);
        keeps = CALL4(spela_keep, x, it->columns, stride, (int8_t *)kept.data + 4U * k) && keeps;
        for (uint32_t i = 0U; i < it->columns; i++) {
            const int8_t is = (int8_t)kept.data[i / 4U * 4U * stride + 4U * k + i % 4U];
            if (is != (i < it->inputs ? given[i] : 0)) {
                return KEPT_INPUTS;
            }
        }
    }
    copy(multipliers.data, take(words, multiplier_bytes), multiplier_bytes);
    guard(&kept, kept_bytes);
    guard(&multipliers, multiplier_bytes);
    guard(&scratch, scratch_bytes);
    spela_batch_t batch = {(const int8_t *)kept.data,
                           (int16_t *)(void *)multipliers.data,
                           (uint32_t *)(void *)scratch.data,
                           scratch_bytes,
                           it->batch,
                           stride,
                           it->state_after,
                           it->multiplier,
                           it->increment};
    if (it->is_int16 != 0U) {
        keeps = CALL3(spela_apply_int16, w16, shape, &batch) && keeps;
    } else {
        keeps = CALL3(spela_apply_int8, w, shape, &batch) && keeps;
    }
    if (!equal(weights.data, take(words, weight_bytes), weight_bytes)) {
        return APPLIED;
    }
    if (batch.state != it->state_in_the_end || batch.count != it->batch) {
        return APPLIED_STATE;
    }
    const bool is_clean = is_guarded(&kept, kept_bytes) &&
                          is_guarded(&multipliers, multiplier_bytes) &&
                          is_guarded(&scratch, scratch_bytes) && is_guarded(&weights, weight_bytes);
    if (!is_clean) {
        return STRAY;
    }
    return keeps ? AGREE : REGISTERS;
}

static uint32_t run_case(const uint32_t **words) {
    const case_t *const it = (const case_t *)(const void *)take(words, sizeof(case_t));
    const spela_shape_t shape = {it->rows, it->columns, it->weight_bits};
    const uint32_t weight_bytes = it->rows * it->columns * (it->is_int16 != 0U ? 2U : 1U);
    const uint32_t wide_bytes = (2U * it->columns + 15U) / 16U * 16U;
    const uint8_t *const given = take(words, it->inputs);
    const uint8_t *const start = take(words, weight_bytes);
    const uint8_t *const expected_sums = take(words, 4U * it->rows);
    const uint8_t *const listed = take(words, 8U * it->updates);
    const uint8_t *const updated = take(words, weight_bytes);
    const uint8_t *const relieved = take(words, weight_bytes);
    int16_t *const x = (int16_t *)(void *)wide.data;
    int32_t *const z = (int32_t *)(void *)sums.data;
    spela_row_update_t *const updates = (spela_row_update_t *)(void *)rows.data;
    int8_t *const w = (int8_t *)weights.data;
    int16_t *const w16 = (int16_t *)(void *)weights.data;

    guard(&wide, wide_bytes);
    guard(&weights, weight_bytes);
    guard(&sums, 4U * it->rows);
    guard(&rows, 8U * it->updates);
    guard(&inputs, 3U + it->inputs);
    copy(weights.data, start, weight_bytes);
    copy(rows.data, listed, 8U * it->updates);
    int8_t *const sample = (int8_t *)inputs.data + it->state % 4U; /* at any alignment */
    copy((uint8_t *)sample, given, it->inputs);

    bool keeps = CALL3(spela_widen, sample, it->inputs, x);
    for (uint32_t i = 0U; i < it->columns; i++) {
        if (spela_input(x, i) != (i < it->inputs ? (int8_t)given[i] : 0)) {
            return INPUTS;
        }
    }
    if (it->is_int16 != 0U) {
        keeps = CALL4(spela_dense_int16, w16, x, &shape, z) && keeps;
    } else {
        keeps = CALL4(spela_dense_int8, w, x, &shape, z) && keeps;
    }
    if (!equal(sums.data, expected_sums, 4U * it->rows)) {
        return SUMS;
    }
    spela_update_t update = {x,         updates,        updates + it->updates,
                             it->state, it->multiplier, it->increment};
    if (it->is_int16 != 0U) {
        keeps = CALL3(spela_update_int16, w16, &shape, &update) && keeps;
    } else {
        keeps = CALL3(spela_update_int8, w, &shape, &update) && keeps;
    }
    if (!equal(weights.data, updated, weight_bytes)) {
        return WEIGHTS;
    }
    if (update.state != it->state_after || update.wide != x || update.rows != updates) {
        return STATE;
    }
    const bool did = it->is_int16 != 0U ? spela_relieve_int16(w16, &shape, it->limit)
                                        : spela_relieve_int8(w, &shape, it->limit);
    if (did != (it->is_relieved != 0U)) {
        return RELIEVED;
    }
    if (!equal(weights.data, relieved, weight_bytes)) {
        return HALVED;
    }
    const bool is_clean = is_guarded(&wide, wide_bytes) && is_guarded(&weights, weight_bytes) &&
                          is_guarded(&sums, 4U * it->rows) && is_guarded(&rows, 8U * it->updates);
    if (!is_clean) {
        return STRAY;
    }
    return keeps ? run_batch(it, &shape, words) : REGISTERS;
}

/* words: how many cases, then the cases. Returns 0, or for the first case that disagrees its number
 * from 1, times 16, plus what disagrees. */
uint32_t run_cases(const uint32_t *words) {
    const uint32_t cases = *words;
    words++;
    for (uint32_t i = 1U; i <= cases; i++) {
        const uint32_t found = run_case(&words);
        if (found != AGREE) {
            return 16U * i + found;
        }
    }
    return AGREE;
}

#ifdef __arm__

#include "semihosting.h"

void start(void);
void start(void) {
#ifdef __ARM_FEATURE_MVE
    *(volatile uint32_t *)0xE000ED88U |= 15U << 20; /* CPACR: vector registers */
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
    report(run_cases(CASES));
}

extern const vectors_t vectors;
__attribute__((section(".vectors"), used))
const vectors_t vectors = {(uintptr_t)CASES, {start, start, start}};

#endif
