"""Samples streamed to a device: what it answered, and how often it was right."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from spela_mcu.commands.device_samples import Stream, labelled
from spela_mcu.device.answers import Prediction
from spela_mcu.device.device import Device
from spela_mcu.progress import Progress

RECENT = 100
"""Samples over which the recent accuracy is taken."""


@dataclass(frozen=True)
class Answered:
    """A sample's label, if it has one, and what the device said of it.

    Attributes:
        went_back: whether the guard went back after this sample was learned.
    """

    label: int | None
    prediction: Prediction
    went_back: bool = False


class Tally:
    """How often a device was right."""

    def __init__(self) -> None:
        self.samples = 0
        self.labelled = 0
        self.right = 0
        self._recent: deque[bool] = deque(maxlen=RECENT)

    def count(self, answer: Answered) -> None:
        """Counts an answer."""
        self.samples += 1
        if answer.label is None:
            return
        right = answer.prediction.label == answer.label
        self.labelled += 1
        self.right += right
        self._recent.append(right)

    @property
    def accuracy(self) -> float | None:
        """Share of right answers; None: no sample had a label."""
        return self.right / self.labelled if self.labelled else None

    @property
    def recent(self) -> float | None:
        """The same of the last RECENT samples with a label."""
        return sum(self._recent) / len(self._recent) if self._recent else None

    def told(self) -> str:
        """In a few words, for a line that changes; empty if nothing is known."""
        if self.accuracy is None or self.recent is None:
            return ""
        last = f"{100 * self.recent:.1f} % of the last {len(self._recent)}"
        return f"{100 * self.accuracy:.1f} % right, {last}"


def infer(device: Device, stream: Stream, tally: Tally, progress: Progress) -> Iterator[Answered]:
    """Has the device answer each sample at its last exit."""
    for sample in stream.samples:
        answer = Answered(sample.label, device.infer_last(sample.x))
        tally.count(answer)
        _show(progress, "inference", tally, stream.total)
        yield answer


def learn(device: Device, stream: Stream, tally: Tally, progress: Progress) -> Iterator[Answered]:
    """Has the device learn each sample, once; what it said of it before.

    Raises:
        UserError: a sample has no label.
    """
    for sample, label in labelled(stream.samples):
        learned = device.learn(sample, label, digest=False)
        answer = Answered(label, learned.prediction, learned.went_back)
        tally.count(answer)
        _show(progress, "learning", tally, stream.total)
        yield answer


def _show(progress: Progress, what: str, tally: Tally, total: int | None) -> None:
    told = tally.told()
    # Of the standard input nobody knows how much there is: the bar is as long as what has come.
    progress(f"{what}, {told}" if told else what, tally.samples, total or tally.samples)
