"""The outcome of all learners on a stream, as compare shows and keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spela_mcu.contenders.standings import MOST_BYTES, Text, settings_digest
from spela_mcu.continual.learner import StreamOutcome
from spela_mcu.continual.metrics import AccuracyMatrix
from spela_mcu.continual.stream import KINDS, Kind, Shape
from spela_mcu.errors import UserError
from spela_mcu.files import read_bounded
from spela_mcu.spec.model import ModelSpec

FIGURES = {
    "final": "at the end",
    "average": "average",
    "forgetting": "forgot",
    "backward_transfer": "BWT",
    "forward_transfer": "FWT",
    "first_lost": "lost",
    "later": "later",
}
"""Figures of an `AccuracyMatrix`, and their headings."""


@dataclass(frozen=True)
class StreamStanding:
    """One learner over all seeds.

    Attributes:
        name: its key in results.
        title: what a reader calls it.
        runs: one outcome per seed.
    """

    name: str
    title: str
    runs: tuple[StreamOutcome, ...]

    def figure(self, name: str) -> tuple[float, float | None] | None:
        """Mean and standard deviation over seeds of one of `FIGURES`; None if it has no value."""
        found = [getattr(run.matrix, name) for run in self.runs]
        if any(value is None for value in found):
            return None
        spread = float(np.std(found, ddof=1)) if len(found) > 1 else None
        return float(np.mean(found)), spread

    @property
    def curve(self) -> tuple[float | None, ...]:
        """Mean accuracy on all that was learned so far, after each experience; None: not known."""
        means = np.mean([run.matrix.seen for run in self.runs], axis=0)
        return tuple(None if np.isnan(one) else float(one) for one in means)


@dataclass(frozen=True)
class StreamComparison:
    """The results of all learners on a stream.

    Attributes:
        model: the model.yaml.
        steps: samples rehearsed after each later experience.
        learned, tested: number of samples of each experience, with the first seed.
        command: what was typed.
    """

    model: Path
    spec: ModelSpec
    kind: Kind
    shape: Shape
    steps: int
    seeds: tuple[int, ...]
    learned: tuple[int, ...]
    tested: tuple[int, ...]
    standings: tuple[StreamStanding, ...]
    versions: dict[str, str]
    command: str

    def to_json(self) -> dict[str, object]:
        """The comparison as plain data."""
        return {
            "name": self.spec.name,
            "model": str(self.model),
            "command": self.command,
            "settings": settings_digest(self.spec),
            "versions": self.versions,
            "seeds": list(self.seeds),
            "stream": {
                "kind": self.kind,
                "shots": self.shape.shots,
                "rehearsal_steps": self.steps,
                "learned": list(self.learned),
                "tested": list(self.tested),
            },
            "learners": [self._learner(one) for one in self.standings],
        }

    def _learner(self, one: StreamStanding) -> dict[str, object]:
        figures = {name: one.figure(name) for name in FIGURES}
        return {
            "name": one.name,
            "title": one.title,
            "bytes": one.runs[0].bytes,
            "mean": {name: None if pair is None else pair[0] for name, pair in figures.items()},
            "spread": {name: None if pair is None else pair[1] for name, pair in figures.items()},
            "curve": list(one.curve),
            "runs": [
                {"seed": seed, "accuracy": _rows(run.matrix)}
                for seed, run in zip(self.seeds, one.runs, strict=True)
            ],
        }


def _rows(matrix: AccuracyMatrix) -> list[list[float] | None]:
    """R; None for an experience after which nothing was measured."""
    return [None if np.isnan(row).any() else row.tolist() for row in matrix.rows]


def stream_file(kind: Kind) -> str:
    """Name of the file that keeps a comparison."""
    return f"{kind}.json"


Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class KeptLearner(_Part):
    """A learner as the file has it."""

    name: Text
    title: Text
    bytes: int | None
    mean: dict[str, Finite | None]
    spread: dict[str, Finite | None]
    curve: tuple[Finite | None, ...] = Field(min_length=2)


class KeptStream(_Part):
    """How the stream was cut, as the file has it."""

    kind: Kind
    shots: int | None
    rehearsal_steps: int
    learned: tuple[int, ...]
    tested: tuple[int, ...]


class KeptStreamComparison(_Part):
    """The parts of a comparison's file that a report shows."""

    model: Path
    command: Text
    settings: Text
    seeds: tuple[int, ...]
    stream: KeptStream
    learners: tuple[KeptLearner, ...] = Field(min_length=1)


def read_streams(directory: Path) -> tuple[KeptStreamComparison, ...]:
    """The comparisons on streams that a directory holds.

    Raises:
        UserError: one cannot be read, is damaged, or is something else.
    """
    files = [directory / stream_file(kind) for kind in KINDS]
    return tuple(_read(file) for file in files if file.is_file())


def _read(file: Path) -> KeptStreamComparison:
    try:
        return KeptStreamComparison.model_validate_json(read_bounded(file, MOST_BYTES))
    except (OSError, ValidationError) as error:
        raise UserError(
            "is damaged, or not a comparison on a stream",
            file=file,
            mend="run spela-mcu compare --stream again",
        ) from error
