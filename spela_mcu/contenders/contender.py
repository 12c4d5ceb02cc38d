"""A contender: one way from the training part to answers, measured on the same test part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spela_mcu.data.dataset import Dataset
from spela_mcu.spec.model import ModelSpec

if TYPE_CHECKING:
    from spela_mcu.reference.network import FloatNetwork


@dataclass(frozen=True)
class Cost:
    """What a contender costs on a chip; None where it cannot be measured.

    Attributes:
        instructions: of one inference.
        note: what the figures include, or why there are none.
        learn_instructions: of one learning step, the mean over whole batches.
    """

    flash_bytes: int | None
    ram_bytes: int | None
    instructions: int | None
    note: str
    learn_instructions: int | None = None


@dataclass(frozen=True)
class Outcome:
    """The result of one contender with one seed.

    Attributes:
        accuracy: share of correct answers on the test part, 0 to 1, per exit; a network without
            exits has a single entry.
        cost: if the run itself measures it.
        network: the trained float network, for contenders that build on it.
    """

    accuracy: tuple[float, ...]
    cost: Cost | None = None
    network: FloatNetwork | None = None


Run = Callable[[ModelSpec, Dataset, "FloatNetwork | None"], Outcome]
"""Learns the training part and answers the test part. It reads only the spec and the data, and
writes nothing, so that it can run in another process or on another machine."""


@dataclass(frozen=True)
class Contender:
    """One row of a comparison.

    Attributes:
        name: its key in results and their files.
        title: what a reader calls it.
        run: a module-level function, so that other processes find it.
        after: name of the contender whose trained network it uses.
        needs: packages that must be installed, by their import names.
    """

    name: str
    title: str
    run: Run
    after: str | None = None
    needs: tuple[str, ...] = ()
