"""Results on disk: one JSON file per contender and seed, with everything that produced it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from spela_mcu.contenders.contender import Cost, Outcome
from spela_mcu.errors import UserError
from spela_mcu.files import MEBIBYTE, make_directory, read_bounded, write_whole
from spela_mcu.reference.storage import load_saved, save_network

MOST_BYTES = MEBIBYTE


class _Kept(BaseModel):
    """The part of a result's file that is needed to resume from it."""

    digest: str
    accuracy: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)
    cost: Cost | None
    has_network: bool


class ResultDirectory:
    """Where a comparison keeps its results, so that it can be resumed.

    Args:
        directory: created when first written to.
        versions: of the packages used, kept with each result.
        command: what was typed, kept with each result.
    """

    def __init__(self, directory: Path, *, versions: dict[str, str], command: str) -> None:
        self._directory = directory / "results"
        self._versions = versions
        self._command = command

    def load(self, contender: str, seed: int, digest: str) -> Outcome | None:
        """The result with this digest; None if there is none, or it is damaged."""
        file, network_file = self._files(contender, seed)
        try:
            kept = _Kept.model_validate_json(read_bounded(file, MOST_BYTES))
            if kept.digest != digest:
                return None
            network = None
            if kept.has_network:
                saved = load_saved(network_file)
                if saved.training_digest != digest:
                    return None
                network = saved.network
            return Outcome(kept.accuracy, kept.cost, network)
        except (OSError, ValidationError, UserError):
            return None

    def save(self, contender: str, seed: int, digest: str, outcome: Outcome) -> None:
        """Writes a result, which the next run finds if this one is interrupted.

        Raises:
            UserError: the directory is a file.
        """
        file, network_file = self._files(contender, seed)
        make_directory(self._directory)
        if outcome.network is not None:
            save_network(network_file, outcome.network, digest)
        kept = {
            "contender": contender,
            "seed": seed,
            "accuracy": list(outcome.accuracy),
            "cost": None if outcome.cost is None else asdict(outcome.cost),
            "has_network": outcome.network is not None,
            "versions": self._versions,
            "command": self._command,
            "digest": digest,
        }
        # Last: this file marks the result as complete.
        write_whole(file, (json.dumps(kept, indent=2) + "\n").encode())

    def _files(self, contender: str, seed: int) -> tuple[Path, Path]:
        stem = f"{contender}-{seed}"
        return self._directory / f"{stem}.json", self._directory / f"{stem}.npz"
