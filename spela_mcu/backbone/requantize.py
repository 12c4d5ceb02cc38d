"""Multipliers and roundings of TensorFlow Lite Micro; docs/backbone-arithmetic.md, section 2."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import frexp

import numpy as np
from numpy.typing import NDArray

INT8_MIN, INT8_MAX = -128, 127

SUM_MAX = (1 << 31) - 1 - (1 << 8)
"""A sum shifted to the left stays within +- this: then no output offset makes int32 overflow."""


@dataclass(frozen=True)
class Multiplier:
    """A positive real factor: multiplier * 2^(shift - 31).

    Attributes:
        multiplier: in [2^30, 2^31), or 0.
        shift: positive: to the left, before the multiplication; negative: to the right, after it.
            In [-31, 30].
    """

    multiplier: int
    shift: int


def quantize_multiplier(real: float) -> Multiplier:
    """The nearest multiplier with 31 bits to a factor >= 0; 0 for factors below 2^-32.

    Raises:
        OverflowError: the factor rounds to 2^30 or more, or is not a number.
    """
    if not 0 <= real < 2.0**30:
        raise OverflowError(real)
    fraction, shift = frexp(real)
    multiplier = int(Fraction(fraction) * (1 << 31) + Fraction(1, 2))  # half away from zero
    if multiplier == 1 << 31:
        multiplier, shift = 1 << 30, shift + 1
    if shift > 30:
        raise OverflowError(real)
    if shift < -31:
        return Multiplier(0, 0)
    return Multiplier(multiplier, shift)


def multiply(
    values: NDArray[np.int64],
    multiplier: int | NDArray[np.int32],
    shift: int | NDArray[np.int32],
) -> NDArray[np.int64]:
    """`values` times a factor, rounded twice: to half up at 2^-31, then to half away from zero.

    Args:
        values: integers whose shift to the left stays within int32.
        multiplier: see `Multiplier`; one for all, or one for each element of the last axis.
        shift: likewise.
    """
    shifts = np.asarray(shift, np.int64)
    left, right = np.maximum(shifts, 0), np.maximum(-shifts, 0)
    high = (values << left if np.any(left) else values) * np.asarray(multiplier, np.int64)
    high += 1 << 30
    high >>= 31
    # Half of the divisor is added: a tie goes up, and that of a negative number down by one less.
    high += (high >> 63) * (right > 0)
    high += (1 << right) >> 1
    high >>= right
    return high


def to_int8(values: NDArray[np.int64], offset: int, least: int, greatest: int) -> NDArray[np.int8]:
    """`values` plus the output's zero point, clamped to the fused activation's range."""
    values = values + offset
    return np.clip(values, least, greatest, out=values).astype(np.int8)


def sum_fits(bound: int, shift: int) -> bool:
    """Whether a sum within +-`bound`, shifted to the left by `shift`, can be requantised."""
    return bound << max(shift, 0) <= SUM_MAX
