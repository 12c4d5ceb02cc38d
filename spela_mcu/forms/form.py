"""A library in the form of an ecosystem: files, not yet on disk."""

from __future__ import annotations

from dataclasses import dataclass

from spela_mcu.firmware.manifest import FormName
from spela_mcu.firmware.model import ModelSource


@dataclass(frozen=True)
class Form:
    """What `generate` writes.

    Attributes:
        form: the ecosystem's name; ``firmware`` is a whole project for a board.
        model: the model it serves.
        inference_only: whether the learning runtime is left out.
        files: text of every file, by its path with forward slashes.
    """

    form: FormName
    model: ModelSource
    inference_only: bool
    files: dict[str, str]
