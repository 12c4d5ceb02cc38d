"""Two classifiers on the same samples: is one worse than the other by more than a tolerance?

A test of non-inferiority in both directions: Tango's score interval for the difference of two
paired proportions (T. Tango, Statistics in Medicine 17, 891-908, 1998). At a difference of zero
it is McNemar's test; unlike Wald's interval it does not shrink to a point when the two agree on
every sample. Counts of samples that are not independent are divided by their design effect
(J. N. K. Rao and A. J. Scott, Biometrics 48, 577-585, 1992).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist
from typing import Literal

LEVEL = 0.05
"""One-sided level of the test in either direction: the interval is one of 90 %."""

SAMPLES_AT_MOST = 10_000_000
"""A greater number of samples is not worth naming."""

Verdict = Literal["within", "below", "undecided"]


@dataclass(frozen=True)
class PairedCounts:
    """How two classifiers fare on the same samples; means of several tables need not be whole.

    Attributes:
        samples: number of samples.
        only_first: samples that only the first classifies correctly.
        only_second: samples that only the second does.
    """

    samples: float
    only_first: float
    only_second: float

    @property
    def difference(self) -> float:
        """Accuracy of the first minus that of the second, -1 to 1."""
        return (self.only_first - self.only_second) / self.samples

    def of(self, samples: float) -> PairedCounts:
        """The same shares of another number of samples."""
        factor = samples / self.samples
        return PairedCounts(samples, self.only_first * factor, self.only_second * factor)


def score(counts: PairedCounts, difference: float) -> float:
    """Tango's statistic: how many standard errors the counts lie above a true `difference`."""
    n, b, c = counts.samples, counts.only_first, counts.only_second
    excess = b - c - n * difference
    if excess == 0:
        return 0.0
    # the likeliest share of samples that only the second gets right, were `difference` true
    linear = (2 * n - b + c) * difference - b - c
    constant = -c * difference * (1 - difference)
    share = (sqrt(max(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * share + difference * (1 - difference))
    return excess / sqrt(max(variance, 1e-300))


def score_interval(counts: PairedCounts) -> tuple[float, float]:
    """Bounds of the true difference, each wrong with a probability of LEVEL.

    Returns:
        The lower and the upper bound, -1 to 1.
    """
    from scipy.optimize import brentq

    z = NormalDist().inv_cdf(1 - LEVEL)
    centre = counts.difference

    def bound(end: float, target: float) -> float:
        if abs(score(counts, end)) <= abs(target):  # not even the extreme can be rejected
            return end
        return float(brentq(lambda at: score(counts, at) - target, centre, end, xtol=1e-9))

    return (
        centre if centre <= -1 else bound(-1.0, z),
        centre if centre >= 1 else bound(1.0, -z),
    )


def verdict(counts: PairedCounts, tolerance: float) -> Verdict:
    """Whether the second is shown to be at most `tolerance` below the first, or shown not to be."""
    low, high = score_interval(counts)
    if high <= tolerance:
        return "within"
    return "below" if low > tolerance else "undecided"


def samples_needed(
    counts: PairedCounts,
    tolerance: float,
    effective: Callable[[float], float] = lambda samples: samples,
) -> int | None:
    """How many samples would decide it if their shares were those of `counts`.

    Args:
        counts: of the samples at hand.
        tolerance: see `verdict`.
        effective: how many independent samples a number of samples is worth; non-decreasing.

    Returns:
        The number, or None if it is beyond SAMPLES_AT_MOST.
    """

    def decided(samples: float) -> bool:
        return verdict(counts.of(effective(samples)), tolerance) != "undecided"

    few, many = 1.0, float(SAMPLES_AT_MOST)
    if not decided(many):
        return None
    while many - few > 0.5:
        middle = (few + many) / 2
        few, many = (few, middle) if decided(middle) else (middle, many)
    return ceil(many)
