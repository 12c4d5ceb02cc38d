"""The integer operations against exact rationals and Python integers."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spela_mcu.fixed_point.arithmetic import (
    LCG_INCREMENT,
    LCG_MULTIPLIER,
    activate,
    cosine,
    draw,
    halve,
    inverse_norm,
    shift_right_rounded,
)
from spela_mcu.fixed_point.layer import weight_range
from spela_mcu.fixed_point.layout import FORMAT_BITS, pack, padded, unpack
from spela_mcu.fixed_point.plan import scale_embeddings, weight_bits

SUMS = st.integers(-(2**30), 2**30)


def nearest_halves_up(value: Fraction) -> int:
    return (value + Fraction(1, 2)).__floor__()


@given(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(0, 30))
def test_shift_right_rounded_is_the_nearest_integer(value, shift):
    expected = nearest_halves_up(Fraction(value, 2**shift))
    assert shift_right_rounded(np.array([value], np.int64), shift)[0] == expected


@given(st.integers(1, 2**26))
def test_inverse_norm_is_within_its_stated_bound(squared_norm):
    inverse = inverse_norm(squared_norm)
    assert 2**15 <= inverse.mantissa <= 2**16
    assert 0 <= inverse.exponent <= 15
    # (mantissa * 2^(exponent-31))^2 * squared_norm is 1 within twice 2^-15 on either side
    square = Fraction(inverse.mantissa**2 * squared_norm) * Fraction(4) ** (inverse.exponent - 31)
    assert (1 - Fraction(1, 2**14)) < square < (1 + Fraction(1, 2**13))


@given(hnp.arrays(np.int64, 16, elements=st.integers(-127, 127)))
def test_cosine_is_within_rounding_of_the_rational_one(vector):
    squared_norm = int(vector @ vector)
    if squared_norm == 0:
        return
    embedding = np.zeros(16, np.int64)
    embedding[0] = 64  # a unit vector with shift 6
    ours = cosine(int(embedding @ vector), inverse_norm(squared_norm), 6)
    exact_square = Fraction(int(vector[0]) ** 2, squared_norm)
    bound = isqrt(int(exact_square * 2**28)) * (-1 if vector[0] < 0 else 1)
    # 2^14 * 2^-14 from the reciprocal length, one half from rounding, one from isqrt
    assert abs(ours - bound) <= 3


@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_draw_is_the_generator_step_by_step(state, count):
    states, last = draw(state, count)
    for drawn in states.tolist():
        state = (state * LCG_MULTIPLIER + LCG_INCREMENT) % 2**32
        assert drawn == state
    assert last == state


@given(hnp.arrays(np.int64, st.integers(1, 40), elements=SUMS), st.integers(0, 10))
def test_activation_keeps_its_format(sums, leak_shift):
    activation = activate(sums, leak_shift)
    assert activation.values.min() >= -128
    assert activation.values.max() <= 127
    assert 0 <= activation.shift <= 24
    if activation.shift:
        assert np.abs(activation.values).max() >= 64
    for z, value in zip(sums.tolist(), activation.values.tolist(), strict=True):
        slope = Fraction(1) if z > 0 else Fraction(1, 2**leak_shift) if leak_shift else 0
        output = nearest_halves_up(z * slope) if z <= 0 else z
        assert value == min(127, nearest_halves_up(Fraction(output, 2**activation.shift)))


@given(st.integers(-(2**15), 2**15 - 1), st.integers(-128, 127), st.sampled_from([8, 16]))
@settings(max_examples=20)
def test_dithered_rounding_is_exactly_unbiased(multiplier, x, bits):
    product = multiplier * x
    rounded = (product + np.arange(2**bits, dtype=np.int64)) >> bits
    assert int(rounded.sum()) == product  # mean = product / 2^bits


@given(hnp.arrays(np.int64, 20, elements=st.integers(-(2**15), 2**15 - 1)))
def test_halving_rounds_ties_to_even(weights):
    for weight, half in zip(weights.tolist(), halve(weights).tolist(), strict=True):
        assert half == round(Fraction(weight, 2))


@given(st.integers(1, 21), st.integers(1, 21), st.sampled_from(["int8", "int12", "int16"]))
def test_unpack_inverts_pack(rows, columns, format):
    low, high = weight_range(format, FORMAT_BITS[format])
    rng = np.random.default_rng(rows * 100 + columns)
    matrix = rng.integers(low, high, (rows, columns), endpoint=True)
    data = pack(matrix, format)
    elements = padded(rows) * padded(columns)
    assert len(data) == elements * FORMAT_BITS[format] / 8
    assert (unpack(data, rows, columns, format) == matrix).all()
    flat = np.frombuffer(data, np.int16 if format == "int16" else np.int8).astype(np.int64)
    if format == "int12":
        flat = flat[:elements] * 16
        for at in range(elements):
            residual = data[elements + at // 2] // (1, 16)[at % 2] % 16
            flat[at] += residual - 16 if residual > 7 else residual
    for j in range(rows):
        for i in range(columns):  # the index of docs/arithmetic.md, section 6
            at = (j // 4) * 4 * padded(columns) + (i // 4) * 16 + (j % 4) * 4 + i % 4
            assert flat[at] == matrix[j, i]
    assert np.count_nonzero(flat) == np.count_nonzero(matrix)


@pytest.mark.parametrize(("inputs", "bits"), [(1, 16), (256, 16), (257, 15), (784, 14)])
def test_int16_weights_leave_room_for_the_sum(inputs, bits):
    assert weight_bits("int16", inputs) == bits
    assert inputs * 2**7 * 2 ** (bits - 1) <= 2**30


@pytest.mark.parametrize(("format", "bits"), [("int8", 8), ("int12", 12)])
def test_weights_that_answer_in_eight_bits_have_as_many_at_every_width(format, bits):
    assert {weight_bits(format, inputs) for inputs in (1, 784, 65535)} == {bits}


def test_every_12_bits_are_a_weight():
    low, high = weight_range("int12", 12)
    assert (low, high) == (16 * -128 - 8, 16 * 127 + 7)
    every = np.arange(low, high + 1).reshape(64, 64)
    data = np.frombuffer(pack(every, "int12"), np.uint8)
    upper, pairs = data[: every.size].astype(int), data[every.size :].astype(int)
    both = 16 * upper + np.stack([pairs % 16, pairs // 16], axis=1).reshape(-1)
    assert len(set(both.tolist())) == every.size == 2**12
    assert upper.astype(np.uint8).tobytes() == pack((every + 8) // 16, "int8")


@given(st.integers(2, 64), st.integers(2, 12))
@settings(max_examples=50)
def test_embeddings_use_the_int8_range(units, classes):
    vectors = np.random.default_rng(units * classes).normal(size=(classes, units))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled, shift = scale_embeddings(vectors)
    assert 63 <= np.abs(scaled).max() <= 127
    # half a step is the rounding
    assert np.abs(scaled - vectors * 2.0**shift).max() <= 0.5
