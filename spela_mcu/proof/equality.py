"""Device against integer reference, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.device.device import Device
from spela_mcu.fixed_point.early_exit import EarlyAnswer, infer_early
from spela_mcu.fixed_point.layout import place
from spela_mcu.fixed_point.network import ExitAnswer, IntegerNetwork


@dataclass(frozen=True)
class Difference:
    """The first place where device and reference differ.

    Attributes:
        phase: "learning" or "inference".
        step: index of the learning step or sample, from 0.
        layer: the layer, from 0; None if the difference is in no layer.
        what: the quantity.
        index: its position, such as [unit, input] of a weight or the class of a score.
    """

    phase: str
    step: int
    layer: int | None
    what: str
    index: tuple[int, ...]
    reference: int
    device: int

    def __str__(self) -> str:
        place = "" if self.layer is None else f", layer {self.layer}"
        position = "".join(f"[{i}]" for i in self.index)
        count = "step" if self.phase == "learning" else "sample"
        return (
            f"{self.phase} {count} {self.step}{place}: {self.what}{position} is {self.device} on "
            f"the device and {self.reference} in the reference"
        )


@dataclass(frozen=True)
class LearningComparison:
    """A stream learned by both, compared after every step.

    Attributes:
        steps: steps compared; fewer than requested if a difference was found.
        mismatches: steps after which the states differed (learning stops at the first).
    """

    steps: int
    mismatches: int
    difference: Difference | None


@dataclass(frozen=True)
class InferenceComparison:
    """Samples that both inferred.

    Attributes:
        labels: the device's, int64 [exits, n].
        reference_labels: the integer reference's.
        score_mismatches: scores, cosines and labels that differ, over all samples, exits and early
            exit.
    """

    labels: NDArray[np.int64]
    reference_labels: NDArray[np.int64]
    score_mismatches: int
    difference: Difference | None


def compare_learning(
    reference: IntegerNetwork,
    device: Device,
    stream: Iterable[tuple[NDArray[np.int8], int]],
    on_step: Callable[[int], None] = lambda step: None,
) -> LearningComparison:
    """Has both learn the same samples [inputs] with labels; stops at the first difference."""
    steps = 0
    for step, (sample, label) in enumerate(stream):
        expected = reference.learn(sample, label)
        answer = device.learn(sample, label)
        if answer.digest != reference.digest():
            return LearningComparison(step + 1, 1, find_state_difference(reference, device, step))
        prediction = answer.prediction.label
        if prediction != expected:
            last = len(reference.layers) - 1
            difference = Difference("learning", step, last, "prediction", (), expected, prediction)
            return LearningComparison(step + 1, 1, difference)
        steps = step + 1
        on_step(step)
    end = find_state_difference(reference, device, steps)
    return LearningComparison(steps, int(end is not None), end)


def find_state_difference(
    reference: IntegerNetwork, device: Device, step: int
) -> Difference | None:
    """Compares the whole learned state; the first difference, or None."""
    for index, (layer, state) in enumerate(
        zip(reference.plan.layers, reference.layers, strict=True)
    ):
        theirs, weights = device.layer_part(index, 0, 0), device.weights(index)
        ours = reference.packed_weights(index)
        if weights != ours:
            at, mine, other = _first_weight(ours, weights, layer.inputs, reference.plan.weight_type)
            return Difference("learning", step, index, "weight", at, mine, other)
        for what in ("updates", "halvings"):
            mine, other = getattr(state, what), getattr(theirs, what)
            if mine != other:
                return Difference("learning", step, index, what, (), mine, other)
    mine, other = reference.digest(), device.counters().digest
    if mine != other:  # the weights agree, so the random state or the sample count differs
        return Difference("learning", step, None, "digest of the random state", (), mine, other)
    return None


def _first_weight(
    ours: bytes, theirs: bytes, inputs: int, dtype: type[np.int8] | type[np.int16]
) -> tuple[tuple[int, int], int, int]:
    kind = np.dtype(dtype).newbyteorder("<")
    mine, other = np.frombuffer(ours, kind), np.frombuffer(theirs, kind)
    at = int(np.flatnonzero(mine != other)[0])
    return place(at, inputs), int(mine[at]), int(other[at])


def compare_inference(
    reference: IntegerNetwork,
    device: Device,
    samples: NDArray[np.int8],
    on_sample: Callable[[int], None] = lambda sample: None,
) -> InferenceComparison:
    """Has both infer samples [n, inputs]; compares every exit's answer and early exit's."""
    exits = len(reference.layers)
    labels = np.empty((exits, len(samples)), np.int64)
    expected_labels = np.empty_like(labels)
    mismatches = 0
    first: Difference | None = None
    for n, sample in enumerate(samples):
        answers, expected = device.infer(sample), reference.infer(sample)
        for index, (ours, theirs) in enumerate(zip(expected, answers, strict=True)):
            labels[index, n], expected_labels[index, n] = theirs.label, ours.label
            differing = _answer_differences(n, index, ours, theirs)
            mismatches += len(differing)
            first = first or next(iter(differing), None)
        early = _early_differences(n, infer_early(reference, sample), device.infer_early(sample))
        mismatches += len(early)
        first = first or next(iter(early), None)
        on_sample(n)
    return InferenceComparison(labels, expected_labels, mismatches, first)


def _answer_differences(
    sample: int, layer: int, ours: ExitAnswer, theirs: ExitAnswer
) -> list[Difference]:
    pairs: list[tuple[str, tuple[int, ...], int, int]] = [
        ("score", (c,), int(mine), int(other))
        for c, (mine, other) in enumerate(zip(ours.scores, theirs.scores, strict=True))
    ]
    pairs += [
        (what, (), int(getattr(ours, what)), int(getattr(theirs, what)))
        for what in ("label", "cosine", "margin")
    ]
    return [
        Difference("inference", sample, layer, what, at, mine, other)
        for what, at, mine, other in pairs
        if mine != other
    ]


def _early_differences(sample: int, ours: EarlyAnswer, theirs: EarlyAnswer) -> list[Difference]:
    return [
        Difference("inference", sample, None, f"early exit's {what}", (), mine, other)
        for what in ("label", "exit", "cosine", "margin")
        if (mine := getattr(ours, what)) != (other := getattr(theirs, what))
    ]
