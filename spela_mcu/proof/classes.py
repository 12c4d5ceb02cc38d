"""Classes that come and go, on the device and in the integer reference: bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spela_mcu.data.dataset import Lesson
from spela_mcu.device.device import Device
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.proof.equality import Difference, Probes, find_differences, find_state_difference

TAUGHT = 8
"""Samples of a new class that are taught."""

REHEARSED = 4
CLASSES = "classes that come and go"


@dataclass(frozen=True)
class ClassComparison:
    """Classes that were added, taught, rehearsed and forgotten by both.

    Attributes:
        steps: changes compared: each answer, and the learned state after it.
        difference: the first; None: there is none.
    """

    steps: int
    difference: Difference | None


class _Both:
    """The reference and the device, which do the same until they differ."""

    def __init__(self, reference: IntegerNetwork, device: Device) -> None:
        self.reference = reference
        self.device = device
        self.steps = 0
        self.difference: Difference | None = None

    def do(
        self, what: str, ours: Callable[[], int | None], theirs: Callable[[], int | None]
    ) -> None:
        """Has both do something, and compares what they answer and what they know then."""
        if self.difference is not None:
            return
        mine, other = ours() or 0, theirs() or 0
        if mine != other:
            self.difference = Difference(CLASSES, self.steps, None, what, (), mine, other)
        elif self.reference.digest() != self.device.counters().digest:
            self.difference = find_state_difference(
                self.reference, self.device, self.steps, CLASSES
            )
        self.steps += 1

    def add(self) -> None:
        """A class that is spare becomes active."""
        self.do("label of a new class", self.reference.add_class, self.device.add_class)

    def teach(self, lesson: Lesson, label: int) -> None:
        """A sample is taught, whatever it is of."""
        self.do(
            "prediction",
            lambda: self.reference.learn(lesson.inputs, label),
            lambda: self.device.learn(lesson.sample, label).prediction.label,
        )

    def rehearse(self) -> None:
        """The memory is rehearsed, if there is one."""
        if any(one.slots for one in self.reference.classes):
            self.do(
                "answer",
                lambda: self.reference.rehearse(REHEARSED),
                lambda: self.device.rehearse(REHEARSED),
            )

    def forget(self, label: int) -> None:
        """A class is forgotten."""
        self.do(
            "answer",
            lambda: self.reference.forget(label),
            lambda: self.device.forget(label),
        )

    def infer(self, probes: Probes, index: int) -> None:
        """A sample is answered at every exit."""
        if self.difference is None:
            found = find_differences(
                self.reference.plan,
                self.steps,
                self.reference.infer(probes.inputs[index]),
                self.device.infer(probes.samples[index]),
                CLASSES,
            )
            self.difference = next(iter(found), None)
            self.steps += 1


def compare_classes(
    reference: IntegerNetwork, device: Device, lessons: Sequence[Lesson], probes: Probes
) -> ClassComparison:
    """Has both meet a new class, rehearse, and forget it; stops at the first difference.

    The new class is taught with samples of other classes: what they are does not matter here.
    Where none is spare, the first class is forgotten, and taught anew.

    Args:
        reference: of a plan with classes that come and go; in the device's state.
        device: serves the same model.
        lessons: what is taught, in turns; one or more.
        probes: what is inferred, in turns; one or more.
    """
    both = _Both(reference, device)
    spare = [label for label, one in enumerate(reference.classes) if not one.is_active]
    new = spare[0] if spare else 0
    if not spare:
        both.forget(new)
    both.add()
    for step in range(TAUGHT):
        lesson = lessons[step % len(lessons)]
        both.teach(lesson, lesson.label if step % 4 == 3 else new)
        both.rehearse()
    both.infer(probes, 0)
    both.forget(new)
    both.infer(probes, len(probes) - 1)
    both.teach(lessons[0], new)  # which makes it active again
    return ClassComparison(both.steps, both.difference)
