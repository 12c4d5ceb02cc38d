"""What learning changes in a layer, and when it is scanned for saturated weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spela_mcu.fixed_point.arithmetic import Int64, halve
from spela_mcu.fixed_point.layer import MatrixPlan
from spela_mcu.fixed_point.learning import PendingUpdate

SCAN_INTERVAL = 256
"""A layer is scanned for saturated weights after this many of its updates."""

SATURATED_SHARE = 64
"""Its weights are halved if more than one in this many is at an end of the range."""

HALVINGS_MAX = 15
COUNTER_MAX = (1 << 32) - 1


@dataclass
class LayerState:
    """What learning changes in a layer.

    Attributes:
        weights: int64 [units, inputs].
        updates: updates applied since the last scan for saturated weights.
        halvings: number of times the weights were halved.
        pending: updates that are not applied yet, fewer than the plan's batch.
    """

    weights: Int64
    updates: int = 0
    halvings: int = 0
    pending: list[PendingUpdate] = field(default_factory=list)

    def saturated(self, matrix: MatrixPlan) -> int:
        """How many weights are at an end of their range."""
        return int(np.count_nonzero(matrix.at_ends(self.weights)))

    def scan(self, matrix: MatrixPlan, count: int, *, decays: bool) -> None:
        """Counts updates that were applied; looks, once in so many, for saturated weights.

        Args:
            matrix: the weights' formats.
            count: updates applied at once.
            decays: weights are halved for ever; else at most `HALVINGS_MAX` times.
        """
        self.updates += count
        if self.updates < SCAN_INTERVAL:
            return
        self.updates = 0
        too_many = self.saturated(matrix) * SATURATED_SHARE > self.weights.size
        if too_many and (decays or self.halvings < HALVINGS_MAX):
            self.weights = halve(self.weights)
            self.halvings = min(self.halvings + 1, COUNTER_MAX)
