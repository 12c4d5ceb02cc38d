"""A contender: one way from the training part to predictions, measured on the same test part."""

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
    """What a contender takes of a chip; None where it cannot be measured.

    Attributes:
        instructions: of one inference.
        note: what the figures include, or why there are none.
    """

    flash_bytes: int | None
    ram_bytes: int | None
    instructions: int | None
    note: str


@dataclass(frozen=True)
class Outcome:
    """What one contender came to with one seed.

    Attributes:
        accuracy: share of right answers on the test part, 0 to 1, of each exit; of the only
            output where a network has one.
        cost: if the run itself tells.
        network: the trained float network, for contenders that go on from it.
    """

    accuracy: tuple[float, ...]
    cost: Cost | None = None
    network: FloatNetwork | None = None


Run = Callable[[ModelSpec, Dataset, "FloatNetwork | None"], Outcome]
"""Learns the training part and answers the test part. It reads the spec and the data alone, and
writes nothing, so that it can run in another process or on another machine."""


@dataclass(frozen=True)
class Contender:
    """One row of a comparison.

    Attributes:
        name: its key in results and their files.
        title: what a reader calls it.
        run: a function of a module, so that other processes find it.
        after: name of the contender whose trained network it takes.
        needs: packages that must be there, as Python imports them.
    """

    name: str
    title: str
    run: Run
    after: str | None = None
    needs: tuple[str, ...] = ()
