"""Cases for the kernels of every core: what numpy makes of a matrix, a sample, an update."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from spela_mcu.fixed_point.arithmetic import LCG_INCREMENT, LCG_MULTIPLIER, halve
from spela_mcu.fixed_point.layout import pack, padded


@dataclass(frozen=True, repr=False)
class Case:
    """A matrix, one sample and one update; what numpy makes of it."""

    weights: np.ndarray
    bits: int
    inputs: np.ndarray
    multipliers: np.ndarray
    state: int
    is_nearest: bool
    later_inputs: np.ndarray
    later_multipliers: np.ndarray
    scratch: int

    def __repr__(self):
        rounding = "nearest" if self.is_nearest else f"dither from {self.state:#x}"
        ranges = (f"{a.min()}..{a.max()}" for a in (self.weights, self.inputs, self.multipliers))
        batch = f"{len(self.later_inputs)} applied as one"
        return f"Case({self.weights.shape}, {self.bits}, {', '.join(ranges)}, {rounding}, {batch})"

    @property
    def is_int16(self):
        return self.bits != 0

    @property
    def weight_bits(self):
        return self.bits or 8

    def to_bytes(self):
        """The case as tests/c/kernels.c reads it."""
        rows, columns = self.weights.shape
        format = "int16" if self.is_int16 else "int8"
        shift = 8 if self.is_int16 else 16
        half = 1 << (self.weight_bits - 1)
        sums = np.zeros(padded(rows), np.int32)
        sums[:rows] = self.weights @ self.inputs
        noise, after = self.draw(padded(columns), shift)
        listed = np.flatnonzero(self.multipliers)
        steps = np.multiply.outer(self.multipliers, self.inputs) + noise[:columns] >> shift
        updated = self.weights.copy()
        updated[listed] = np.clip(self.weights + steps, -half, half - 1)[listed]
        saturated = int(((updated == -half) | (updated == half - 1)).sum())
        limit = saturated if self.state % 3 == 0 else saturated - 1
        is_relieved = saturated > limit >= 0
        limit = max(limit, 0)
        relieved = halve(updated) if is_relieved else updated
        multiplier, increment = (1, 0) if self.is_nearest else (LCG_MULTIPLIER, LCG_INCREMENT)
        head = [padded(rows), padded(columns), self.weight_bits, self.is_int16, columns]
        rows_to_update = [
            ((row // 4) * 4 * padded(columns) + row % 4 * 4, int(self.multipliers[row]))
            for row in listed.tolist()
        ]
        while not rows_to_update or len(rows_to_update) % 2:
            rows_to_update.append((0, 0))
        head += [len(rows_to_update), self.first_state, multiplier, increment, after]
        end, applied = self.apply(relieved, after, shift, half)
        head += [limit, is_relieved, len(self.later_inputs), self.scratch, end]
        stride = -(-len(self.later_inputs) // 2) * 2
        later_multipliers = np.zeros((padded(rows), stride), np.int16)
        later_multipliers[:rows, : len(self.later_inputs)] = self.later_multipliers.T
        parts = (
            np.array(head, np.uint32).tobytes(),
            self.inputs.astype(np.int8).tobytes(),
            pack(self.weights, format),
            sums.tobytes(),
            np.array(rows_to_update, np.int32).tobytes(),
            pack(updated, format),
            pack(relieved, format),
            *(one.astype(np.int8).tobytes() for one in self.later_inputs),
            later_multipliers.tobytes(),
            pack(applied, format),
        )
        return b"".join(part + bytes(-len(part) % 4) for part in parts)

    def apply(self, weights, state, shift, half):
        """Several updates as one: the dither's last state, the weights."""
        columns = weights.shape[1]
        noise, end = self.draw(padded(columns), shift, state)
        steps = self.later_multipliers.T @ self.later_inputs + noise[:columns] >> shift
        return end, np.clip(weights + steps, -half, half - 1)

    @property
    def first_state(self):
        return 0x80000000 if self.is_nearest else self.state

    def draw(self, count, shift, state=None):
        """The dither of each column, and the generator's last state."""
        state, noise = self.first_state if state is None else state, []
        for _ in range(count):
            if not self.is_nearest:
                state = (state * LCG_MULTIPLIER + LCG_INCREMENT) % 2**32
            noise.append(state >> (32 - shift))
        return np.array(noise), state


def as_drawn(inputs):
    """Inputs of their kind."""
    return inputs


def balanced(inputs):
    """Inputs whose every two, four or sixteen sum to zero, without being zero."""
    found = inputs.clip(-127, 127)
    found[1::2] = -found[0 : len(found) // 2 * 2 : 2]
    return found


def opposed(inputs):
    """Inputs whose every four, as the two words of int16 pairs 0, 2 and 1, 3, sum to zero."""
    found = inputs.clip(-127, 127)
    for block in range(0, len(found) - 3, 4):
        x0, _, x2, _ = found[block : block + 4].tolist()
        found[block + 1], found[block + 3] = -x0, -x2 - (x0 != 0)
    return found


@st.composite
def cases(draw, widths=(0, 8, 12, 16)):
    """Matrices up to 20 by 150; whole ranges, and their ends; many zeros, or none."""
    rows, columns = draw(st.integers(1, 20)), draw(st.integers(1, 150))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits = draw(st.sampled_from(widths))
    half = 1 << ((bits or 8) - 1)
    batch = draw(st.sampled_from([1, 2, 3, 4, 7, 8, 9, 16, 33, 64]))

    def numbers(low, high, size):
        anywhere = rng.integers(low, high + 1, size)
        kind = draw(
            st.sampled_from(["anywhere", "ends", "low", "high", "small", "sparse", "usual", "zero"])
        )
        return {
            "anywhere": anywhere,
            "ends": rng.choice([low, high], size),
            "low": np.full(size, low),
            "high": np.full(size, high),
            "small": rng.integers(-1, 2, size),
            "sparse": anywhere * (rng.random(size) < 0.1),
            "usual": (anywhere >> 3) * (rng.random(size) < 0.5),
            "zero": np.zeros(size, np.int64),
        }[kind]

    return Case(
        weights=numbers(-half, half - 1, (rows, columns)),
        bits=bits,
        inputs=draw(st.sampled_from([as_drawn, balanced, opposed]))(numbers(-128, 127, columns)),
        multipliers=numbers(-(1 << 15), (1 << 15) - 1, rows),
        state=draw(st.integers(0, 2**32 - 1)),
        is_nearest=draw(st.booleans()),
        later_inputs=numbers(-128, 127, (batch, columns)),
        later_multipliers=numbers(-(1 << 15), (1 << 15) - 1, (batch, rows)),
        scratch=8 * draw(st.integers(0, 300)),
    )


def blob(some):
    """Cases as tests/c/kernels.c reads them."""
    return joined([case.to_bytes() for case in some])


def joined(parts):
    return np.uint32(len(parts)).tobytes() + b"".join(parts)


def brim(bits):
    """A case whose sums of two updates just exceed those with steps of 8 bits."""
    return Case(
        weights=np.zeros((5, 20), np.int64),
        bits=bits,
        inputs=np.full(20, -128),
        multipliers=np.full(5, -(1 << 15)),
        state=1,
        is_nearest=False,
        later_inputs=np.full((2, 20), -128),
        later_multipliers=np.full((2, 5), -(1 << 15)),
        scratch=2400,
    )


@lru_cache
def many_cases(widths):
    """Always the same cases, each with its bytes; drawn once."""
    found = [(case, case.to_bytes()) for case in map(brim, widths)]

    @settings(max_examples=100, phases=[Phase.generate], database=None, derandomize=True)
    @given(some=st.lists(cases(widths), min_size=5, max_size=10))
    def collect(some):
        found.extend((case, case.to_bytes()) for case in some)

    collect()
    return tuple(found)
