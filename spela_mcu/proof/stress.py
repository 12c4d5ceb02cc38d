"""Learning under stress: models of the same shape that exercise all of the learning arithmetic.

A network that is already right updates little, and one that learns gently halves and clips nothing,
so that most of the arithmetic never runs. So two models of the same shape, width, core, compiler
and level are generated beside the user's own, with rates, losses, slopes, samples and labels under
which every layer updates, saturates, halves its weights and clips multipliers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import Lesson
from spela_mcu.device.device import Device
from spela_mcu.firmware.build import Build
from spela_mcu.fixed_point.early_exit import all_answers
from spela_mcu.fixed_point.layer import LayerPlan
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.fixed_point.quantization import LayerQuantization
from spela_mcu.pipeline import Overrides, Prepared
from spela_mcu.progress import Progress, silent
from spela_mcu.proof.equality import (
    Difference,
    Interruptions,
    Probes,
    compare_inference,
    compare_learning,
)
from spela_mcu.proof.stress_rates import clipping_learners
from spela_mcu.simulators.base import Simulator
from spela_mcu.spec.network import Loss

STEPS_AT_LEAST, STEPS_AT_MOST = 320, 640
MACS = 32_000_000
"""Learning steps of a run, and the multiply-accumulates that they may take beyond the least: a
layer is scanned for saturation after 256 updates, so that fewer would halve nothing."""

SAMPLES = 24
"""Samples inferred before and after learning."""

SEED = 0x5EED


@dataclass(frozen=True)
class Stressor:
    """How a stressed model differs from the user's.

    Attributes:
        leak_shift: of every dense layer.
        rounds_otherwise: nearest where the model rounds stochastically, and the other way round.
        clipping: by how many bits the first multipliers exceed their range.
        intervals: number of intervals for which the rate is held, and then halved, over the run; 0:
            it is constant.
    """

    loss: Loss
    leak_shift: int
    rounds_otherwise: bool
    clipping: int
    intervals: int


STRESSORS = (
    # sweeps the multipliers' shift from one end to the other
    Stressor("margin", leak_shift=6, rounds_otherwise=False, clipping=2, intervals=15),
    # keeps saturating and halving
    Stressor("log_cosine", leak_shift=0, rounds_otherwise=True, clipping=1, intervals=0),
)


@dataclass(frozen=True)
class StressRun:
    """One stressed model on the device, beside the reference.

    Attributes:
        steps: samples learned.
        difference: the first difference, or None if all was equal.
        layers: what learning did to each layer.
    """

    loss: str
    steps: int
    difference: Difference | None
    layers: tuple[LayerQuantization, ...]


@dataclass(frozen=True)
class Forced:
    """What the stress forced in one layer, over all runs.

    Attributes:
        flushed: times that pending updates were applied before there were as many as the batch.
        saturated: whether weights reached the end of their range.
    """

    updates: int
    applications: int
    flushed: int
    halvings: int
    multipliers_clipped: int
    saturated: bool


@dataclass(frozen=True)
class Stress:
    """All runs."""

    runs: tuple[StressRun, ...]

    @property
    def difference(self) -> str | None:
        """The first difference, in words."""
        for run in self.runs:
            if run.difference is not None:
                return f"under stress (loss {run.loss}), {run.difference}"
        return None

    @property
    def steps(self) -> int:
        """The learned states that were compared."""
        return sum(run.steps for run in self.runs)

    def forced(self) -> tuple[Forced, ...]:
        """What was forced, by layer."""
        return tuple(
            Forced(
                updates=sum(layer.updates for layer in runs),
                applications=sum(layer.applications for layer in runs),
                flushed=sum(layer.flushed for layer in runs),
                halvings=sum(layer.halvings for layer in runs),
                multipliers_clipped=sum(layer.multipliers_clipped for layer in runs),
                saturated=any(layer.saturated > 0 for layer in runs),
            )
            for runs in zip(*(run.layers for run in self.runs), strict=True)
        )

    def to_json(self) -> dict[str, object]:
        """The runs as plain data."""
        return {
            "learn_steps": self.steps,
            "losses": [run.loss for run in self.runs],
            "first_difference": self.difference,
            "forced": [asdict(layer) for layer in self.forced()],
            "missed": list(self.missed()),
        }

    def missed(self) -> tuple[str, ...]:
        """What should have been forced and was not, each with its layer."""
        return tuple(
            f"{what} in layer {index}"
            for index, layer in enumerate(self.forced())
            for what, count in (
                ("updates", layer.updates),
                ("halvings", layer.halvings),
                ("clipped multipliers", layer.multipliers_clipped),
                ("saturated weights", layer.saturated),
            )
            if not count
        ) + tuple(
            f"a flush of a batch that was not full in layer {index}"
            for index, layer in enumerate(self.forced())
            if layer.applications < layer.updates and not layer.flushed
        )


def stress(
    prepared: Prepared, directory: Path, simulator: Simulator, progress: Progress = silent
) -> Stress:
    """Builds stressed models beside a prepared one and runs them; stops at the first difference.

    Args:
        prepared: the model whose shape, width, board, compiler and optimisation level are kept.
        directory: of their projects, one after the other.
        simulator: runs them; knows the board.
        progress: told how far the work is.

    Raises:
        UserError: it does not build.
        SimulationError: the firmware faults or hangs.
    """
    runs: list[StressRun] = []
    for number, stressor in enumerate(STRESSORS):

        def told(step: int, what: str = f"stress {number + 1}") -> None:
            progress(what, step + 1, steps_for(prepared.plan))

        model = stressed(prepared, stressor)
        build = model.deploy(directory)
        runs.append(run_stressed(model, build, simulator, told))
        if runs[-1].difference is not None:
            break
    return Stress(tuple(runs))


def run_stressed(
    model: Prepared,
    build: Build,
    simulator: Simulator,
    on_step: Callable[[int], None] = lambda step: None,
) -> StressRun:
    """Runs a build of a stressed model beside the reference.

    Raises:
        SimulationError: the firmware faults or hangs.
    """
    reference = model.network()
    samples = hard_samples(model.plan.inputs, SAMPLES, SEED + 1)
    probes = Probes(samples, samples)
    stream = hard_stream(model.plan, steps_for(model.plan))
    with simulator.start(build) as machine:
        device = Device(machine)
        before = compare_inference(reference, device, probes)
        asked = Interruptions.spread(probes, steps_for(model.plan))
        learning = compare_learning(reference, device, stream, on_step, asked)
        after = compare_inference(reference, device, probes)
    return StressRun(
        loss=model.plan.loss,
        steps=learning.steps,
        difference=before.difference or learning.difference or after.difference,
        layers=reference.quantization(),
    )


def steps_for(plan: FixedPointPlan) -> int:
    """How many samples a stressed model learns."""
    return min(max(MACS // plan.macs, STEPS_AT_LEAST), STEPS_AT_MOST)


def hard_samples(inputs: int, count: int, seed: int) -> NDArray[np.int8]:
    """Samples int8 [count, inputs] of all kinds: dense, extreme, sparse, tiny, constant, zero."""
    generator = np.random.default_rng(seed)
    shape = (count, inputs)
    full = generator.integers(-128, 128, shape)
    kinds = np.stack(
        [
            full,
            full,
            generator.choice([-128, -127, 0, 126, 127], shape),
            np.where(generator.random(shape) < 0.1, full, 0),
            generator.integers(-1, 2, shape),
            np.broadcast_to(generator.choice([-128, -1, 1, 127], (count, 1)), shape),
        ]
    )
    samples = kinds[generator.integers(0, len(kinds), count), np.arange(count)]
    samples[count // 2] = 0  # no activation anywhere: nothing to learn, all classes tie
    return samples.astype(np.int8)


def hard_stream(plan: FixedPointPlan, steps: int) -> Iterator[Lesson]:
    """Samples with unrelated labels: every layer is wrong most of the time."""
    labels = np.random.default_rng(SEED + 2).integers(0, plan.classes, steps)
    samples = hard_samples(plan.inputs, steps, SEED)
    for sample, label in zip(samples, labels.tolist(), strict=True):
        yield Lesson(sample, sample, label)


def stressed(prepared: Prepared, stressor: Stressor) -> Prepared:
    """A stressed model like `prepared`; it starts from weights that the chip draws."""
    steps = steps_for(prepared.plan)
    other = {"stochastic": "nearest", "nearest": "stochastic"}
    rounding = prepared.plan.rounding
    stated = prepared.plan.layers[prepared.plan.taps :]
    layers = tuple(_reseeded(layer, stressor.leak_shift) for layer in stated)
    plan = replace(
        prepared.plan,
        layers=layers,
        front=None,  # what stands in front of the layers does not learn, and taps are part of it
        rounding=other[rounding] if stressor.rounds_otherwise else rounding,
        loss=stressor.loss,
        halve_rate_every=steps // (2 * stressor.intervals + 1) if stressor.intervals else 0,
        rate_halvings=stressor.intervals,
    )
    network = IntegerNetwork.untrained(plan)
    plan = plan.with_learners(clipping_learners(network, _samples(plan), stressor.clipping))
    plan = _with_thresholds(IntegerNetwork(plan, network.initial))
    spec = Overrides(start="untrained").apply(prepared.spec)
    return replace(prepared, spec=spec, plan=plan, initial=network.initial)


def _reseeded(layer: LayerPlan, leak_shift: int) -> LayerPlan:
    """The layer with other initial weights and, if it is dense, another slope."""
    if layer.convolution is None:
        return replace(layer, leak_shift=leak_shift, seed=layer.seed ^ SEED)
    filters = replace(layer.convolution, seed=layer.convolution.seed ^ SEED)
    return replace(layer, convolution=filters, seed=layer.seed ^ SEED)


def _samples(plan: FixedPointPlan) -> NDArray[np.int8]:
    return hard_samples(plan.inputs, SAMPLES, SEED)


def _with_thresholds(network: IntegerNetwork) -> FixedPointPlan:
    """Early-exit thresholds that, at the start, some samples reach exactly and some do not."""
    plan = network.plan
    answers = all_answers(network, hard_samples(plan.inputs, SAMPLES, SEED + 1))
    middle = SAMPLES // 2
    layers = tuple(
        layer.with_thresholds(
            exit_margin=int(np.sort(margins)[middle]), reject_cosine=int(np.sort(cosines)[middle])
        )
        for layer, margins, cosines in zip(
            plan.layers, answers.margins, answers.cosines, strict=True
        )
    )
    return replace(plan, layers=layers)
