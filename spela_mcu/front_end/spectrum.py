"""Band powers in 16-bit integers, as logarithms: docs/front-end.md, section 5."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spela_mcu.front_end.tables import Bands, hann, logarithms, twiddles

Int64 = NDArray[np.int64]

VALUE_BITS, GAIN_MAX, LOG_BITS, WEIGHT_BITS = 14, 8, 10, 15

SILENCE = -8 << LOG_BITS
"""What is below is less than the noise of any sensor."""


def mean(total: Int64, count: int) -> Int64:
    """A sum's mean, to the nearest integer, halves up."""
    return (total + count // 2) // count


def band_powers(frames: Int64, points: int, bands: Bands) -> Int64:
    """The logarithms of band powers, Q10 [..., bands].

    Args:
        frames: signals [..., span], span <= points.
        points: of the transform.
        bands: which bins make up which.
    """
    placed, gain = windowed(frames)
    padded = np.zeros((*frames.shape[:-1], points), np.int64)
    padded[..., : frames.shape[-1]] = placed
    powers = power_spectrum(padded)
    found = logarithm(band_sums(powers, bands)) - (2 * gain << LOG_BITS)[..., None]
    return np.maximum(found, SILENCE)


def windowed(frames: Int64) -> tuple[Int64, Int64]:
    """Frames [..., span] less their mean, shifted to 14 bits, windowed; and the shifts [...]."""
    span = frames.shape[-1]
    values = frames - mean(frames.sum(-1), span)[..., None]
    peak = np.abs(values).max(-1)
    gain = np.minimum(VALUE_BITS - bits(peak), GAIN_MAX)
    left, right = np.maximum(gain, 0)[..., None], np.maximum(-gain, 0)[..., None]
    values = ((values << left) + ((1 << right) >> 1)) >> right
    half = hann(span)
    window = np.concatenate((half, half[: span // 2][::-1]))
    return (values * window + (1 << 14)) >> 15, gain


def power_spectrum(values: Int64) -> Int64:
    """Powers of bins 0 to points / 2 - 1 of real values [..., points]; that of bin 0 is 0."""
    points = values.shape[-1]
    table = twiddles(points)
    real, imaginary = transform(values[..., 0::2], values[..., 1::2], table)
    count = points // 2
    k = np.arange(1, count // 2 + 1)
    a, b = (real[..., k], imaginary[..., k]), (real[..., count - k], imaginary[..., count - k])
    even = (a[0] + b[0]) >> 1 >> 1, (a[1] - b[1]) >> 1 >> 1
    odd = half_product(((a[0] - b[0]) >> 1, (a[1] + b[1]) >> 1), (table[k, 0], table[k, 1]))
    powers = np.zeros((*values.shape[:-1], count), np.int64)
    powers[..., count - k] = (even[0] - odd[1]) ** 2 + (even[1] + odd[0]) ** 2
    powers[..., k] = (even[0] + odd[1]) ** 2 + (even[1] - odd[0]) ** 2
    return powers


def transform(real: Int64, imaginary: Int64, table: Int64) -> tuple[Int64, Int64]:
    """The transform of complex numbers [..., count], divided by count.

    Args:
        real: their real parts.
        imaginary: the others.
        table: `twiddles` of twice as many points.
    """
    count = real.shape[-1]
    order = reversed_bits(count)
    re, im = real[..., order], imaginary[..., order]
    apart = 1
    while apart < count:
        shape = (*re.shape[:-1], -1, 2, apart)
        re, im = re.reshape(shape), im.reshape(shape)
        a, b = (re[..., 0, :], im[..., 0, :]), (re[..., 1, :], im[..., 1, :])
        top, low = _stage(a, b, apart, table, count // apart)
        re, im = (np.stack(pair, axis=-2) for pair in zip(top, low, strict=True))
        re, im = (one.reshape(*shape[:-3], count) for one in (re, im))
        apart *= 2
    return re, im


Parts = tuple[Int64, Int64]


def _stage(a: Parts, b: Parts, apart: int, table: Int64, stride: int) -> tuple[Parts, Parts]:
    """One stage: a + w b and a - w b, halved; w = exp(-pi j i / apart) for i = 0 to apart - 1."""
    turned = np.arange(apart) >= max(apart // 2, 1)
    if apart <= 2:
        product = _turn(b, turned)
        sums, differences = ([x + s * y for x, y in zip(a, product, strict=True)] for s in (1, -1))
        return (sums[0] >> 1, sums[1] >> 1), (differences[0] >> 1, differences[1] >> 1)
    factor = table[np.arange(apart) % (apart // 2) * stride]
    product = _turn(half_product(b, (factor[:, 0], factor[:, 1])), turned)
    half = a[0] >> 1, a[1] >> 1
    return (
        (half[0] + product[0], half[1] + product[1]),
        (half[0] - product[0], half[1] - product[1]),
    )


def _turn(number: Parts, turned: NDArray[np.bool_]) -> Parts:
    """Some of the numbers times -j."""
    return (
        np.where(turned, number[1], number[0]),
        np.where(turned, -number[0], number[1]),
    )


def half_product(a: Parts, w: Parts) -> Parts:
    """A w / 2, w in Q15, rounded to nearest, halves up."""
    return (
        (a[0] * w[0] - a[1] * w[1] + (1 << 15)) >> 16,
        (a[0] * w[1] + a[1] * w[0] + (1 << 15)) >> 16,
    )


def reversed_bits(count: int) -> Int64:
    """The numbers 0 to count - 1, each with its bits in reverse."""
    order = np.zeros(1, np.int64)
    while len(order) < count:
        order = np.concatenate((2 * order, 2 * order + 1))
    return order


def band_sums(powers: Int64, bands: Bands) -> Int64:
    """Weighted sums of powers [..., bins], Q15 [..., bands]."""
    first = bands.first
    inside = powers[..., first[0] : first[-1]]
    rising = inside * bands.weights
    falling = (inside << WEIGHT_BITS) - rising
    ends = first - first[0]
    return _between(rising, ends)[..., :-1] + _between(falling, ends)[..., 1:]


def _between(values: Int64, ends: Int64) -> Int64:
    """Sums of values from each end to the next."""
    totals = np.concatenate((np.zeros_like(values[..., :1]), values.cumsum(-1)), axis=-1)
    return np.diff(totals[..., ends], axis=-1)


def logarithm(sums: Int64) -> Int64:
    """log2(sum / 2^15), Q10; 0 for what is below 1."""
    exponent = np.maximum(bits(sums) - 1 - WEIGHT_BITS, 0)
    fraction = (sums >> exponent) & ((1 << WEIGHT_BITS) - 1)
    segment, rest = fraction >> LOG_BITS, fraction & ((1 << LOG_BITS) - 1)
    table = logarithms()
    rise = table[segment + 1] - table[segment]
    value = (exponent << LOG_BITS) + table[segment] + ((rise * rest + (1 << 9)) >> LOG_BITS)
    return np.where(sums < 1 << WEIGHT_BITS, 0, value)


def bits(numbers: Int64) -> Int64:
    """How many bits each number has; 0 for 0. Below 2^62."""
    found = np.zeros_like(numbers)
    rest = numbers.copy()
    for step in (32, 16, 8, 4, 2, 1):
        large = rest >> step > 0
        found += step * large
        rest = np.where(large, rest >> step, rest)
    return found + (rest > 0)
