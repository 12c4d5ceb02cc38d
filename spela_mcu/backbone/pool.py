"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.operator import LoweredOperator
from spela_mcu.backbone.requantize import INT8_MIN
from spela_mcu.backbone.window import Scalar, Window


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pool(LoweredOperator):
    """A pool: input and output have the same scale and zero point, so that none is here.

    Attributes:
        window: its taps; those outside of the input do not count.
        activation_min, activation_max: the clamp.
    """

    window: Window
    activation_min: int
    activation_max: int

    @property
    def macs(self) -> int:
        """None."""
        return 0

    @property
    def lead(self) -> int:
        """From the window's movement."""
        return self.window.lead(self.input, self.output)

    def taps(self, features: NDArray[Scalar], fill: int) -> NDArray[Scalar]:
        """See `Window.taps`."""
        return self.window.taps(self.window.padded(features, self.output, fill), self.output)

    def clamp(self, values: NDArray[np.integer]) -> NDArray[np.int8]:
        """Values within the fused activation's range."""
        clamped: NDArray[np.integer] = np.clip(values, self.activation_min, self.activation_max)
        return clamped.astype(np.int8)


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool(_Pool):
    """The mean of each channel, rounded to nearest, half away from zero."""

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The sum over the taps, divided by how many of them lie within the input."""
        (features,) = maps
        sums = self.taps(features.astype(np.int32), 0).sum((3, 4), dtype=np.int64)
        inside = np.ones((1, *self.input[:2], 1), np.int32)
        count = self.taps(inside, 0).sum((3, 4), dtype=np.int64)
        return self.clamp(np.sign(sums) * ((np.abs(sums) + count // 2) // count))


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(_Pool):
    """The greatest of each channel."""

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The maximum over the taps."""
        (features,) = maps
        return self.clamp(self.taps(features, INT8_MIN).max((3, 4)))
