"""The straight lines that replace a scaling on the chip: exact for every raw value.

An input grows with its raw value in steps of one. The positions of the steps are known exactly; an
integer line that passes between all of them gives the same input everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import INPUT_MAX, InputScaling, quantize_inputs
from spela_mcu.data.scaling import apply_scaling

SLOPE_BITS = 29
STEEPEST = (1 << (SLOPE_BITS + 2)) - 1
"""Limit of a slope: multiplied by a 32-bit width, it stays below 2^63."""

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Line:
    """input = clip(((clip(raw, low, low + width) - low) * slope + start) >> shift, -127, 127)."""

    low: int
    width: int
    slope: int
    shift: int
    start: int


def lines(scaling: InputScaling) -> tuple[Line, ...] | None:
    """A line for each input; None if one of them has none.

    Where offset and scale give exact ties, or steps moved by float32's rounding, there may be no
    such line.
    """
    found = []
    steps, first = _steps(scaling)
    for index in range(len(first)):
        line = _line(steps[index], int(first[index]), float(scaling.scale[index]))
        if line is None:
            return None
        found.append(line)
    return tuple(found)


def _inputs(raw: Int64, scaling: InputScaling) -> Int64:
    """The inputs that the host computes for raw 32-bit values [n, inputs]."""
    with np.errstate(over="ignore", invalid="ignore"):
        return quantize_inputs(apply_scaling(raw.astype(np.int32), scaling)).astype(np.int64)


def _steps(scaling: InputScaling) -> tuple[Int64, Int64]:
    """Where inputs change.

    Returns:
        For each input the least raw values [inputs, 254] that become at least -126, ..., 127
        (2^31 where none does), and what the least raw value of all becomes, [inputs].
    """
    inputs = len(scaling.scale)
    wanted = np.arange(1 - INPUT_MAX, INPUT_MAX + 1)[:, np.newaxis]
    low = np.full((2 * INPUT_MAX, inputs), INT32_MIN, np.int64)
    high = np.full_like(low, INT32_MAX + 1)
    while (low < high).any():
        middle = (low + high) // 2
        reached = _inputs(np.minimum(middle, INT32_MAX), scaling) >= wanted
        high = np.where(reached & (low < high), middle, high)
        low = np.where(~reached & (low < high), middle + 1, low)
    return low.T, _inputs(np.full((1, inputs), INT32_MIN), scaling)[0]


def _line(steps: Int64, first: int, scale: float) -> Line | None:
    """A line that reaches each value at its step and not before; None: there is none.

    Args:
        steps: [254], see `_steps`.
        first: what the least raw value becomes.
        scale: the factor of raw values; the slope is near it.
    """
    levels = np.arange(1 - INPUT_MAX, INPUT_MAX + 1)
    inside = (levels > first) & (steps <= INT32_MAX)
    if not inside.any():
        return Line(0, 0, 0, 0, first)
    at, levels = steps[inside], levels[inside]
    low = int(at[0]) - 1
    x, width = at - low, int(at[-1]) - low
    shift = SLOPE_BITS - 8 + width.bit_length()
    height = levels << shift
    last = int(levels[-1])

    def room(slope: int) -> tuple[int, int]:
        """The least and the greatest start that a slope allows."""
        least = [int((height - x * slope).max())]
        most = [int((height - 1 - (x - 1) * slope).min())]
        if first > -INPUT_MAX:  # nothing is clipped below
            least.append(first << shift)
        if last < INPUT_MAX:
            most.append(((last + 1) << shift) - 1 - width * slope)
        return max(least), min(most)

    slope = min(round(INPUT_MAX * scale * (1 << shift)), STEEPEST)
    least, most = room(slope)
    if least > most:
        # The room is concave in the slope: its widest point is found by bisection.
        slope, upper = 0, STEEPEST
        while slope < upper:
            middle = (slope + upper) // 2
            here, beyond = room(middle), room(middle + 1)
            if here[1] - here[0] >= beyond[1] - beyond[0]:
                upper = middle
            else:
                slope = middle + 1
        least, most = room(slope)
    return Line(low, width, slope, shift, (least + most) // 2) if least <= most else None
