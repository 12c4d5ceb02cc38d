"""A learner: one way to learn a stream, and what is measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spela_mcu.continual.metrics import AccuracyMatrix
from spela_mcu.continual.stream import Stream
from spela_mcu.data.dataset import Split


class Learner(Protocol):
    """Learns experiences one after another.

    Attributes:
        bytes: of what it learned, the samples that it keeps among them.
    """

    @property
    def bytes(self) -> int | None:
        """Bytes of what it learned and keeps; None where that is not the point."""

    def learn(self, samples: Split) -> None:
        """Learns an experience's samples, in their order."""

    def predict(self, samples: Split) -> NDArray[np.int64]:
        """Labels [n]."""


@dataclass(frozen=True, eq=False)
class StreamOutcome:
    """What became of one learner with one seed.

    Attributes:
        bytes: see `Learner`.
    """

    matrix: AccuracyMatrix
    bytes: int | None


def follow(stream: Stream, learner: Learner, untrained: Learner) -> StreamOutcome:
    """Has a learner that knows the first experience learn the others, and tests it after each.

    Args:
        stream: its later experiences are learned.
        learner: knows the first.
        untrained: knows nothing: chance.
    """
    rows = [_tested(stream, learner)]
    for experience in stream.later:
        learner.learn(experience.train)
        rows.append(_tested(stream, learner))
    return StreamOutcome(_matrix(stream, np.array(rows), _tested(stream, untrained)), learner.bytes)


def at_the_end(stream: Stream, learner: Learner) -> StreamOutcome:
    """Tests a learner that knows everything; it was not measured earlier."""
    last = _tested(stream, learner)
    rows = np.full((len(last), len(last)), np.nan)
    rows[-1] = last
    return StreamOutcome(_matrix(stream, rows, np.full(len(last), np.nan)), learner.bytes)


def _tested(stream: Stream, learner: Learner) -> list[float]:
    return [float(np.mean(learner.predict(one.test) == one.test.y)) for one in stream.experiences]


def _matrix(
    stream: Stream, rows: NDArray[np.float64], untrained: list[float] | NDArray[np.float64]
) -> AccuracyMatrix:
    return AccuracyMatrix(
        rows=rows,
        untrained=np.asarray(untrained, np.float64),
        tested=np.array([len(one.test) for one in stream.experiences]),
        new_classes=stream.kind == "class-incremental",
    )
