"""Measures everything that a report shows of one model; the pictures are drawn elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spela_mcu.commands.verify import Verification, verify
from spela_mcu.data.dataset import Split
from spela_mcu.fixed_point.arithmetic import Int64
from spela_mcu.fixed_point.early_exit import (
    Answers,
    EarlyAnswers,
    all_answers,
    answer_early,
    with_early_exits,
    with_rejection,
)
from spela_mcu.fixed_point.layer import MatrixPlan
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.host.network import HostNetwork
from spela_mcu.pipeline import Prepared, learning_stream
from spela_mcu.progress import Progress, silent
from spela_mcu.proof.accuracy import Accuracies, accuracies, overflow_told, tested_after
from spela_mcu.report.rejection import HeldOut, held_out_classes
from spela_mcu.simulators.choice import find_simulator

if TYPE_CHECKING:
    from spela_mcu.reference.network import FloatNetwork

CURVE_SAMPLES = 1000
"""The most test samples for a point of the learning curves: the same ones for float, integers and
the simulated device, which takes milliseconds for each."""

DEVICE_POINTS = 5
UNKNOWN_SHARE = 0.02
"""Calibrated for the report if model.yaml asks for no rejection."""


@dataclass(frozen=True)
class CurvePoint:
    """The state after a number of samples learned.

    Attributes:
        float_accuracy, integer_accuracy: of each exit, 0 to 1.
        halvings: of each layer's integer weights, since the start.
    """

    steps: int
    float_accuracy: Accuracies
    integer_accuracy: Accuracies
    halvings: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Weights:
    """The distribution of one layer's integer weights, layers as the chip numbers them.

    Attributes:
        edges: of the bins, int64 [bins + 1].
        before, after: shares of weights in each bin at the start and after learning.
        at_end: share of the weights at either end of their range, after learning.
    """

    edges: Int64
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    at_end: float


@dataclass(frozen=True, eq=False)
class Filters:
    """A convolution after learning.

    Attributes:
        weights: of its filters, int64 [filters, rows, columns, channels].
        map: what it makes of the first test sample, int64 [rows, columns, filters], 0 to 127.
    """

    weights: Int64
    map: Int64


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured.

    Attributes:
        prepared: the model, its test part cut to the samples that the device answered.
        verification: of the firmware on the simulated board.
        curve: float and integer network, learning the same stream.
        curve_samples: number of test samples per point of the curves.
        trained_in_full, float_learned, integer_learned: accuracy per exit on the whole test part:
            of the float reference, and of the curve's two networks at its end.
        answers: to the test part, from the network as it will be used: as flashed if it starts
            trained, after learning if it starts untrained.
        test_labels: the test part's classes [n].
        early_plan: with thresholds, calibrated on the validation part; the model's own if
            model.yaml asks for them.
        early: early exit on the test part.
        weights: each layer's.
        filters: each convolution's, after learning.
        held_out: of rejection; empty where there are too few classes.
    """

    prepared: Prepared
    verification: Verification
    curve: tuple[CurvePoint, ...]
    curve_samples: int
    trained_in_full: Accuracies | None
    float_learned: Accuracies
    integer_learned: Accuracies
    answers: Answers
    test_labels: Int64
    early_plan: FixedPointPlan
    early: EarlyAnswers
    weights: tuple[Weights, ...]
    filters: tuple[Filters, ...]
    held_out: tuple[HeldOut, ...]

    @property
    def tested(self) -> str:
        """What the network as it is used was tested on, after how much learning, in words."""
        prepared, tested = self.prepared, len(self.test_labels)
        if prepared.drawn:
            passes = prepared.spec.learning.epochs
            return tested_after(tested, passes, len(prepared.dataset.train))
        return (
            f"tested on {tested:,} samples with the float reference's weights, before it learns "
            "on the chip"
        )


def measure(
    prepared: Prepared,
    directory: Path,
    *,
    device_steps: int,
    progress: Progress = silent,
) -> Measurements:
    """Measures a model.

    Args:
        prepared: with a trained float network.
        directory: gets the firmware.
        device_steps: the most samples that the simulated device learns.
        progress: told how far the work is.

    Raises:
        UserError: no compiler, no host compiler, or the float network overflows.
    """
    dataset = prepared.dataset
    total = prepared.spec.learning.epochs * len(dataset.train)
    learned = HostNetwork.of(prepared.network())
    matrices = prepared.plan.matrices
    before = learned.all_weights()
    start = None
    if not prepared.drawn:  # it is used as flashed
        start = _answers(learned, dataset.validation), _answers(learned, dataset.test)
    twin = prepared.float_twin()
    curve = _learning_curve(prepared, twin, learned, total, progress)
    learned_labels = learned.predict_exits(dataset.test.inputs)
    after = learned.all_weights()
    validation, test = start or (
        _answers(learned, dataset.validation),
        _answers(learned, dataset.test),
    )
    trained = None
    if prepared.trained is not None:
        trained = prepared.trained.accuracy(dataset.test.x, dataset.test.y)
    early_plan = _early_plan(prepared, validation)
    held_out = held_out_classes(prepared.spec, dataset, progress)
    device_test = dataset.test.take(slice(CURVE_SAMPLES))
    # The test part is cut to what a simulated device can answer.
    beside = replace(prepared, dataset=replace(dataset, test=device_test))
    found = verify(
        beside,
        beside.deploy(directory / "firmware"),
        find_simulator(beside.board),
        learn_steps=min(device_steps, total),
        checkpoints=DEVICE_POINTS,
        progress=progress,
    )
    return Measurements(
        prepared=beside,
        verification=found,
        curve=curve,
        curve_samples=len(device_test),
        trained_in_full=trained,
        float_learned=twin.accuracy(dataset.test.x, dataset.test.y),
        integer_learned=accuracies(learned_labels == dataset.test.y),
        answers=test,
        test_labels=dataset.test.y,
        early_plan=early_plan,
        early=answer_early(early_plan, test),
        weights=tuple(
            _weights(layer, one, other)
            for one, other, layer in zip(before, after, matrices, strict=True)
        ),
        filters=_filters(IntegerNetwork(prepared.plan, after), dataset.test),
        held_out=held_out,
    )


def _answers(network: HostNetwork, split: Split) -> Answers:
    return all_answers(network, split.inputs)


def _filters(network: IntegerNetwork, test: Split) -> tuple[Filters, ...]:
    """Every convolution, and its map of the first sample."""
    values: Int64 = test.inputs[0].astype(np.int64)
    found = []
    for index, layer in enumerate(network.plan.layers):
        if layer.convolution is None:
            break
        window = layer.convolution.window
        map, _ = network.convolve(index, values)
        values = map.values
        weights = network.layers[network.plan.matrix_index(index) - 1].weights
        shape = (window.filters, *window.kernel, window.map.channels)
        found.append(Filters(weights.reshape(shape), values.reshape(window.pooled)))
    return tuple(found)


def _early_plan(prepared: Prepared, validation: Answers) -> FixedPointPlan:
    exits, plan = prepared.spec.exits, prepared.plan
    if not exits.early:
        labels = prepared.dataset.validation.y
        plan = with_early_exits(plan, validation, labels, exits.loss_points)
    return with_rejection(plan, validation, exits.unknown_share or UNKNOWN_SHARE)


def curve_steps(total: int) -> list[int]:
    """Where the curves are measured: 0, then 1-2-5 steps from 10, and the end."""
    grid = [lead * 10**power for power in range(1, 9) for lead in (1, 2, 5)]
    return [0, *(steps for steps in grid if steps < 0.8 * total), total]


def _learning_curve(
    prepared: Prepared,
    twin: FloatNetwork,
    learned: HostNetwork,
    total: int,
    progress: Progress,
) -> tuple[CurvePoint, ...]:
    """Has a float twin and the integer network learn the device's stream."""
    from spela_mcu.reference.training import online_learning_rates

    train, test = prepared.dataset.train, prepared.dataset.test.take(slice(CURVE_SAMPLES))
    train_inputs, test_inputs = train.inputs, test.inputs
    rates = online_learning_rates(prepared.spec.learning, total)
    order = learning_stream(len(train), total, prepared.spec.network.seed)
    points: list[CurvePoint] = []
    done = 0
    for steps in curve_steps(total):
        rows = order[done:steps]
        with overflow_told(prepared.path):
            if len(rows):
                twin.learn_online(train.x[rows], train.y[rows], rates[done:steps])
            float_accuracy = twin.accuracy(test.x, test.y)
        learned.partial_fit(train_inputs[rows], train.y[rows])
        done = steps
        points.append(
            CurvePoint(
                steps=steps,
                float_accuracy=float_accuracy,
                integer_accuracy=accuracies(learned.predict_exits(test_inputs) == test.y),
                halvings=tuple(learned.halvings(k) for k in range(len(prepared.plan.matrices))),
            )
        )
        progress("learning curves", steps, total)
    return tuple(points)


def _weights(matrix: MatrixPlan, before: Int64, after: Int64) -> Weights:
    edges = np.linspace(matrix.weight_min, matrix.weight_max + 1, 65).round().astype(np.int64)
    shares = [np.histogram(one, edges)[0] / one.size for one in (before, after)]
    ends = np.count_nonzero(matrix.at_ends(after))
    return Weights(edges, shares[0], shares[1], ends / after.size)
