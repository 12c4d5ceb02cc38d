"""FULLY_CONNECTED."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.operator import WeightedOperator


@dataclass(frozen=True, eq=False, kw_only=True)
class FullyConnected(WeightedOperator):
    """A dense layer over the whole input, in whatever shape it is.

    Attributes:
        weights: int8 [units, inputs]; the output's shape is (1, 1, units).
    """

    @property
    def macs(self) -> int:
        """Every weight once."""
        return self.weights.size

    @property
    def lead(self) -> int:
        """The whole output: each unit reads all inputs."""
        return self.output.size

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """One product of matrices."""
        (features,) = maps
        inputs = self.offset_inputs(features).reshape(len(features), -1)
        sums = inputs @ self.weights.T.astype(self.exact_type)
        return self.finish(sums).reshape(len(features), *self.output)
