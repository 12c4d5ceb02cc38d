"""A front end that takes one reading after the other, as the chip's does: ring, rows, gaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spela_mcu.front_end.plan import FrontEndPlan
from spela_mcu.front_end.raw import signals
from spela_mcu.front_end.rows import apply_scales, row_features
from spela_mcu.front_end.spectrum import mean

Int64 = NDArray[np.int64]


class Stream:
    """What firmware/front_end/spela_front_end.c is, in every bit.

    Args:
        plan: the front end; its scales are known.
    """

    def __init__(self, plan: FrontEndPlan) -> None:
        self.plan = plan
        self.restart()

    def restart(self) -> None:
        """Forgets all readings."""
        self._ring: list[Int64] = []
        self._averaged: list[Int64] = []
        self._rows: list[NDArray[np.int8]] = []
        self._skip = 0
        self._has_gap = False
        self._is_taken = False

    def push(self, reading: NDArray[np.int32]) -> bool:
        """Takes a reading [axes]; False: it is lost, as the ring is full or was."""
        plan = self.plan
        if self._has_gap or len(self._ring) == plan.capacity:
            self._averaged.clear()
            self._has_gap = True
            return False
        self._averaged.append(signals(reading, plan.readings, plan.shift).astype(np.int64))
        if len(self._averaged) == plan.averaged:
            self._ring.append(mean(np.sum(self._averaged, axis=0), plan.averaged))
            self._averaged.clear()
        return True

    def ready(self) -> bool:
        """Does what there is to do; whether a sample is complete. One that was taken is over."""
        plan = self.plan
        if self._is_taken:
            self._rows = self._rows[plan.rows - plan.kept :]
            self._skip, self._is_taken = plan.skip, False
        while len(self._rows) < plan.rows:
            if self._skip and self._ring:
                skipped = min(self._skip, len(self._ring))
                self._skip -= skipped
                del self._ring[:skipped]
            elif not self._skip and len(self._ring) >= plan.span:
                frame = np.stack(self._ring[: plan.span], axis=-1)
                self._rows.append(apply_scales(row_features(plan, frame), plan.scales))
                del self._ring[: plan.hop]
            elif self._has_gap:
                self._ring.clear()
                self._rows.clear()
                self._skip, self._has_gap = 0, False
            else:
                return False
        return True

    def take(self) -> NDArray[np.int8] | None:
        """The sample [inputs], until `ready` is called again; None: none is complete."""
        if len(self._rows) < self.plan.rows:
            return None
        self._is_taken = True
        return np.concatenate(self._rows)
