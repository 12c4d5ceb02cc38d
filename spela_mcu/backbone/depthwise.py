"""DEPTHWISE_CONV_2D."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.operator import WeightedOperator
from spela_mcu.backbone.view import CONVERT_AGAIN, OperatorView
from spela_mcu.backbone.weights import INPUT, weighted_fields, weights_of
from spela_mcu.backbone.window import Pair, Window, window_of


@dataclass(frozen=True, eq=False, kw_only=True)
class Depthwise(WeightedOperator):
    """A convolution of each channel by itself.

    Attributes:
        window: its taps.
        weights: int8 [window rows, window columns, output channels].
        channel_multiplier: output channels for each input channel; output channel c sees input
            channel c // channel_multiplier.
    """

    window: Window
    channel_multiplier: int

    @property
    def folded_bias(self) -> NDArray[np.int32]:
        """See `WeightedOperator.folded_bias`."""
        return self._folded(self.weights.astype(np.int64).sum((0, 1)))

    @property
    def macs(self) -> int:
        """Every weight once for each output position."""
        return self.weights.size * self.output.positions

    @property
    def lead(self) -> int:
        """0 if each channel's outputs may take the place of its inputs, else the whole output.

        Unlike other kernels its own goes channel by channel: it copies one, then writes it.
        """
        in_place = self.channel_multiplier == 1 and self.output.positions <= self.input.positions
        return 0 if in_place else self.output.size

    @property
    def unit(self) -> int:
        """A position: the bytes of a channel stay its own."""
        return self.output.channels

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The sum over the taps, one after the other."""
        (features,) = maps
        offset = self.offset_inputs(features)
        taps = self.window.taps(self.window.padded(offset, self.output, 0), self.output)
        shape = (*taps.shape[:3], self.input.channels, self.channel_multiplier)
        sums = np.zeros(shape, self.exact_type)
        for row, column in np.ndindex(*self.window.size):
            weights = self.weights[row, column].reshape(shape[3:]).astype(self.exact_type)
            sums += taps[:, :, :, row, column, :, None] * weights
        return self.finish(sums.reshape(len(features), *self.output))


def lower(view: OperatorView) -> Depthwise:
    """DEPTHWISE_CONV_2D in integers."""
    source, output = view.shape(view.source(INPUT)), view.shape(view.target)
    weights = weights_of(view, rank=4, axis=3)
    one, height, width, channels = weights.data.shape
    multiplier = view.option("depth_multiplier")
    if one != 1 or channels != output.channels or channels != multiplier * source.channels:
        raise view.fault(
            f"weights of the shape {list(weights.data.shape)} and a channel multiplier of "
            f"{multiplier} do not lead from {source.channels} channels to {output.channels}",
            CONVERT_AGAIN,
        )
    return Depthwise(
        input=source,
        output=output,
        window=window_of(view, Pair(height, width), dilated=True),
        channel_multiplier=multiplier,
        weights=weights.data[0],
        **weighted_fields(view, weights),
    )
