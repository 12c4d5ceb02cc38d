"""A table of runs: rows that differ from a model, some seeds each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.tasks import Task


@dataclass(frozen=True)
class Row:
    """One row of a table: how it differs from the study's model."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """One table.

    Attributes:
        model: the model.yaml that the rows vary.
        seeds: runs per row.
        reference: the row that the others are compared with, seed by seed; None: no comparison.
        measure: see `experiments.run.MEASURES`.
    """

    title: str
    model: str
    rows: tuple[Row, ...]
    seeds: int
    reference: str | None = None
    measure: str = "learn"

    def tasks(self, name: str, seeds: int | None = None) -> list[Task]:
        """Every run, all rows of one seed before the next seed."""
        digest = hashlib.sha256(Path(self.model).read_bytes()).hexdigest()[:16]
        return [
            Task(
                study=name,
                row=row.name,
                measure=self.measure,
                model=self.model,
                model_digest=digest,
                settings=row.settings,
                options={"by": "chip", **row.options} if self.measure == "learn" else row.options,
                seed=seed,
            )
            for seed in range(seeds or self.seeds)
            for row in self.rows
        ]
