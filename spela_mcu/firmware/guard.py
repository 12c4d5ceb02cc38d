"""The guard's samples: never learned, they tell the device when learning goes wrong."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import Split
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.layout import rounded_up
from spela_mcu.spec.learning import Guard


@dataclass(frozen=True, eq=False)
class GuardSamples:
    """What the application's guard works with (docs/protocol.md).

    Attributes:
        samples: int8 [count, inputs].
        labels: int64 [count].
        drop: it goes back if more samples than this are lost.
        interval: samples learned between two looks.
    """

    samples: NDArray[np.int8]
    labels: NDArray[np.int64]
    drop: int
    interval: int

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.labels)

    @property
    def tag(self) -> int:
        """Tells guards apart in a saved state, 1 to 255: other samples, another baseline."""
        content = self.samples.tobytes() + self.labels.astype("<u2").tobytes()
        return zlib.crc32(content) % 255 + 1


def guard_bytes(count: int, inputs: int) -> int:
    """Bytes of flash of so many samples and their labels."""
    return rounded_up(count * inputs, 4) + rounded_up(2 * count, 4)


def make_guard(section: Guard, held_out: Split, classes: int) -> GuardSamples | None:
    """Chooses the guard's samples; None if the model has no guard.

    The classes take turns, and each gives its samples in their order: so all have as many, within
    one, as long as they last.

    Args:
        section: what model.yaml says.
        held_out: samples that are never learned.
        classes: their number.

    Raises:
        UserError: there are fewer samples than asked for, or fewer are asked for than classes.
    """
    count = section.samples
    if not count:
        return None
    if count < classes:
        raise UserError(
            f"{count} samples cannot stand for {classes} classes",
            mend=f"set samples to {classes} or more; every class should have a few",
            key="guard.samples",
        )
    if count > len(held_out):
        raise UserError(
            f"{count} samples are asked for, but the validation part has {len(held_out)}",
            mend=f"set samples to {len(held_out)} or less, or raise data.validation_fraction",
            key="guard.samples",
        )
    turns = np.empty(len(held_out), np.int64)
    for label in range(classes):
        of_class = held_out.y == label
        turns[of_class] = np.arange(np.count_nonzero(of_class))
    chosen = held_out.take(np.lexsort((held_out.y, turns))[:count])
    return GuardSamples(chosen.samples, chosen.y, section.drop, section.interval)
