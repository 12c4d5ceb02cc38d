"""CONV_2D, and FULLY_CONNECTED over several positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.operator import WeightedOperator
from spela_mcu.backbone.window import Window


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
        """From the window's movement."""
        return self.window.lead(self.input, self.output)

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The convolution as one product of matrices."""
        (features,) = maps
        offset = self.offset_inputs(features)
        if not self.window.is_point:
            offset = self.window.taps(self.window.padded(offset, self.output, 0), self.output)
        columns = offset.reshape(len(features) * self.output.positions, -1)
        rows = self.weights.reshape(self.output.channels, -1).astype(self.exact_type)
        return self.finish(columns @ rows.T).reshape(len(features), *self.output)
