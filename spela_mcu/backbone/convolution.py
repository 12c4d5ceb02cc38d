"""CONV_2D, and FULLY_CONNECTED over several positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.operator import WeightedOperator
from spela_mcu.backbone.view import CONVERT_AGAIN, OperatorView
from spela_mcu.backbone.weights import INPUT, weighted_fields, weights_of
from spela_mcu.backbone.window import Pair, Window, window_of


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(WeightedOperator):
    """A convolution of all channels.

    Attributes:
        window: its taps.
        weights: int8 [output channels, window rows, window columns, input channels].
    """

    window: Window

    @property
    def macs(self) -> int:
        """Every weight once for each output position."""
        return self.weights.size * self.output.positions

    @property
    def lead(self) -> int:
        """All inputs of a position are read before it is written."""
        return self.window.lead(self.input, self.output, begun=0)

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The convolution as one product of matrices."""
        (features,) = maps
        offset = self.offset_inputs(features)
        if not self.window.is_point:
            offset = self.window.taps(self.window.padded(offset, self.output, 0), self.output)
        columns = offset.reshape(len(features) * self.output.positions, -1)
        rows = self.weights.reshape(self.output.channels, -1).astype(self.exact_type)
        return self.finish(columns @ rows.T).reshape(len(features), *self.output)


def lower(view: OperatorView) -> Convolution:
    """CONV_2D in integers."""
    source, output = view.shape(view.source(INPUT)), view.shape(view.target)
    weights = weights_of(view, rank=4, axis=0)
    channels, height, width, depth = weights.data.shape
    if depth != source.channels:
        if source.channels % depth == 0:
            raise view.fault(f"it is a convolution of {source.channels // depth} groups")
        raise view.fault(
            f"its weights have {depth} input channels, its input {source.channels}", CONVERT_AGAIN
        )
    if channels != output.channels:
        raise view.fault(
            f"its weights have {channels} output channels, its output {output.channels}",
            CONVERT_AGAIN,
        )
    return Convolution(
        input=source,
        output=output,
        window=window_of(view, Pair(height, width), dilated=True),
        weights=weights.data,
        **weighted_fields(view, weights),
    )
