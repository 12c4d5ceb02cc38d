"""MEAN over all positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.operator import LoweredOperator
from spela_mcu.backbone.requantize import INT8_MAX, INT8_MIN, multiply, to_int8


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
        """The whole output: the first channels are written before the last are read."""
        return self.output.size

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The scaled sum."""
        (features,) = maps
        sums = features.sum((1, 2), dtype=np.int64) + self.sum_offset
        scaled = multiply(sums, self.multiplier, self.shift)
        output = to_int8(scaled, self.output_offset, INT8_MIN, INT8_MAX)
        return output.reshape(len(features), *self.output)
