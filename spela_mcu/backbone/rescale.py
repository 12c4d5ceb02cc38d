"""QUANTIZE of int8, RELU and RELU6: each value by itself to another scale, clamped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.operator import ElementwiseOperator


@dataclass(frozen=True, eq=False, kw_only=True)
class Rescale(ElementwiseOperator):
    """output = clamp(output_offset + scaled(input + input_offset)).

    Attributes:
        input_offset: minus the input's zero point.
    """

    input_offset: int

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The scaled values."""
        (features,) = maps
        return self.finish(features.astype(np.int64) + self.input_offset)
