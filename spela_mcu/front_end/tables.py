"""The constant tables of a spectrum: computed once, in double precision, rounded ties to even."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ONE_Q15 = 1 << 15


@dataclass(frozen=True, eq=False)
class Bands:
    """Which bins of a spectrum make up which band.

    Attributes:
        first: int64 [bands + 2], the first bin between two peaks; first[0] is the first that
            counts, the last one is where they end.
        weights: int64 [first[-1] - first[0]], Q15, how much of a bin goes to the band above.
    """

    first: NDArray[np.int64]
    weights: NDArray[np.int64]


def _whole(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """To the nearest integers, ties to even."""
    return np.rint(values).astype(np.int64)


def hann(span: int) -> NDArray[np.int64]:
    """The first half of a Hann window, Q15 [ceil(span / 2)]."""
    at = np.arange((span + 1) // 2) + 0.5
    return np.minimum(_whole(ONE_Q15 * np.sin(np.pi * at / span) ** 2), ONE_Q15 - 1)


def twiddles(points: int) -> NDArray[np.int64]:
    """exp(-2 pi j k / points) for k = 0 to points / 4, Q15 [k, 2]: cosines, negative sines."""
    angle = 2 * np.pi * np.arange(points // 4 + 1) / points
    return _whole((ONE_Q15 - 1) * np.column_stack((np.cos(angle), -np.sin(angle))))


def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mel scale: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log1p(hertz / 700.0)


def make_bands(
    points: int, bands: int, rate: float, low: float, high: float, *, on_mel: bool
) -> Bands:
    """Triangular bands, each from the peak of the one below to the peak of the one above.

    Args:
        points: of the transform.
        bands: their number.
        rate: readings a second.
        low: where the first band begins, Hz.
        high: where the last band ends, Hz.
        on_mel: peaks are evenly spaced on the mel scale, else in frequency.
    """
    bins = np.arange(1, points // 2) * rate / points  # neither the mean nor half the rate
    ends = np.array([low, high])
    if on_mel:
        bins, ends = mel(bins), mel(ends)
    place = (bins - ends[0]) / (ends[1] - ends[0]) * (bands + 1)  # band b has its peak at b + 1
    inside = (place >= 0) & (place < bands + 1)
    begin = 1 + int(np.argmax(inside)) if inside.any() else 1
    place = place[inside]
    whole = np.floor(place)
    first = begin + np.searchsorted(whole, np.arange(bands + 2))
    return Bands(first.astype(np.int64), _whole(ONE_Q15 * (place - whole)))


def logarithms() -> NDArray[np.int64]:
    """log2(1 + i / 32) for i = 0 to 32, Q10."""
    return _whole(1024 * np.log2(1 + np.arange(33) / 32))
