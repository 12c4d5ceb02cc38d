"""Learned from scratch: a network's accuracy on the test part after its stream of samples."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.backprop import backprop_accuracy
from experiments.independent_dither import IndependentDitherNetwork
from experiments.tasks import Task, changed
from spela_mcu.data.dataset import Dataset, Split, quantize_inputs
from spela_mcu.data.load import load_dataset
from spela_mcu.embedding import drawn_embeddings
from spela_mcu.fixed_point.arithmetic import activate
from spela_mcu.fixed_point.network import IntegerNetwork, exact_product
from spela_mcu.fixed_point.plan import FixedPointPlan, float_embeddings, make_plan, scale_embeddings
from spela_mcu.pipeline import learning_stream
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.reference.training import online_learning_rates
from spela_mcu.reference.training import train as train_in_batches
from spela_mcu.simulation.host import HostNetwork
from spela_mcu.spec.load import load_spec
from spela_mcu.spec.model import ModelSpec

SAMPLES_AT_ONCE = 4096
"""Samples copied per call: bounds the memory, not the result."""

FUSED = "all exits"
"""Column of the class whose cosines, summed over the exits, are greatest."""


def learn(task: Task) -> dict[str, float]:
    """Lets a network learn and tests it: % of right answers per exit, and of all exits together.

    Options: `by`, who learns: chip (the firmware's C), per_weight (numpy, a random number for
    every weight), float (like the chip, sample by sample), batches (the float reference's
    training) or backprop; `share` of the training samples; `epochs`; `embeddings`: first, to take
    the first arrangement drawn instead of the best.
    """
    spec, dataset = prepared(task)
    by, epochs = task.options["by"], task.options.get("epochs", spec.learning.epochs)
    dataset = replace(dataset, train=part_of(dataset.train, task.options.get("share"), task.seed))
    if by == "backprop":
        widths = [layer.units for layer in spec.network.layers[:-1]]
        return {"last exit": 100 * backprop_accuracy(dataset, widths, epochs, task.seed)}
    plan = make_plan(spec, dataset.inputs, dataset.classes)
    if task.options.get("embeddings") == "first":
        plan = _first_embeddings(spec, plan)
    if by in {"float", "batches"}:
        network = _float_learned(spec, dataset, plan, epochs, in_batches=by == "batches")
        return shares(np.stack(network.forward(dataset.test.x)), dataset.test.y)
    if by == "per_weight":
        numpy_network = IndependentDitherNetwork.untrained(plan)
        _stream_to(numpy_network, dataset, epochs, spec.network.seed)
        weights = [state.weights for state in numpy_network.layers]
    else:
        chip = HostNetwork(plan, None)
        _stream_to(chip, dataset, epochs, spec.network.seed)
        weights = [chip.weights(index) for index in range(len(plan.layers))]
    return shares(exit_cosines(plan, weights, quantize_inputs(dataset.test.x)), dataset.test.y)


def _first_embeddings(spec: ModelSpec, plan: FixedPointPlan) -> FixedPointPlan:
    """The plan without the choice among arrangements of embeddings."""
    layers = []
    for layer in plan.layers:
        rng = np.random.default_rng(layer.seed)
        drawn = drawn_embeddings(spec.network.embedding, plan.classes, layer.units, rng)
        embedding, shift = scale_embeddings(drawn)
        layers.append(replace(layer, embedding=embedding, embedding_shift=shift))
    return replace(plan, layers=tuple(layers))


def prepared(task: Task) -> tuple[ModelSpec, Dataset]:
    """The task's spec and data."""
    path = Path(task.model)
    spec = changed(_spec(path), {**task.settings, "network.seed": task.seed})
    return spec, _dataset(path, spec.data.model_dump_json(), spec)


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


def _stream_to(network: Any, dataset: Dataset, epochs: int, seed: int) -> None:  # noqa: ANN401
    train = dataset.train
    order = learning_stream(len(train), epochs * len(train), seed)
    for start in range(0, len(order), SAMPLES_AT_ONCE):
        rows = order[start : start + SAMPLES_AT_ONCE]
        network.partial_fit(quantize_inputs(train.x[rows]), train.y[rows])


def _float_learned(
    spec: ModelSpec, dataset: Dataset, plan: FixedPointPlan, epochs: int, *, in_batches: bool
) -> FloatNetwork:
    """A float network: from the chip's weights over the chip's stream, or trained in batches."""
    embeddings = float_embeddings(spec, dataset.classes)
    if in_batches:
        # All epochs, and the last one's weights: the few validation samples decide nothing.
        training = spec.training.model_copy(
            update={"epochs": epochs, "patience": epochs, "seed": spec.network.seed}
        )
        fixed = spec.model_copy(update={"training": training})
        last = replace(dataset, validation=Split(dataset.train.x[:1] * 0, dataset.train.y[:1]))
        return train_in_batches(fixed, last, embeddings, progress=False).network
    network = FloatNetwork.untrained(spec.network, dataset.inputs, dataset.classes, embeddings)
    start = IntegerNetwork.untrained(plan).initial
    for layer, formats, weights in zip(network.layers, plan.layers, start, strict=True):
        layer.weight[:] = weights / formats.weight_scale
    train = dataset.train
    order = learning_stream(len(train), epochs * len(train), spec.network.seed)
    rates = online_learning_rates(spec.learning, len(order))
    for first in range(0, len(order), SAMPLES_AT_ONCE):
        rows = order[first : first + SAMPLES_AT_ONCE]
        network.learn_online(train.x[rows], train.y[rows], rates[first : first + SAMPLES_AT_ONCE])
    return network


def exit_cosines(
    plan: FixedPointPlan, weights: list[NDArray[np.int64]], samples: NDArray[np.int8]
) -> NDArray[np.float64]:
    """Every exit's cosines [exits, n, classes] for samples [n, inputs].

    Sums, activations and scores are the chip's; only their division by the length is in float.
    """
    values, exits = samples.astype(np.int64), []
    for layer, matrix in zip(plan.layers, weights, strict=True):
        sums = exact_product(values, matrix.T)
        values = np.stack([activate(row, layer.leak_shift).values for row in sums])
        length = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1)
        scores = exact_product(values, layer.embedding.T)
        exits.append(scores / (length * 2.0**layer.embedding_shift))
    return np.stack(exits)


def shares(
    cosines: NDArray[np.float64] | NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, float]:
    """% of right answers from cosines [exits, n, classes]: first exit, last exit, all summed."""
    answers = {"exit 0": cosines[0], "last exit": cosines[-1], FUSED: cosines.sum(axis=0)}
    return {
        name: 100 * float((values.argmax(axis=1) == labels).mean())
        for name, values in answers.items()
    }
