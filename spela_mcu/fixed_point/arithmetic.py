"""The integer operations of docs/arithmetic.md, sections 1 to 4: the definition, in numpy.

Everything here is exact integer arithmetic. Arrays are int64, so that nothing here relies on the
bounds of the chip's int32 arithmetic: these are proved in the specification and asserted in tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]

ONE_Q14 = 1 << 14
"""1.0 in Q1.14, the format of cosines, unit vectors, directions and margins."""

LCG_MULTIPLIER = 1664525
LCG_INCREMENT = 1013904223
"""The generator s <- 1664525 s + 1013904223 mod 2^32 (Numerical Recipes, ch. 7.1)."""


def shift_right_rounded(value: Int64, shift: int) -> Int64:
    """`value` / 2^`shift`, rounded to the nearest integer, halves up (towards +infinity)."""
    return value if shift == 0 else (value + (1 << (shift - 1))) >> shift


@lru_cache(maxsize=64)
def _jumps(count: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Factors a^k and sums c_k with s_k = a^k s_0 + c_k, k = 1 .. count, by doubling."""
    factors = np.array([LCG_MULTIPLIER], np.uint32)
    sums = np.array([LCG_INCREMENT], np.uint32)
    while len(factors) < count:
        # s_(k+n) = a^n s_k + c_n, hence a^(k+n) = a^n a^k and c_(k+n) = a^n c_k + c_n
        sums = np.concatenate([sums, factors[-1] * sums + sums[-1]])
        factors = np.concatenate([factors, factors[-1] * factors])
    return factors[:count], sums[:count]


def draw(state: int, count: int) -> tuple[NDArray[np.uint32], int]:
    """The generator's next `count` states, [count] uint32, and the last of them."""
    factors, sums = _jumps(count)
    states = factors * np.uint32(state) + sums
    return states, int(states[-1])


@dataclass(frozen=True)
class InverseNorm:
    """The reciprocal of a vector's length: 1/|x| = mantissa * 2^(exponent - 31).

    Attributes:
        mantissa: in [2^15, 2^16].
        exponent: in 0 .. 15.
    """

    mantissa: int
    exponent: int


def inverse_norm(squared_norm: int) -> InverseNorm:
    """The reciprocal length of a vector whose sum of squares is `squared_norm`, 1 .. 2^32 - 1."""
    exponent = (32 - squared_norm.bit_length()) >> 1
    root = isqrt(squared_norm << (2 * exponent))  # in [2^15, 2^16)
    return InverseNorm((1 << 31) // root, exponent)


def cosine(score: int, inverse: InverseNorm, embedding_shift: int) -> int:
    """Cosine similarity in Q1.14 from a score (embedding * activation)."""
    shift = 17 + embedding_shift - inverse.exponent
    return (score * inverse.mantissa + (1 << (shift - 1))) >> shift


@dataclass(frozen=True)
class Activation:
    """A layer's output: block-scaled int8 values, sums ~ values * 2^shift.

    Attributes:
        sums: int64 [units], the exact weighted sums (accumulators).
        values: int64 [units] in [-128, 127].
        shift: the block's exponent, 0 .. 24.
        squared_norm: sum of values^2.
    """

    sums: Int64
    values: Int64
    shift: int
    squared_norm: int


def activate(sums: Int64, leak_shift: int) -> Activation:
    """Applies relu (leak_shift 0) or leaky relu (slope 2^-leak_shift) and scales the block."""
    negative = shift_right_rounded(sums, leak_shift) if leak_shift else np.zeros_like(sums)
    outputs = np.where(sums > 0, sums, negative)
    largest = int(np.abs(outputs).max())
    shift = max(0, largest.bit_length() - 7)
    values = np.minimum(shift_right_rounded(outputs, shift), 127)
    return Activation(sums, values, shift, int(values @ values))


def halve(weights: Int64) -> Int64:
    """`weights` / 2, ties to even."""
    return (weights + ((weights >> 1) & 1)) >> 1


def exact_product(left: Int64, right: Int64) -> Int64:
    """`left` @ `right` through float64: exact, since every partial sum is below 2^53."""
    return (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
