"""Multipliers and their two roundings, against exact fractions."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spela_mcu.backbone.requantize import (
    SUM_MAX,
    Multiplier,
    multiply,
    quantize_multiplier,
    sum_fits,
    to_int8,
)


def half_away(value):
    return floor(value + Fraction(1, 2)) if value >= 0 else -floor(-value + Fraction(1, 2))


def by_the_book(value, multiplier, shift):
    """docs/backbone-arithmetic.md, section 2."""
    high = floor(Fraction((value << max(shift, 0)) * multiplier, 1 << 31) + Fraction(1, 2))
    return half_away(Fraction(high, 1 << max(-shift, 0)))


MULTIPLIERS = st.integers(1 << 30, (1 << 31) - 1) | st.just(0)


@st.composite
def products(draw):
    shift = draw(st.integers(-31, 30))
    most = SUM_MAX >> max(shift, 0)
    return draw(st.integers(-most, most)), draw(MULTIPLIERS), shift


@given(st.lists(products(), min_size=1, max_size=30))
@example([(-41211, 1154530311, -31), (1 << 29, 1 << 30, -31), (-SUM_MAX, (1 << 31) - 1, 0)])
def test_a_product_is_rounded_twice(some):
    values, multipliers, shifts = (list(column) for column in zip(*some, strict=True))
    expected = [by_the_book(*one) for one in some]
    arrays = np.array(multipliers, np.int32), np.array(shifts, np.int32)
    assert multiply(np.array(values, np.int64), *arrays).tolist() == expected
    for one, result in zip(some, expected, strict=True):
        assert multiply(np.array([one[0]], np.int64), one[1], one[2]).tolist() == [result]


@given(st.floats(0, 2.0**29))
@example(1.0)
@example(0.5)
@example(2.0**-32)
@example(2.0**-32 * (1 - 2.0**-40))
@example(1 - 2.0**-33)
def test_a_factor_is_the_nearest_of_31_bits(real):
    quantized = quantize_multiplier(real)
    if quantized.multiplier == 0:
        assert real < 2.0**-32
        return
    assert 1 << 30 <= quantized.multiplier < 1 << 31
    assert -31 <= quantized.shift <= 30
    exact = Fraction(quantized.multiplier) * Fraction(2) ** (quantized.shift - 31)
    assert abs(exact - Fraction(real)) <= Fraction(real) / (1 << 31)


def test_a_factor_that_rounds_to_a_power_of_two():
    assert quantize_multiplier(1 - 2.0**-33) == Multiplier(1 << 30, 1)
    assert quantize_multiplier(0.0) == Multiplier(0, 0)


@pytest.mark.parametrize("real", [-1.0, 2.0**30, 2.0**30 - 0.25, float("inf"), float("nan")])
def test_no_factor_of_such_a_size(real):
    with pytest.raises(OverflowError):
        quantize_multiplier(real)


def test_the_bound_of_sums():
    assert sum_fits(SUM_MAX, 0)
    assert sum_fits(SUM_MAX, -5)
    assert not sum_fits(SUM_MAX + 1, 0)
    assert not sum_fits(SUM_MAX // 2 + 1, 1)


def test_outputs_are_offset_and_then_clamped():
    values = np.array([-1000, -3, 0, 3, 1000], np.int64)
    assert to_int8(values, 5, -1, 7).tolist() == [-1, 2, 5, 7, 7]
    assert values.tolist() == [-1000, -3, 0, 3, 1000]
