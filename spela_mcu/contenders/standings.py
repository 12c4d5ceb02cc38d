"""The outcome of a comparison: standings over seeds, and their provenance."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spela_mcu import __version__
from spela_mcu.contenders.contender import Contender, Cost
from spela_mcu.errors import UserError
from spela_mcu.files import MEBIBYTE, read_bounded
from spela_mcu.spec.model import ModelSpec

COMPARISON_FILE = "compare.json"
MOST_BYTES: Final = 64 * MEBIBYTE
VERSIONS_OF = ("numpy", "torch", "tensorflow", "tflite-micro")


@dataclass(frozen=True)
class Standing:
    """One contender over all seeds.

    Attributes:
        runs: accuracy per exit, one entry per seed.
    """

    contender: Contender
    runs: tuple[tuple[float, ...], ...]
    cost: Cost | None

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean accuracy of each exit, 0 to 1."""
        return tuple(np.mean(self.runs, axis=0).tolist())

    @property
    def spread(self) -> tuple[float, ...] | None:
        """Standard deviation of each exit over seeds; None for a single seed."""
        if len(self.runs) < 2:
            return None
        return tuple(np.std(self.runs, axis=0, ddof=1).tolist())


@dataclass(frozen=True)
class Skipped:
    """A contender that could not run."""

    contender: Contender
    reason: str
    mend: str


@dataclass(frozen=True)
class Comparison:
    """The results of all contenders.

    Attributes:
        model: the model.yaml.
        samples: number in the training, validation and test part.
        command: what was typed.
    """

    model: Path
    spec: ModelSpec
    samples: tuple[int, int, int]
    seeds: tuple[int, ...]
    standings: tuple[Standing, ...]
    skipped: tuple[Skipped, ...]
    versions: dict[str, str]
    command: str

    @property
    def above_tflm(self) -> tuple[float, ...] | None:
        """Points by which our int8 is above TFLM's for the same float weights, one per seed."""
        runs = {one.contender.name: one.runs for one in self.standings}
        if "tflm_of_spela" not in runs:
            return None
        pairs = zip(runs["spela_quantized"], runs["tflm_of_spela"], strict=True)
        return tuple(100 * (ours[-1] - theirs[-1]) for ours, theirs in pairs)

    def to_json(self) -> dict[str, object]:
        """The comparison as plain data."""
        train, validation, test = self.samples
        return {
            "name": self.spec.name,
            "model": str(self.model),
            "command": self.command,
            "settings": settings_digest(self.spec),
            "versions": self.versions,
            "seeds": list(self.seeds),
            "samples": {"train": train, "validation": validation, "test": test},
            "contenders": [
                {
                    "name": one.contender.name,
                    "title": one.contender.title,
                    "accuracy_mean": list(one.mean),
                    "accuracy_spread": None if one.spread is None else list(one.spread),
                    "runs": [
                        {"seed": seed, "accuracy": list(accuracy)}
                        for seed, accuracy in zip(self.seeds, one.runs, strict=True)
                    ],
                    "cost": None if one.cost is None else asdict(one.cost),
                }
                for one in self.standings
            ],
            "skipped": [
                {"name": one.contender.name, "title": one.contender.title, "reason": one.reason}
                for one in self.skipped
            ],
            "same_weights_points_above_tflm": (
                None if self.above_tflm is None else list(self.above_tflm)
            ),
        }


Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(max_length=10_000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class KeptStanding(_Part):
    """A contender as compare.json has it."""

    name: Text
    title: Text
    accuracy_mean: tuple[Share, ...] = Field(min_length=1)
    accuracy_spread: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(min_length=1)
    cost: Cost | None


class KeptSkipped(_Part):
    """A contender that could not run, as compare.json has it."""

    title: Text
    reason: Text


class KeptComparison(_Part):
    """The parts of a compare.json that a report shows."""

    model: Path
    command: Text
    settings: Text
    seeds: tuple[int, ...]
    contenders: tuple[KeptStanding, ...] = Field(min_length=1)
    skipped: tuple[KeptSkipped, ...]
    same_weights_points_above_tflm: tuple[float, ...] | None


def read_comparison(file: Path) -> KeptComparison:
    """Reads a compare.json.

    Raises:
        UserError: it cannot be read, is damaged, or is something else.
    """
    try:
        return KeptComparison.model_validate_json(read_bounded(file, MOST_BYTES))
    except (OSError, ValidationError) as error:
        raise UserError(
            "is damaged, or not a comparison", file=file, mend="run spela-mcu compare again"
        ) from error


def versions() -> dict[str, str]:
    """Versions of the packages used, as far as they are installed."""
    found = {"spela_mcu": __version__, "python": platform.python_version()}
    for name in VERSIONS_OF:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def settings_digest(spec: ModelSpec) -> str:
    """Digest of all sections that decide a comparison, whatever the seed."""
    sections = spec.model_dump(mode="json", exclude={"exits", "verify"})
    return hashlib.sha256(json.dumps(sections, sort_keys=True).encode()).hexdigest()
