"""A recording of a sensor: what a series of readings is before it is cut into windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Named:
    """What the name and the folder of a file tell; None: nothing."""

    label: str | None
    group: str | None


@dataclass(frozen=True, eq=False)
class Recording:
    """Readings that follow one another without a gap.

    Attributes:
        name: within the file, if it holds several.
        label: its class.
        group: recordings of a group stay on one side of a split; None: it is a group by itself.
        values: [readings, axes]: whole numbers as integers, else float64.
        lines: the line of each reading in the file; None if it has no lines.
    """

    file: Path
    name: str
    label: str
    group: str | None
    values: NDArray[Any]
    lines: NDArray[np.int64] | None

    def place(self, reading: int) -> str:
        """Where a reading is, for people."""
        if self.lines is not None:
            return f"{self.file}:{self.lines[reading]}"
        return f"{self.file}, reading {reading}"

    def with_values(self, values: NDArray[Any], before: int) -> Recording:
        """The recording with readings put before and after it.

        Args:
            values: all readings.
            before: how many were put before.
        """
        if self.lines is None:
            return replace(self, values=values)
        after = len(values) - len(self.lines) - before
        return replace(self, values=values, lines=np.pad(self.lines, (before, after), "edge"))
