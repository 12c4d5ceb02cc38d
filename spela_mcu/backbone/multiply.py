"""MUL by a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.operator import ElementwiseOperator


@dataclass(frozen=True, eq=False, kw_only=True)
class MultiplyConstant(ElementwiseOperator):
    """output = clamp(output_offset + scaled((input + input_offset) * factor)).

    Attributes:
        input_offset: minus the input's zero point.
        factor: int16, the constant minus its zero point, in [-255, 255]: [channels], the same for
            each position, or [elements]. Element i takes factor[i % len(factor)].
    """

    input_offset: int
    factor: NDArray[np.int16]

    @property
    def table_bytes(self) -> int:
        """The factors."""
        return self.factor.nbytes

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The scaled product."""
        (features,) = maps
        flat = (features.astype(np.int64) + self.input_offset).reshape(-1, len(self.factor))
        return self.finish(flat * self.factor).reshape(features.shape)
