"""MEAN over all positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.graph import Shape
from spela_mcu.backbone.operator import LoweredOperator
from spela_mcu.backbone.requantize import (
    INT8_MAX,
    INT8_MIN,
    multiply,
    quantize_multiplier,
    sum_fits,
    to_int8,
)
from spela_mcu.backbone.view import CONVERT_AGAIN, OperatorView


@dataclass(frozen=True, eq=False, kw_only=True)
class Mean(LoweredOperator):
    """output = clamp(output_offset + scaled(sum of input + sum_offset)), for each channel.

    Unlike `AveragePool` it can change the scale, and the division by the number of positions is
    part of the multiplier.

    Attributes:
        sum_offset: minus the input's zero point, times the number of positions.
        output_offset: the output's zero point.
        multiplier: in [2^29, 2^31), or 0.
        shift: see `requantize.Multiplier`.
    """

    sum_offset: int
    output_offset: int
    multiplier: int
    shift: int

    @property
    def macs(self) -> int:
        """None."""
        return 0

    @property
    def lead(self) -> int:
        """0: a channel is read at all positions before it is written at the first."""
        return 0

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The scaled sum."""
        (features,) = maps
        sums = features.sum((1, 2), dtype=np.int64) + self.sum_offset
        scaled = multiply(sums, self.multiplier, self.shift)
        output = to_int8(scaled, self.output_offset, INT8_MIN, INT8_MAX)
        return output.reshape(len(features), *self.output)


def lower(view: OperatorView) -> Mean:
    """MEAN over all positions in integers."""
    source, target = view.source(), view.target
    shape = view.shape(source)
    rank = len(source.shape)
    axes = {axis % rank for axis in view.integers(1)}
    if axes != set(range(1, rank - 1)) or view.shape(target).size != shape.channels:
        raise view.fault(
            f"it is the mean over the dimensions {sorted(axes)} of {list(source.shape)}, not over "
            "all positions"
        )
    scale, zero_point = view.quantization(source)
    output_scale, output_zero_point = view.quantization(target)
    count = shape.positions
    bound = count * max(INT8_MAX - zero_point, zero_point - INT8_MIN)
    try:
        factor = quantize_multiplier(scale / output_scale)
    except OverflowError as error:
        raise view.fault(f"its scales have the ratio {scale / output_scale:g}") from error
    # As much of the division by the count as is a power of two goes into the shift.
    halvings = min(count.bit_length() - 1, 31 + factor.shift)
    shift = factor.shift - halvings
    if not sum_fits(bound, shift):
        raise view.fault("its values may exceed 32 bits", CONVERT_AGAIN)
    return Mean(
        input=shape,
        output=Shape(1, 1, shape.channels),
        sum_offset=-zero_point * count,
        output_offset=output_zero_point,
        multiplier=(factor.multiplier << halvings) // count,
        shift=shift,
    )
