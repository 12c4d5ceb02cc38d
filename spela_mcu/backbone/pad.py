"""PAD and PADV2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.graph import Shape
from spela_mcu.backbone.operator import LoweredOperator


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
        """All that the output has more than the input, and a row."""
        grown = self.output.size - self.input.size
        return grown + self.output.width * self.output.channels

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
