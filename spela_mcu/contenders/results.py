"""Results on disk: one JSON file a contender and seed, with all that it came from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from spela_mcu.contenders.contender import Cost, Outcome
from spela_mcu.errors import UserError
from spela_mcu.reference.storage import load_saved, save_network, write_whole


class ResultDirectory:
    """Where a comparison keeps its results, so that it can be resumed.

    Args:
        directory: made when first written to.
        versions: of the packages at work, kept with each result.
        command: what was typed, kept with each result.
    """

    def __init__(self, directory: Path, *, versions: dict[str, str], command: str) -> None:
        self._directory = directory / "results"
        self._versions = versions
        self._command = command

    def load(self, contender: str, seed: int, digest: str) -> Outcome | None:
        """A result of the same digest; None if there is none, or it is damaged."""
        file, network_file = self._files(contender, seed)
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            if kept["digest"] != digest:
                return None
            cost = None if kept["cost"] is None else Cost(**kept["cost"])
            network = None
            if kept["has_network"]:
                saved = load_saved(network_file)
                if saved.training_digest != digest:
                    return None
                network = saved.network
            return Outcome(tuple(kept["accuracy"]), cost, network)
        except (OSError, ValueError, KeyError, TypeError, UserError):
            return None

    def save(self, contender: str, seed: int, digest: str, outcome: Outcome) -> None:
        """Writes a result; a run that is interrupted later finds it again.

        Raises:
            UserError: the directory is a file.
        """
        file, network_file = self._files(contender, seed)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(
                "is not a directory", file=self._directory.parent, mend="name another one"
            ) from error
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
        # Last: it is what says that the result is there.
        write_whole(file, (json.dumps(kept, indent=2) + "\n").encode())

    def _files(self, contender: str, seed: int) -> tuple[Path, Path]:
        stem = f"{contender}-{seed}"
        return self._directory / f"{stem}.json", self._directory / f"{stem}.npz"
