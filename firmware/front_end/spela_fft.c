/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A Fourier transform of real values: one of half as many complex numbers, in stages of two, then
 * split. Every stage halves, so that nothing overflows: a number's magnitude is at most 23171 at
 * the start, and at most 14 more at the end.
 *
 * On cores with the DSP extension two numbers of 16 bits are added at a time, and two stages are
 * done while their numbers are in registers. The results are the same.
 */
#include "spela_fft.h"

#include "spela_arithmetic.h"

#ifndef SPELA_NO_SPECTRUM

#define ROUNDING 0x8000

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP == 1

#define SPELA_DSP_FFT

#define SPELA_PAIR(name, instruction)                                                              \
    static inline uint32_t name(uint32_t a, uint32_t b) {                                          \
        uint32_t result;                                                                           \
        __asm__(instruction " %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));                        \
        return result;                                                                             \
    }

SPELA_PAIR(half_sum, "shadd16")
SPELA_PAIR(half_difference, "shsub16")
SPELA_PAIR(half_sum_turned, "shsax")        /* (a - j b) / 2 */
SPELA_PAIR(half_difference_turned, "shasx") /* (a + j b) / 2 */
SPELA_PAIR(sum, "sadd16")
SPELA_PAIR(difference, "ssub16")
SPELA_PAIR(sum_turned, "ssax")        /* a - j b */
SPELA_PAIR(difference_turned, "sasx") /* a + j b */

static inline uint32_t half(uint32_t a) {
    return half_sum(a, 0U);
}

/** a w / 2, rounded. */
static inline uint32_t half_product(uint32_t a, uint32_t w) {
    uint32_t real, imaginary, result;
    __asm__("smlsd %0, %1, %2, %3" : "=r"(real) : "r"(a), "r"(w), "r"(ROUNDING));
    __asm__("smladx %0, %1, %2, %3" : "=r"(imaginary) : "r"(a), "r"(w), "r"(ROUNDING));
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(imaginary), "r"(real));
    return result;
}

static inline uint32_t power(uint32_t a) {
    uint32_t result;
    __asm__("smuad %0, %1, %1" : "=r"(result) : "r"(a));
    return result;
}

/** The real part of one number and the imaginary part of another. */
static inline uint32_t parts(uint32_t real, uint32_t imaginary) {
    uint32_t result;
    __asm__("pkhbt %0, %1, %2" : "=r"(result) : "r"(real), "r"(imaginary & UINT32_C(0xFFFF0000)));
    return result;
}

#else

static inline int32_t halved(int32_t value) {
    return spela_shift_right(value, 1U);
}

static inline uint32_t half_sum(uint32_t a, uint32_t b) {
    return spela_complex(halved(spela_real(a) + spela_real(b)),
                         halved(spela_imaginary(a) + spela_imaginary(b)));
}

static inline uint32_t half_difference(uint32_t a, uint32_t b) {
    return spela_complex(halved(spela_real(a) - spela_real(b)),
                         halved(spela_imaginary(a) - spela_imaginary(b)));
}

static inline uint32_t half_sum_turned(uint32_t a, uint32_t b) {
    return spela_complex(halved(spela_real(a) + spela_imaginary(b)),
                         halved(spela_imaginary(a) - spela_real(b)));
}

static inline uint32_t half_difference_turned(uint32_t a, uint32_t b) {
    return spela_complex(halved(spela_real(a) - spela_imaginary(b)),
                         halved(spela_imaginary(a) + spela_real(b)));
}

static inline uint32_t sum(uint32_t a, uint32_t b) {
    return spela_complex(spela_real(a) + spela_real(b), spela_imaginary(a) + spela_imaginary(b));
}

static inline uint32_t difference(uint32_t a, uint32_t b) {
    return spela_complex(spela_real(a) - spela_real(b), spela_imaginary(a) - spela_imaginary(b));
}

static inline uint32_t sum_turned(uint32_t a, uint32_t b) {
    return spela_complex(spela_real(a) + spela_imaginary(b), spela_imaginary(a) - spela_real(b));
}

static inline uint32_t difference_turned(uint32_t a, uint32_t b) {
    return spela_complex(spela_real(a) - spela_imaginary(b), spela_imaginary(a) + spela_real(b));
}

static inline uint32_t half(uint32_t a) {
    return spela_complex(halved(spela_real(a)), halved(spela_imaginary(a)));
}

static inline uint32_t half_product(uint32_t a, uint32_t w) {
    const int32_t real = spela_real(a) * spela_real(w) - spela_imaginary(a) * spela_imaginary(w);
    const int32_t other = spela_real(a) * spela_imaginary(w) + spela_imaginary(a) * spela_real(w);
    return spela_complex(spela_shift_right(real + ROUNDING, 16U),
                         spela_shift_right(other + ROUNDING, 16U));
}

static inline uint32_t power(uint32_t a) {
    return (uint32_t)(spela_real(a) * spela_real(a) + spela_imaginary(a) * spela_imaginary(a));
}

static inline uint32_t parts(uint32_t real, uint32_t imaginary) {
    return (real & UINT32_C(0xFFFF)) | (imaginary & UINT32_C(0xFFFF0000));
}

#endif

/** The first two stages, whose factors are 1 and -j. */
static void begin_stages(uint32_t *z, uint32_t count) {
    const uint32_t *const end = z + count;
    for (uint32_t *at = z; at < end; at += 4) {
        const uint32_t a = half_sum(at[0], at[1]);
        const uint32_t b = half_difference(at[0], at[1]);
        const uint32_t c = half_sum(at[2], at[3]);
        const uint32_t d = half_difference(at[2], at[3]);
        at[0] = half_sum(a, c);
        at[1] = half_sum_turned(b, d);
        at[2] = half_difference(a, c);
        at[3] = half_difference_turned(b, d);
    }
}

/** One stage: numbers `apart` are combined. stride: of the twiddles. */
static void stage(uint32_t *z, uint32_t count, uint32_t apart, const uint32_t *twiddles,
                  uint32_t stride) {
    const uint32_t *const end = z + count;
    for (uint32_t j = 0U; j < apart / 2U; j++) {
        const uint32_t w = twiddles[j * stride];
        for (uint32_t *at = z + j; at < end; at += 2U * apart) {
            uint32_t *const other = at + apart / 2U; /* half a turn of the circle further: -j w */
            const uint32_t a = half(at[0]);
            const uint32_t b = half_product(at[apart], w);
            const uint32_t c = half(other[0]);
            const uint32_t d = half_product(other[apart], w);
            at[0] = sum(a, b);
            at[apart] = difference(a, b);
            other[0] = sum_turned(c, d);
            other[apart] = difference_turned(c, d);
        }
    }
}

#ifdef SPELA_DSP_FFT
/** Two stages, that of numbers `apart` and the next. stride: of the second's twiddles. */
static void two_stages(uint32_t *z, uint32_t count, uint32_t apart, const uint32_t *twiddles,
                       uint32_t stride) {
    const uint32_t *const end = z + count;
    for (uint32_t j = 0U; j < apart; j++) {
        const uint32_t w = twiddles[j * stride]; /* a quarter of the circle at most */
        const uint32_t turned = j < apart / 2U ? 0U : 1U;
        const uint32_t v = twiddles[(j - (turned != 0U ? apart / 2U : 0U)) * 2U * stride];
        for (uint32_t *at = z + j; at < end; at += 4U * apart) {
            uint32_t a = half(at[0]), b = half_product(at[apart], v);
            uint32_t c = half(at[2U * apart]), d = half_product(at[3U * apart], v);
            uint32_t e, f, g, h;
            if (turned == 0U) {
                e = sum(a, b);
                f = difference(a, b);
                g = sum(c, d);
                h = difference(c, d);
            } else {
                e = sum_turned(a, b);
                f = difference_turned(a, b);
                g = sum_turned(c, d);
                h = difference_turned(c, d);
            }
            a = half(e);
            b = half_product(g, w);
            c = half(f);
            d = half_product(h, w);
            at[0] = sum(a, b);
            at[2U * apart] = difference(a, b);
            at[apart] = sum_turned(c, d);
            at[3U * apart] = difference_turned(c, d);
        }
    }
}
#endif

/** The powers of a real transform, of the transform of pairs. */
static void split(uint32_t *z, const uint32_t *twiddles, uint32_t count) {
    for (uint32_t k = 1U; k <= count / 2U; k++) {
        const uint32_t sums = half_sum(z[k], z[count - k]);
        const uint32_t differences = half_difference(z[k], z[count - k]);
        const uint32_t even = half(parts(sums, differences));
        const uint32_t odd = half_product(parts(differences, sums), twiddles[k]);
        z[count - k] = power(difference_turned(even, odd));
        z[k] = power(sum_turned(even, odd)); /* last: the middle bin is its own counterpart */
    }
}

void spela_transform(uint32_t *z, const uint32_t *twiddles, uint32_t points) {
    const uint32_t count = points / 2U;
    uint32_t apart = 4U;
    begin_stages(z, count);
#ifdef SPELA_DSP_FFT
    for (; apart * 4U <= count; apart *= 4U) {
        two_stages(z, count, apart, twiddles, points / (4U * apart));
    }
#endif
    for (; apart < count; apart *= 2U) {
        stage(z, count, apart, twiddles, points / (2U * apart));
    }
    split(z, twiddles, count);
}

#endif
