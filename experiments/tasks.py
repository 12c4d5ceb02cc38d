"""The runs to measure, and the file that keeps their results."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from spela_mcu import __version__
from spela_mcu.errors import UserError
from spela_mcu.spec.model import ModelSpec

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Task:
    """One run: everything that determines its result, except the code.

    Attributes:
        study: the study it belongs to.
        row: its row in the study's table.
        measure: what is done, a name in `experiments.run.MEASURES`.
        model: a model.yaml, relative to the repository's root.
        model_digest: digest of that file, so that a changed one is measured anew.
        settings: values at dotted keys that replace model.yaml's.
        options: further arguments of the measure.
        seed: of weights, embeddings and order.
    """

    study: str
    row: str
    measure: str
    model: str
    model_digest: str
    settings: dict[str, Any]
    options: dict[str, Any]
    seed: int

    @property
    def key(self) -> str:
        """Equal for tasks with the same result in the same place of a table."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Record:
    """A task and its result: values by column."""

    task: Task
    values: dict[str, float]


def results_file(study: str, directory: Path = RESULTS) -> Path:
    """The file of a study's results, one JSON object per line."""
    return directory / f"{study}.jsonl"


def read_records(file: Path) -> list[Record]:
    """All results in a file; none if there is no such file.

    Raises:
        UserError: a line is not a result.
    """
    records = []
    lines = file.read_text().splitlines() if file.is_file() else []
    for number, line in enumerate(lines, start=1):
        try:
            content = json.loads(line)
            records.append(Record(Task(**content["task"]), content["values"]))
        except (ValueError, KeyError, TypeError) as error:
            mend = "remove the line; its run is done again"
            raise UserError("not a result", mend=mend, file=file, line=number) from error
    return records


def append_record(file: Path, record: Record, command: str) -> None:
    """Adds a result with the command and the versions that produced it."""
    versions = {
        "spela_mcu": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
    }
    line = json.dumps(asdict(record) | {"command": command, "versions": versions})
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        stream.write(line + "\n")


def still_to_do(tasks: Iterable[Task], records: Iterable[Record]) -> list[Task]:
    """The tasks that have no result yet."""
    done = {record.task.key for record in records}
    return [task for task in tasks if task.key not in done]


def changed(spec: ModelSpec, settings: dict[str, Any]) -> ModelSpec:
    """The spec with other values at dotted keys.

    Raises:
        UserError: there is no such key, or it does not take the value.
    """
    known = spec.model_dump()
    sections = spec.model_dump(exclude_unset=True)  # a default may not stand beside every key
    for key, value in settings.items():
        section, _, name = key.partition(".")
        if section not in known or name not in known[section]:
            raise UserError("unknown key", key=key)
        sections.setdefault(section, {})[name] = value
    try:
        return ModelSpec.model_validate(sections)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(first["msg"], key=".".join(map(str, first["loc"]))) from error
