"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.operator import LoweredOperator
from spela_mcu.backbone.requantize import INT8_MIN
from spela_mcu.backbone.view import CONVERT_AGAIN, OperatorView
from spela_mcu.backbone.window import Pair, Scalar, Window, window_of


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
        """A position is read and written channel by channel."""
        return self.window.lead(self.input, self.output, begun=1)

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


PoolType = TypeVar("PoolType", bound=_Pool)


def lower_average(view: OperatorView) -> AveragePool:
    """AVERAGE_POOL_2D in integers."""
    return _lower(AveragePool, view)


def lower_max(view: OperatorView) -> MaxPool:
    """MAX_POOL_2D in integers."""
    return _lower(MaxPool, view)


def _lower(pool: type[PoolType], view: OperatorView) -> PoolType:
    source, target = view.source(), view.target
    scale, zero_point = view.quantization(source)
    output_scale, output_zero_point = view.quantization(target)
    if abs(scale - output_scale) > 1e-6 or zero_point != output_zero_point:
        raise view.fault("it changes the scale", CONVERT_AGAIN)
    size = Pair(view.option("filter_height"), view.option("filter_width"))
    window = window_of(view, size, dilated=False)
    if view.shape(source).channels != view.shape(target).channels:
        raise view.fault("it changes the number of channels", CONVERT_AGAIN)
    least, greatest = view.activation_range
    return pool(
        input=view.shape(source),
        output=view.shape(target),
        window=window,
        activation_min=least,
        activation_max=greatest,
    )
