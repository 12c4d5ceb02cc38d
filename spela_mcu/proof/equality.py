"""Device against integer reference, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import Lesson, Split
from spela_mcu.device.answers import Prediction
from spela_mcu.device.device import SAME_SAMPLE, Device
from spela_mcu.device.protocol import ProtocolError
from spela_mcu.fixed_point.early_exit import EarlyAnswer, infer_early
from spela_mcu.fixed_point.exit_answer import ExitAnswer
from spela_mcu.fixed_point.layout import numbers_in, place
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.spec.learning import Format

INTERRUPTIONS = 8
"""Times that learning is interrupted: twice by each kind of inference, and by a flush."""

LEARNING, INTERRUPTED, INFERENCE = "learning", "inference after learning", "inference"


@dataclass(frozen=True)
class Difference:
    """The first place where device and reference differ.

    Attributes:
        phase: `LEARNING`, `INTERRUPTED` or `INFERENCE`; of a state, flushed or not.
        step: index of the learning step or sample, from 0.
        layer: the layer as the chip numbers them, from 0: of an answer, the one whose exit it is.
            None if the difference is in no layer.
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
        count = "sample" if self.phase.endswith(INFERENCE) else "step"
        return (
            f"{self.phase} {count} {self.step}{place}: {self.what}{position} is {self.device} on "
            f"the device and {self.reference} in the reference"
        )


@dataclass(frozen=True)
class LearningComparison:
    """A stream learned by both, compared after every step.

    Attributes:
        steps: steps compared; fewer than requested if a difference was found.
        interruptions: times that learning was interrupted, and answers and state compared.
        mismatches: steps after which the states differed (learning stops at the first).
    """

    steps: int
    interruptions: int
    mismatches: int
    difference: Difference | None


@dataclass(frozen=True, eq=False)
class Probes:
    """Samples that both infer.

    Attributes:
        samples: what a device takes, int8 [n, sample's inputs].
        inputs: what the first layer makes of them, int8 [n, inputs].
        features: what a backbone makes of them, if there is one, int8 [n, features].
        readings: what a front end makes the samples of, if there is one [n, readings, axes].
    """

    samples: NDArray[np.int8]
    inputs: NDArray[np.int8]
    features: NDArray[np.int8] | None = None
    readings: NDArray[Any] | None = None

    @classmethod
    def of(cls, split: Split) -> Self:
        """The samples of a split."""
        features = None if split.extracted is None else split.extracted.features
        return cls(split.samples, split.inputs, features, split.readings)

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True, eq=False)
class Interruptions:
    """Inference and flushes between learning steps, as in use: each applies what is pending.

    Attributes:
        probes: one or more; inferred in turn.
        after: numbers of steps learned.
    """

    probes: Probes
    after: frozenset[int]

    @classmethod
    def spread(cls, probes: Probes, steps: int) -> Self:
        """Some interruptions of a stream of `steps`, evenly, the last before its end."""
        places = np.linspace(0, steps, INTERRUPTIONS + 2, dtype=int)[1:-1]
        return cls(probes, frozenset(places.tolist()) - {0, steps})


@dataclass(frozen=True)
class InferenceComparison:
    """Samples that both inferred.

    Attributes:
        labels: the device's, int64 [exits, n].
        reference_labels: the integer reference's.
        score_mismatches: scores, cosines and labels that differ, over all samples, exits and early
            exit, and the learned state at the end.
        feature_mismatches: features of a backbone that differ, over all samples.
        sample_mismatches: values of samples by a front end that differ, over all samples.
    """

    labels: NDArray[np.int64]
    reference_labels: NDArray[np.int64]
    score_mismatches: int
    feature_mismatches: int
    sample_mismatches: int
    difference: Difference | None


def compare_learning(
    reference: IntegerNetwork,
    device: Device,
    stream: Iterable[Lesson],
    on_step: Callable[[int], None] = lambda step: None,
    interruptions: Interruptions | None = None,
) -> LearningComparison:
    """Has both learn the same samples; stops at the first difference.

    A device with a front end gets the raw readings of each.
    """
    steps = made = 0
    for step, lesson in enumerate(stream):
        sample = lesson.sample
        if lesson.readings is not None:
            differing = _sample_differences(step, sample, lesson.readings, device, LEARNING)
            if differing:
                return LearningComparison(step + 1, made, 1, differing[0])
            sample = SAME_SAMPLE
        expected = reference.learn(lesson.inputs, lesson.label)
        answer = device.learn(sample, lesson.label)
        if answer.digest != reference.digest():
            state = find_state_difference(reference, device, step)
            return LearningComparison(step + 1, made, 1, state)
        prediction = answer.prediction.label
        if prediction != expected:
            last = len(reference.plan.matrices) - 1
            difference = Difference(LEARNING, step, last, "prediction", (), expected, prediction)
            return LearningComparison(step + 1, made, 1, difference)
        steps = step + 1
        on_step(step)
        if interruptions is not None and steps in interruptions.after:
            interrupted = _interrupt(reference, device, interruptions, step, made)
            made += 1
            if interrupted is not None:
                return LearningComparison(steps, made, 1, interrupted)
    end = find_state_difference(reference, device, steps)
    return LearningComparison(steps, made, int(end is not None), end)


def _interrupt(
    reference: IntegerNetwork, device: Device, asked: Interruptions, step: int, number: int
) -> Difference | None:
    """Has both infer or flush after a learning step; the kinds take turns."""
    which, plan = number % len(asked.probes), reference.plan
    sample, inputs = asked.probes.samples[which], asked.probes.inputs[which]
    found: list[Difference] = []
    match number % 4:
        case 0:
            answers = reference.infer(inputs), device.infer(sample)
            found += find_differences(plan, step, *answers, INTERRUPTED)
        case 1:
            early = infer_early(reference, inputs), device.infer_early(sample)
            found += _early_differences(step, *early, INTERRUPTED)
        case 2:
            answer = reference.infer(inputs)[-1], device.infer_last(sample)
            last = len(plan.matrices) - 1
            found += _prediction_differences(step, last, *answer, INTERRUPTED)
        case _:
            reference.flush()
            device.flush()
    if found:
        return found[0]
    if reference.digest() != device.counters().digest:
        return find_state_difference(reference, device, step, INTERRUPTED)
    return None


def find_state_difference(
    reference: IntegerNetwork, device: Device, step: int, phase: str = LEARNING
) -> Difference | None:
    """Compares the whole learned state; the first difference, or None.

    If only what is not in the weights differs, both are flushed: a weight shows which of the
    pending updates does.
    """
    difference = _weight_difference(reference, device, step, phase)
    mine, other = reference.digest(), device.counters().digest
    if difference is not None or mine == other:
        return difference
    if reference.plan.continual is not None:
        pairs = zip(reference.classes, device.classes(), strict=True)
        for label, (ours, theirs) in enumerate(pairs):
            if (ours.seen, ours.is_active) != (theirs.seen, theirs.is_active):
                values = (ours.seen, theirs.seen)
                if ours.is_active != theirs.is_active:
                    values = (int(ours.is_active), int(theirs.is_active))
                return Difference(phase, step, None, "class", (label,), *values)
    what = "digest of the random state"
    if reference.plan.batch > 1:
        reference.flush()
        device.flush()
        flushed = _weight_difference(reference, device, step, f"flushed after {phase}")
        if flushed is not None:
            return flushed
        what = "digest of the random state and the pending updates"
    if reference.plan.continual is not None:
        what += " and what is rehearsed"
    return Difference(phase, step, None, what, (), mine, other)


def _weight_difference(
    reference: IntegerNetwork, device: Device, step: int, phase: str
) -> Difference | None:
    """Compares weights, updates and halvings of every layer."""
    plan = reference.plan
    for index, (matrix, state) in enumerate(zip(plan.matrices, reference.layers, strict=True)):
        theirs, weights = device.layer_part(index, 0, 0), device.weights(index)
        ours = reference.packed_weights(index)
        if weights != ours:
            at, mine, other = _first_weight(ours, weights, matrix.inputs, matrix.format)
            return Difference(phase, step, index, "weight", at, mine, other)
        for what in ("updates", "halvings"):
            mine, other = getattr(state, what), getattr(theirs, what)
            if mine != other:
                return Difference(phase, step, index, what, (), mine, other)
    return None


def _first_weight(
    ours: bytes, theirs: bytes, inputs: int, format: Format
) -> tuple[tuple[int, int], int, int]:
    mine, other = numbers_in(ours, format), numbers_in(theirs, format)
    at = int(np.flatnonzero(mine != other)[0])
    return place(at, inputs), int(mine[at]), int(other[at])


def compare_inference(
    reference: IntegerNetwork,
    device: Device,
    probes: Probes,
    on_sample: Callable[[int], None] = lambda sample: None,
) -> InferenceComparison:
    """Has both infer; compares every exit's answer and early exit's, and a backbone's features.

    At the end, the learned state: inference applies what is pending, and changes nothing else.
    """
    exits = len(reference.plan.layers)
    labels = np.empty((exits, len(probes)), np.int64)
    expected_labels = np.empty_like(labels)
    mismatches = feature_mismatches = sample_mismatches = 0
    first: Difference | None = None
    for n, (sample, values) in enumerate(zip(probes.samples, probes.inputs, strict=True)):
        if probes.features is not None:
            other = _feature_differences(n, probes.features[n], device.features(sample))
            feature_mismatches += len(other)
            first = first or next(iter(other), None)
        again = sample if probes.features is None else SAME_SAMPLE
        if probes.readings is not None:
            differing = _sample_differences(n, sample, probes.readings[n], device, INFERENCE)
            sample_mismatches += len(differing)
            first = first or next(iter(differing), None)
            again = SAME_SAMPLE
        answers, expected = device.infer(again), reference.infer(values)
        for index, (ours, theirs) in enumerate(zip(expected, answers, strict=True)):
            labels[index, n], expected_labels[index, n] = theirs.label, ours.label
            layer = reference.plan.matrix_index(index)
            differing = _answer_differences(n, layer, ours, theirs)
            mismatches += len(differing)
            first = first or next(iter(differing), None)
        early = _early_differences(n, infer_early(reference, values), device.infer_early(again))
        mismatches += len(early)
        first = first or next(iter(early), None)
        on_sample(n)
    if reference.digest() != device.counters().digest:
        mismatches += 1
        first = first or find_state_difference(reference, device, len(probes), INFERENCE)
    return InferenceComparison(
        labels, expected_labels, mismatches, feature_mismatches, sample_mismatches, first
    )


def _sample_differences(
    step: int, ours: NDArray[np.int8], readings: NDArray[Any], device: Device, phase: str
) -> list[Difference]:
    """Has a device make a sample of readings, and compares it."""
    if not device.push(readings, restart=True):
        raise ProtocolError("the device has no complete sample after all its readings")
    theirs = device.sample()
    if len(theirs) != len(ours):
        raise ProtocolError(f"the device has {len(theirs)} values of a sample, not {len(ours)}")
    return [
        Difference(phase, step, None, "sample", (at,), int(ours[at]), int(theirs[at]))
        for at in np.flatnonzero(ours != theirs).tolist()
    ]


def _feature_differences(
    sample: int, ours: NDArray[np.int8], theirs: NDArray[np.int8]
) -> list[Difference]:
    if len(theirs) != len(ours):
        raise ProtocolError(f"the device has {len(theirs)} features, not {len(ours)}")
    return [
        Difference(INFERENCE, sample, None, "feature", (at,), int(ours[at]), int(theirs[at]))
        for at in np.flatnonzero(ours != theirs).tolist()
    ]


def find_differences(
    plan: FixedPointPlan,
    step: int,
    ours: Sequence[ExitAnswer],
    theirs: Sequence[ExitAnswer],
    phase: str,
) -> list[Difference]:
    """Where two networks' answers of every exit differ."""
    found: list[Difference] = []
    for index, pair in enumerate(zip(ours, theirs, strict=True)):
        found += _answer_differences(step, plan.matrix_index(index), *pair, phase)
    return found


def _answer_differences(
    step: int, layer: int, ours: ExitAnswer, theirs: ExitAnswer, phase: str = INFERENCE
) -> list[Difference]:
    scores = [
        Difference(phase, step, layer, "score", (c,), int(mine), int(other))
        for c, (mine, other) in enumerate(zip(ours.scores, theirs.scores, strict=True))
        if mine != other
    ]
    return scores + _prediction_differences(step, layer, ours, theirs, phase)


def _prediction_differences(
    step: int, layer: int, ours: ExitAnswer, theirs: ExitAnswer | Prediction, phase: str
) -> list[Difference]:
    return [
        Difference(phase, step, layer, what, (), mine, other)
        for what in ("label", "cosine", "margin")
        if (mine := int(getattr(ours, what))) != (other := int(getattr(theirs, what)))
    ]


def _early_differences(
    step: int, ours: EarlyAnswer, theirs: EarlyAnswer, phase: str = INFERENCE
) -> list[Difference]:
    return [
        Difference(phase, step, None, f"early exit's {what}", (), mine, other)
        for what in ("label", "exit", "cosine", "margin")
        if (mine := getattr(ours, what)) != (other := getattr(theirs, what))
    ]
