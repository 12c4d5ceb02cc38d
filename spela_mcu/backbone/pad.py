"""PAD and PADV2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.graph import Shape
from spela_mcu.backbone.operator import LoweredOperator
from spela_mcu.backbone.view import CONVERT_AGAIN, OperatorView


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad(LoweredOperator):
    """A feature map with a margin.

    Attributes:
        before: rows above, columns to the left, channels in front of the input.
        value: what stands in the margin.
    """

    before: Shape
    value: int

    @property
    def macs(self) -> int:
        """None."""
        return 0

    @property
    def lead(self) -> int:
        """The margin that is written before the last element of the input is read."""
        row, column, channel = (
            before + size - 1 for before, size in zip(self.before, self.input, strict=True)
        )
        last = (row * self.output.width + column) * self.output.channels + channel
        return last + 1 - self.input.size

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The input amid the margin."""
        (features,) = maps
        output = np.full((len(features), *self.output), self.value, np.int8)
        inner = tuple(
            slice(before, before + size)
            for before, size in zip(self.before, self.input, strict=True)
        )
        output[:, *inner] = features
        return output


def lower(view: OperatorView) -> Pad:
    """PAD and PADV2 in integers."""
    source, target = view.source(), view.target
    output_scale, output_zero_point = view.quantization(target)
    view.quantization(source)
    around = np.array(view.integers(1)).reshape(-1, 2)
    grown = np.array(source.shape) + around.sum(1) if len(around) == len(source.shape) else None
    if grown is None or tuple(grown) != target.shape or around.min() < 0 or around[0].any():
        raise view.fault(
            f"margins of {around.tolist()} do not lead from {list(source.shape)} to "
            f"{list(target.shape)}",
            CONVERT_AGAIN,
        )
    value = output_zero_point
    if view.has(2):
        if view.quantization(view.tensor(2)) != (output_scale, output_zero_point):
            raise view.fault("its constant has another scale than its output", CONVERT_AGAIN)
        value = int(view.constant(2, "int8").ravel()[0])
    before = [int(front) for front in around[1:, 0]]
    match before:
        case [height, width, channels]:
            margin = Shape(height, width, channels)
        case [length, channels]:
            margin = Shape(length, 0, channels)
        case _:
            margin = Shape(0, 0, before[0])
    return Pad(input=view.shape(source), output=view.shape(target), before=margin, value=value)
