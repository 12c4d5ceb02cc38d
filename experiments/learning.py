"""Learning from scratch: a network's accuracy on the test part after its stream of samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.backprop import backprop_accuracy
from experiments.independent_dither import IndependentDitherNetwork
from experiments.tasks import Task, changed
from spela_mcu.data.dataset import Dataset, Split, quantize_inputs
from spela_mcu.data.load import load_dataset
from spela_mcu.data.scaling import apply_scaling, measure_scaling
from spela_mcu.embedding import drawn_embeddings
from spela_mcu.fixed_point.arithmetic import activate, exact_product
from spela_mcu.fixed_point.layer import ExitPlan
from spela_mcu.fixed_point.network import IntegerNetwork, first_inputs
from spela_mcu.fixed_point.plan import FixedPointPlan, float_embeddings, make_plan, scale_embeddings
from spela_mcu.host.network import HostNetwork
from spela_mcu.pipeline import completed, learning_stream
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.reference.training import online_learning_rates
from spela_mcu.reference.training import train as train_in_batches
from spela_mcu.spec.load import load_spec
from spela_mcu.spec.model import ModelSpec

SAMPLES_AT_ONCE = 4096
"""Samples copied per call: bounds the memory; the result does not depend on it."""

FUSED = "all exits"
"""Column for answers by the greatest sum of cosines over the exits."""


def learn(task: Task) -> dict[str, float]:
    """Has a network learn and tests it: % of correct answers per exit, and of all exits together.

    Options: `by`, who learns: chip (the firmware's C), per_weight (numpy, a random number for
    every weight), float (like the chip, sample by sample), batches (the float reference's
    training) or backprop; `share` of the training samples; `epochs`; `embeddings`: first, for the
    first arrangement drawn instead of the best; `shift`: pictures are shifted at random by at most
    this many pixels (chip, per_weight and float); `mirror`: pictures are mirrored, left to right,
    at random (likewise); `power`: pictures' values, 0 to 1, are raised to it before their means are
    subtracted; `rate_shifts`: one per layer, halvings of its rate (chip); `filter_bits`: one per
    convolution, how many its weights have, with int16 weights (chip).
    """
    spec, dataset = prepared(task)
    by, epochs = task.options["by"], task.options.get("epochs", spec.learning.epochs)
    dataset = replace(dataset, train=part_of(dataset.train, task.options.get("share"), task.seed))
    if "power" in task.options:
        dataset = powered(dataset, task.options["power"])
    if by == "backprop":
        widths = [layer.units for layer in spec.network.layers[:-1]]
        return {"last exit": 100 * backprop_accuracy(dataset, widths, epochs, task.seed)}
    plan = make_plan(spec, dataset.inputs, dataset.classes)
    if task.options.get("embeddings") == "first":
        plan = _first_embeddings(spec, plan)
    if "rate_shifts" in task.options:
        plan = _with_rate_shifts(plan, task.options["rate_shifts"])
    if "filter_bits" in task.options:
        plan = with_filter_bits(plan, task.options["filter_bits"])
    shift, mirror = task.options.get("shift", 0), task.options.get("mirror", False)
    stream = Stream(dataset, epochs, spec.network.seed, shift, mirror)
    if by in {"float", "batches"}:
        in_batches = by == "batches"
        network = (
            _trained_in_batches(spec, stream) if in_batches else _float_alike(spec, plan, stream)
        )
        x, y = dataset.test.x, dataset.test.y
        parts = [
            network.forward(x[start : start + SAMPLES_AT_ONCE])
            for start in range(0, len(x), SAMPLES_AT_ONCE)
        ]
        cosines = np.concatenate(parts, axis=1)
        return by_exit(cosines.argmax(axis=2), y) if plan.has_convolutions else shares(cosines, y)
    if by == "per_weight":
        drawing = IndependentDitherNetwork.untrained(plan)
        for x, y in stream:
            drawing.partial_fit(quantize_inputs(x), y)
        weights = [state.weights for state in drawing.layers]
    else:
        chip = HostNetwork(plan, None)
        for x, y in stream:
            chip.partial_fit(quantize_inputs(x), y)
        chip.flush()
        if plan.has_convolutions:
            answers = chip.predict_exits(quantize_inputs(dataset.test.x))
            return by_exit(answers, dataset.test.y)
        weights = list(chip.all_weights())
    return shares(exit_cosines(plan, weights, quantize_inputs(dataset.test.x)), dataset.test.y)


def powered(dataset: Dataset, power: float) -> Dataset:
    """Pictures whose values, 0 to 1, are raised to a power before their means are subtracted.

    On a chip whose camera gives bytes, this is a table of 256 entries.
    """
    zero = dataset.scaling.offset * dataset.scaling.scale  # a raw 0 is at -zero

    def raw(split: Split) -> NDArray[np.float32]:
        return np.asarray(np.clip(split.x + zero, 0, 1) ** power, np.float32)

    train = raw(dataset.train)
    scaling = measure_scaling(train, "centred", (0.0, 1.0))
    return replace(
        dataset,
        scaling=scaling,
        train=replace(dataset.train, x=apply_scaling(train, scaling)),
        validation=replace(dataset.validation, x=apply_scaling(raw(dataset.validation), scaling)),
        test=replace(dataset.test, x=apply_scaling(raw(dataset.test), scaling)),
    )


def _first_embeddings(spec: ModelSpec, plan: FixedPointPlan) -> FixedPointPlan:
    """The plan without choosing among arrangements of embeddings."""
    layers = []
    for layer in plan.layers:
        rng = np.random.default_rng(layer.seed)
        drawn = drawn_embeddings(spec.network.embedding, plan.classes, layer.units, rng)
        layers.append(replace(layer, exit=ExitPlan(*scale_embeddings(drawn))))
    return replace(plan, layers=tuple(layers))


def _with_rate_shifts(plan: FixedPointPlan, shifts: list[int]) -> FixedPointPlan:
    """The plan with each layer's rate halved this many times; negative numbers double it."""
    layers = []
    for layer, shift in zip(plan.layers, shifts, strict=True):
        learner = replace(layer.learner, rate_shift=layer.learner.rate_shift + shift)
        layers.append(replace(layer, learner=learner))
    return replace(plan, layers=tuple(layers))


def with_filter_bits(plan: FixedPointPlan, bits: list[int]) -> FixedPointPlan:
    """The plan with this many bits in each convolution's weights, no more than it has.

    A step of a weight is that much greater; what the convolution learns is scaled alike, so that
    nothing but the rounding differs.
    """
    layers = list(plan.layers)
    for index, wanted in enumerate(bits):
        filters = layers[index].convolution
        assert filters is not None
        fewer = filters.weight_bits - wanted
        learner = replace(
            filters.learner,
            update_shift=filters.learner.update_shift + fewer,
            rate_shift=filters.learner.rate_shift + fewer,  # scale^2 * 2^update_shift
        )
        coarser = replace(
            filters,
            weight_bits=wanted,
            weight_scale=filters.weight_scale / 2**fewer,
            learner=learner,
        )
        layers[index] = replace(layers[index], convolution=coarser)
    return replace(plan, layers=tuple(layers))


def prepared(task: Task) -> tuple[ModelSpec, Dataset]:
    """The task's spec and data."""
    path = Path(task.model)
    spec = changed(_spec(path), {**task.settings, "network.seed": task.seed})
    dataset = _dataset(path, spec.data.model_dump_json(), spec)
    return completed(spec, dataset), dataset


@lru_cache(maxsize=4)
def _spec(path: Path) -> ModelSpec:
    return load_spec(path)


_datasets: dict[tuple[Path, str], Dataset] = {}


def _dataset(path: Path, data: str, spec: ModelSpec) -> Dataset:
    """The data, kept for the next task: most of a study's tasks share them."""
    if (path, data) not in _datasets:
        _datasets.clear()
        _datasets[path, data] = load_dataset(spec, path)
    return _datasets[path, data]


def part_of(split: Split, share: float | None, seed: int) -> Split:
    """A random share of a part; all of it if the share is None."""
    if share is None:
        return split
    rows = np.random.default_rng(seed).permutation(len(split))[: round(share * len(split))]
    return Split(split.x[rows], split.y[rows])


@dataclass(frozen=True)
class Stream:
    """The training samples in the order in which a chip learns them.

    Attributes:
        shift: pictures are shifted by at most this many pixels each way, anew each time.
        mirror: whether half of the pictures, others each time, are mirrored left to right.
    """

    dataset: Dataset
    epochs: int
    seed: int
    shift: int = 0
    mirror: bool = False

    def __len__(self) -> int:
        return self.epochs * len(self.dataset.train)

    def __iter__(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Samples and labels, in parts."""
        train = self.dataset.train
        order = learning_stream(len(train), len(self), self.seed)
        rng = np.random.default_rng([self.seed, 1])
        for start in range(0, len(order), SAMPLES_AT_ONCE):
            rows = order[start : start + SAMPLES_AT_ONCE]
            x = train.x[rows]
            if self.shift:
                x = self._shifted(x, rng)
            if self.mirror:
                x = self._mirrored(x, rng)
            yield x, train.y[rows]

    def _mirrored(self, x: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        zero = self.dataset.scaling.offset * self.dataset.scaling.scale  # a raw 0 is at -zero
        turned = rng.integers(0, 2, len(x)).astype(bool)
        pictures = (x[turned] + zero).reshape(-1, *self.dataset.input_shape)
        x[turned] = pictures[:, :, ::-1].reshape(len(pictures), -1) - zero
        return x

    def _shifted(self, x: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        zero = self.dataset.scaling.offset * self.dataset.scaling.scale  # a raw 0 is at -zero
        pictures = (x + zero).reshape(len(x), *self.dataset.input_shape)
        _, height, width = pictures.shape
        room = ((0, 0), (self.shift, self.shift), (self.shift, self.shift))
        framed = np.pad(pictures, room)
        corners = rng.integers(0, 2 * self.shift + 1, (len(x), 2))
        down = corners[:, :1] + np.arange(height)
        right = corners[:, 1:] + np.arange(width)
        sample = np.arange(len(x))[:, np.newaxis, np.newaxis]
        moved = framed[sample, down[:, :, np.newaxis], right[:, np.newaxis, :]]
        return np.asarray(moved.reshape(len(x), -1) - zero, np.float32)


def _float_alike(spec: ModelSpec, plan: FixedPointPlan, stream: Stream) -> FloatNetwork:
    """A float network that learns the chip's stream, from the chip's weights and at its rates."""
    embeddings = float_embeddings(spec, plan.classes)
    network = FloatNetwork.untrained(spec.network, plan.inputs, plan.classes, embeddings)
    start = IntegerNetwork.untrained(plan).initial
    for matrix, formats, weights in zip(network.matrices, plan.matrices, start, strict=True):
        matrix[:] = weights / formats.weight_scale
    rates, learned = online_learning_rates(spec.learning, len(stream)), 0
    for x, y in stream:
        network.learn_online(x, y, rates[learned : learned + len(y)])
        learned += len(y)
    return network


def _trained_in_batches(spec: ModelSpec, stream: Stream) -> FloatNetwork:
    """The float reference's training over all epochs: the weights of the last, not of the best.

    On a tie the best is the last; and the one validation sample, of zeros, gives the same answer
    after every epoch (class 0, without any cosine).
    """
    training = spec.training.model_copy(
        update={"epochs": stream.epochs, "patience": stream.epochs, "seed": stream.seed}
    )
    dataset = stream.dataset
    zeros = Split(np.zeros((1, dataset.inputs), np.float32), np.zeros(1, np.int64))
    return train_in_batches(
        spec.model_copy(update={"training": training}),
        replace(dataset, validation=zeros),
        float_embeddings(spec, dataset.classes),
        progress=False,
    ).network


def exit_cosines(
    plan: FixedPointPlan, weights: list[NDArray[np.int64]], samples: NDArray[np.int8]
) -> NDArray[np.float64]:
    """Every exit's cosines [exits, n, classes] for samples [n, inputs].

    Sums, activations and scores are the chip's; only the division by the length is in float.
    """
    values, exits = first_inputs(plan, samples), []
    for layer, matrix in zip(plan.layers, weights, strict=True):
        sums = exact_product(values, matrix.T)
        values = np.stack([activate(row, layer.leak_shift).values for row in sums])
        length = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1)
        scores = exact_product(values, layer.exit.embedding.T)
        exits.append(scores / (length * 2.0**layer.exit.embedding_shift))
    return np.stack(exits)


def by_exit(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, float]:
    """% of correct answers [exits, n] of every exit."""
    right = (100 * (answers == labels).mean(axis=1)).tolist()
    names = [f"exit {index}" for index in range(len(right) - 1)]
    return dict(zip([*names, "last exit"], right, strict=True))


def shares(
    cosines: NDArray[np.float64] | NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, float]:
    """% of correct answers from cosines [exits, n, classes]: first exit, last exit, sum of all."""
    answers = {"exit 0": cosines[0], "last exit": cosines[-1], FUSED: cosines.sum(axis=0)}
    return {
        name: 100 * float((values.argmax(axis=1) == labels).mean())
        for name, values in answers.items()
    }
