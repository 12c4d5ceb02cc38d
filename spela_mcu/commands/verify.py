"""The proof: generate, build, run, and compare every answer and every bit of learned state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import Lesson
from spela_mcu.device.device import Device
from spela_mcu.device.recalling import RecallingDevice
from spela_mcu.firmware.build import Build
from spela_mcu.fixed_point.quantization import LayerQuantization
from spela_mcu.pipeline import Prepared
from spela_mcu.progress import Progress, silent
from spela_mcu.proof.accuracy import (
    Accuracies,
    FloatComparison,
    MajorityComparison,
    TrainedComparison,
    accuracies,
    compare_with_float,
    compare_with_majority,
    compare_with_trained,
)
from spela_mcu.proof.classes import TAUGHT, ClassComparison, compare_classes
from spela_mcu.proof.equality import (
    InferenceComparison,
    Interruptions,
    LearningComparison,
    Probes,
    compare_inference,
    compare_learning,
)
from spela_mcu.proof.silence import LayerSilence, silence, silence_warnings
from spela_mcu.proof.stress import Stress
from spela_mcu.simulators.base import Call, Machine, SimulationError, Simulator
from spela_mcu.simulators.counting import CountingError

COUNTED_STEPS, COUNTED_BATCHES = 16, 4
"""Learning steps whose instructions are counted, at least, spread evenly over the stream: as many
steps in a row as updates are summed, so that the mean has those that apply them."""


@dataclass(frozen=True)
class CurvePoint:
    """The device's accuracy per exit after some learning steps."""

    steps: int
    accuracy: Accuracies


@dataclass(frozen=True)
class Verification:
    """What the comparison found.

    Attributes:
        pending: each layer's updates that were pending at the end of learning.
        quantization: the effect of the integer format on each layer while the reference learned.
        silence: how much of each layer is silent for the test samples, after learning.
        curve: the device's learning curve, if checkpoints were asked for.
        floats: compared with float networks that start and learn alike.
        majority: compared with always guessing the commonest class.
        trained: compared with the fully trained float network, if there is one.
        not_counted: why no instructions were counted; empty if they were.
        infer_instructions: of one spela_infer; None if they were not counted.
        learn_instructions: of one spela_learn, the mean of those counted; None without learning.
            With a backbone and a curve, of a sample whose features are there.
        learn_instructions_most: of the longest of them.
        stack_bytes: the most stack ever in use.
        classes: those that came and went after all else; None: the model's stay as they are.
        stress: the result of stressed models of the same shape, if they were run.
    """

    prepared: Prepared
    build: Build
    simulator: str
    learning: LearningComparison
    inference: InferenceComparison
    floats: FloatComparison
    majority: MajorityComparison
    trained: TrainedComparison | None
    integer_accuracy: Accuracies
    device_accuracy: Accuracies
    pending: tuple[int, ...]
    quantization: tuple[LayerQuantization, ...]
    silence: tuple[LayerSilence, ...]
    curve: tuple[CurvePoint, ...]
    not_counted: str
    infer_instructions: int | None
    learn_instructions: int | None
    learn_instructions_most: int | None
    stack_bytes: int
    classes: ClassComparison | None = None
    stress: Stress | None = None

    @property
    def bit_exact(self) -> bool:
        """Whether no difference was found."""
        under_stress = self.stress is not None and self.stress.difference is not None
        inference = self.inference
        answers = inference.score_mismatches + inference.feature_mismatches
        answers += inference.sample_mismatches
        classes = self.classes is not None and self.classes.difference is not None
        return self.learning.mismatches + answers == 0 and not (classes or under_stress)

    @property
    def recalls(self) -> bool:
        """Whether the device learned a backbone's features that it had computed before."""
        return bool(self.curve) and _recalls(self.prepared)

    @property
    def sensed(self) -> int:
        """Samples that the device made of raw readings, and that were compared; 0: no front end."""
        if self.prepared.dataset.front_end is None:
            return 0
        return min(self.learning.steps, len(self.prepared.dataset.train)) + self.samples

    @property
    def passed(self) -> bool:
        """Whether the device equals the reference and is not shown to be below float."""
        return self.bit_exact and self.floats.verdict != "below"

    @property
    def accuracy_shown(self) -> bool:
        """Whether the accuracy is shown to be within the tolerance, and better than guessing."""
        return self.floats.verdict == "within" and self.majority.better

    @property
    def start(self) -> str:
        """What the network started from, in words."""
        return "untrained weights" if self.prepared.drawn else "trained weights"

    @property
    def samples(self) -> int:
        """Number of test samples inferred."""
        return len(self.inference.labels[-1])

    def warnings(self) -> tuple[str, ...]:
        """What may still be wrong with an exact and accurate device: one sentence each."""
        found = []
        device, majority, trained = 100 * self.device_accuracy[-1], self.majority, self.trained
        after = f"after {self.learning.steps} learning steps from {self.start}"
        points, tolerance = self.floats.shortfall.points, self.floats.tolerance_points
        if self.floats.verdict == "undecided" and points > tolerance:
            found.append(
                f"the device stands {points:.2f} points below float, learned alike, more "
                f"than the tolerance of {tolerance:g}; these {self.samples} samples do not tell "
                "whether that is chance"
            )
        if self.stress is not None and self.stress.difference is None and self.stress.missed():
            found.append(f"the stress could not force {', '.join(self.stress.missed())}")
        if not majority.better:
            found.append(
                f"the device is not shown to be better than always guessing "
                f'"{majority.name}": {device:.2f} against {100 * majority.share:.2f} % of '
                f"{self.samples} test samples, {after}"
            )
        if trained is not None and trained.far:
            found.append(
                f"the device stands {trained.shortfall.points:.2f} points below the float network "
                f"trained in full, {after}: more learning (--learn-steps, or spela-mcu demo), "
                "learning.start: trained or another learning.learning_rate may close the gap"
            )
        return (*found, *silence_warnings(self.silence))

    @property
    def difference(self) -> str | None:
        """The first difference, in words."""
        difference = self.learning.difference or self.inference.difference
        if difference is None and self.classes is not None:
            difference = self.classes.difference
        if difference is not None:
            return str(difference)
        return None if self.stress is None else self.stress.difference

    def to_json(self) -> dict[str, object]:
        """The report as plain data."""
        shortfall = self.floats.shortfall
        return {
            "bit_exact": self.bit_exact,
            "passed": self.passed,
            "samples": self.samples,
            "sensed": self.sensed,
            "sample_mismatches": self.inference.sample_mismatches,
            "feature_mismatches": self.inference.feature_mismatches,
            "score_mismatches": self.inference.score_mismatches,
            "learn_steps": self.learning.steps,
            "interruptions": self.learning.interruptions,
            "state_mismatches": self.learning.mismatches,
            "class_steps": None if self.classes is None else self.classes.steps,
            "first_difference": self.difference,
            "start": self.prepared.spec.learning.start,
            "accuracy_verdict": self.floats.verdict,
            "float_accuracy": list(self.floats.accuracy),
            "integer_accuracy": list(self.integer_accuracy),
            "device_accuracy": list(self.device_accuracy),
            "trained_float_accuracy": (
                None if self.trained is None else list(self.trained.accuracy)
            ),
            "float_runs": self.floats.runs,
            "float_spread_points": round(self.floats.spread_points, 3),
            "design_effect": round(self.floats.design_effect, 3),
            "shortfall_points": round(shortfall.points, 3),
            "shortfall_interval": [round(shortfall.low, 3), round(shortfall.high, 3)],
            "tolerance_points": self.floats.tolerance_points,
            "samples_needed": self.floats.samples_needed,
            "trained_shortfall_points": (
                None if self.trained is None else round(self.trained.shortfall.points, 3)
            ),
            "majority_class": self.majority.name,
            "majority_share": round(self.majority.share, 5),
            "balanced_accuracy": round(self.majority.balanced, 5),
            "better_than_majority": self.majority.better,
            "warnings": list(self.warnings()),
            "batch": self.prepared.plan.batch,
            "pending": list(self.pending),
            "quantization": [asdict(layer) for layer in self.quantization],
            "silence": [asdict(layer) for layer in self.silence],
            "stress": None if self.stress is None else self.stress.to_json(),
            "core": self.build.project.board.core,
            "board": self.build.project.board.id,
            "compiler": f"{self.build.compiler.name} {self.build.compiler.version}",
            "optimization": self.build.optimization,
            "simulator": self.simulator,
            "weights": self.prepared.plan.weights,
            "flash_bytes": self.build.flash_bytes,
            "ram_bytes": self.build.ram_bytes,
            "stack_bytes": self.stack_bytes,
            "not_counted": self.not_counted or None,
            "infer_instructions": self.infer_instructions,
            "learn_instructions": self.learn_instructions,
            "learn_instructions_most": self.learn_instructions_most,
            "infer_macs": self.prepared.plan.infer_macs,
        }


def verify(
    prepared: Prepared,
    build: Build,
    simulator: Simulator,
    *,
    learn_steps: int,
    samples: int | None = None,
    checkpoints: int = 0,
    progress: Progress = silent,
) -> Verification:
    """Runs a build on a simulator beside the references.

    Args:
        prepared: the model.
        build: its firmware, from `Prepared.deploy`.
        simulator: runs it; knows the board.
        learn_steps: samples to learn.
        samples: test samples to infer, at most; None for all.
        checkpoints: points of the learning curve, besides the start. With any, a device with a
            backbone computes each sample's features once, and recalls them afterwards.
        progress: told how far the work is.

    Raises:
        SimulationError: the firmware faults, hangs or belongs to another model.
    """
    test = prepared.test_samples(samples)
    probes = Probes.of(test)
    reference = prepared.network()
    with simulator.start(build) as machine:
        recalls = checkpoints > 0 and _recalls(prepared)
        device = RecallingDevice(machine) if recalls else Device(machine)
        if device.info().digest != prepared.source().digest:
            raise SimulationError("the build is of another model", mend="build it again")
        not_counted = _why_not_counted(machine)
        counter = _StepCounter(machine, 0 if not_counted else learn_steps, prepared.plan.batch)
        curve = _Curve(prepared, device, learn_steps, checkpoints, progress)
        curve.measure(0)
        # the points of a curve interrupt learning as well
        interruptions = None if checkpoints else Interruptions.spread(probes, learn_steps)

        def on_step(step: int) -> None:
            counter.before(step + 1)
            if curve.measure(step + 1):
                reference.flush()  # as inference made the device do
            progress("learning", step + 1, learn_steps)

        counter.before(0)
        learning = compare_learning(
            reference,
            device,
            _sensed_once(prepared.learning_samples(learn_steps), len(prepared.dataset.train)),
            on_step,
            interruptions,
        )
        counter.stop()
        pending = tuple(len(state.pending) for state in reference.layers)
        inferences: list[Call] = []
        if not not_counted:
            device.flush()
            reference.flush()
            with machine.counting("spela_infer") as inferences:
                device.infer_last(test.samples[0])
        inference = compare_inference(
            reference,
            device,
            probes,
            lambda n: progress("inference", n + 1, len(test)),
        )
        classes = None
        quantization, silent_shares = reference.quantization(), silence(reference, test.inputs)
        if reference.plan.continual is not None and not learning.mismatches:
            progress("classes that come and go", 0, 1)
            lessons = list(prepared.learning_samples(TAUGHT))
            classes = compare_classes(reference, device, lessons, probes)
        stack_bytes = machine.stack_high_water_bytes()
    return Verification(
        prepared=prepared,
        build=build,
        simulator=str(simulator),
        learning=learning,
        inference=inference,
        floats=compare_with_float(prepared, learning.steps, inference.labels),
        majority=compare_with_majority(prepared, inference.labels),
        trained=compare_with_trained(prepared, inference.labels),
        integer_accuracy=accuracies(inference.reference_labels == test.y),
        device_accuracy=accuracies(inference.labels == test.y),
        pending=pending,
        quantization=quantization,
        silence=silent_shares,
        curve=tuple(curve.points),
        not_counted=not_counted,
        infer_instructions=inferences[0].instructions if inferences else None,
        learn_instructions=counter.mean,
        learn_instructions_most=counter.most,
        stack_bytes=stack_bytes,
        classes=classes,
    )


def _sensed_once(stream: Iterator[Lesson], samples: int) -> Iterator[Lesson]:
    """The stream, with raw readings in its first pass over the training part.

    So the device makes each sample once by itself. Later it gets what it made, as it does a
    backbone's features: a window's readings are many times a sample.
    """
    for step, lesson in enumerate(stream):
        yield lesson if step < samples else replace(lesson, readings=None)


def _recalls(prepared: Prepared) -> bool:
    """Whether a backbone's features are fewer than a sample's values: then they can be sent."""
    plan = prepared.plan
    return plan.front is not None and plan.inputs <= plan.sample_inputs


def _why_not_counted(machine: Machine) -> str:
    """Why a machine cannot count instructions; empty if it can."""
    try:
        with machine.counting("spela_infer"):
            return ""
    except CountingError as error:
        return f"{error.reason}; {error.mend}"


class _StepCounter:
    """Counts the instructions of some learning steps; counting all would take minutes."""

    def __init__(self, machine: Machine, steps: int, batch: int) -> None:
        self._machine = machine
        runs = max(COUNTED_STEPS // batch, COUNTED_BATCHES) if steps else 0
        starts = np.linspace(0, max(steps - batch, 0), runs, dtype=int)
        self._counted = {step for start in starts.tolist() for step in range(start, start + batch)}
        self._counting = False
        self.calls: list[Call] = []

    def before(self, step: int) -> None:
        """To be called before every step."""
        if step not in self._counted:
            self.stop()
        elif not self._counting:
            self._machine.start_counting(("spela_learn",), self.calls)
            self._counting = True

    def stop(self) -> None:
        """Stops counting."""
        if self._counting:
            self._machine.stop_counting()
            self._counting = False

    @property
    def mean(self) -> int | None:
        """Mean instructions per step."""
        if not self.calls:
            return None
        return round(sum(call.instructions for call in self.calls) / len(self.calls))

    @property
    def most(self) -> int | None:
        """Instructions of the longest step."""
        return max((call.instructions for call in self.calls), default=None)


class _Curve:
    """Measures the device's accuracy on the test part as it learns."""

    def __init__(
        self,
        prepared: Prepared,
        device: Device,
        steps: int,
        checkpoints: int,
        progress: Progress,
    ) -> None:
        self._prepared, self._device, self._progress = prepared, device, progress
        self._at = set(np.linspace(0, steps, checkpoints + 1, dtype=int).tolist())
        self._enabled = checkpoints > 0
        self.points: list[CurvePoint] = []

    def measure(self, steps: int) -> bool:
        """Takes a point if one is due after this many steps; says whether it did."""
        if not self._enabled or steps not in self._at:
            return False
        test = self._prepared.test_samples()
        labels = np.array([self._labels(n, sample) for n, sample in enumerate(test.samples)])
        self.points.append(CurvePoint(steps, accuracies(test.y == labels.T)))
        return True

    def _labels(self, number: int, sample: NDArray[np.int8]) -> list[int]:
        """What each exit answers to a sample."""
        point = f"point {len(self.points) + 1} of {len(self._at)}"
        self._progress(f"accuracy, {point}", number, len(self._prepared.dataset.test))
        return [answer.label for answer in self._device.infer(sample)]
