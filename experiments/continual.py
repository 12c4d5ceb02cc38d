"""Streams of experiences, and unknown classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from experiments.learning import prepared
from experiments.tasks import Task
from spela_mcu.continual import chip
from spela_mcu.continual.backprop import backpropagated
from spela_mcu.continual.learner import StreamOutcome, follow
from spela_mcu.continual.stream import Shape, Stream, make_stream
from spela_mcu.continual.yardsticks import class_means, neighbours_in_same_bytes
from spela_mcu.data.dataset import INPUT_MAX, Dataset, Split
from spela_mcu.fixed_point.arithmetic import Int64, activate, exact_product
from spela_mcu.fixed_point.network import IntegerNetwork, first_inputs
from spela_mcu.host.network import HostNetwork
from spela_mcu.pipeline import Overrides
from spela_mcu.report.rejection import held_out
from spela_mcu.spec.model import ModelSpec

Float = NDArray[np.float64]

PROTOTYPE_LENGTH = 0.7
"""Length of an embedding that is a mean; the others have length one."""


def stream(task: Task) -> dict[str, float]:
    """What a learner knows at the end of a stream, and lost on its way, in %.

    Options: `by`, one of LEARNERS; `kind`, `first`, `group` and `shots` as `compare --stream` has
    them; `steps`, samples rehearsed after each later experience.
    """
    spec, dataset = seeded(task)
    options = task.options
    shape = Shape(options.get("first"), options.get("group", 1), options.get("shots"))
    kind = options.get("kind", "class-incremental")
    found = make_stream(kind, dataset, shape, task.seed)
    matrix = LEARNERS[options["by"]](spec, found, options.get("steps", 300)).matrix
    figures = {
        "at the end": matrix.final,
        "average": matrix.average,
        "forgotten": matrix.forgetting,
        "BWT": matrix.backward_transfer,
        "FWT": matrix.forward_transfer,
        "lost by the first": matrix.first_lost,
        "later ones": matrix.later,
    }
    return {name: 100 * value for name, value in figures.items() if value is not None}


class PrototypeLearner:
    """Weights that stay; a new class's embedding in the last layer is the mean of its samples.

    Their activations' directions are averaged, less the mean over all that was known at the start.
    """

    def __init__(self, network: HostNetwork, known: Split) -> None:
        self._weights = network.all_weights()
        self._network = IntegerNetwork(network.plan, self._weights)
        self._centre = self._directions(known).mean(axis=0)

    @property
    def bytes(self) -> None:
        """Not measured."""
        return

    def learn(self, samples: Split) -> None:
        """Places the embeddings of the samples' classes."""
        active = self._network.classes
        layer = self._network.plan.layers[-1]
        embedding, directions = layer.exit.embedding.copy(), self._directions(samples)
        for label in np.unique(samples.y).tolist():
            mean = directions[samples.y == label].mean(axis=0) - self._centre
            length = PROTOTYPE_LENGTH * 2**layer.exit.embedding_shift / np.linalg.norm(mean)
            embedding[label] = np.clip(np.rint(mean * length), -INPUT_MAX, INPUT_MAX)
            active[label].is_active = True
        changed = replace(layer, exit=replace(layer.exit, embedding=embedding))
        plan = replace(self._network.plan, layers=(*self._network.plan.layers[:-1], changed))
        self._network = IntegerNetwork(plan, self._weights)
        self._network.classes = active

    def predict(self, samples: Split) -> Int64:
        """Labels of the last exit, [n]."""
        return self._network.predict(samples.inputs)

    def _directions(self, samples: Split) -> Float:
        """The last layer's activations, of length one."""
        values = first_inputs(self._network.plan, samples.inputs)
        for layer, weights in zip(self._network.plan.layers, self._weights, strict=True):
            sums = exact_product(values, weights.T)
            values = np.array([activate(row, layer.leak_shift).values for row in sums])
        lengths = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1)
        return np.asarray(values / lengths)


def _prototypes(spec: ModelSpec, found: Stream, _: int) -> StreamOutcome:
    network, untrained = _forgetful_start(spec, found)
    return follow(found, PrototypeLearner(network, found.start.train), untrained)


def _forgetful_start(spec: ModelSpec, found: Stream) -> tuple[HostNetwork, chip.ChipLearner]:
    spec = chip.without_memory(chip.with_spare_classes(spec, found))
    return chip.started(spec, found.start), chip.untrained(spec, found.start)


LEARNERS: dict[str, Callable[[ModelSpec, Stream, int], StreamOutcome]] = {
    "rehearsing": chip.as_the_model_says,
    "no memory": chip.without_rehearsal,
    "naive": chip.naive,
    "jointly": chip.jointly,
    "prototypes": _prototypes,
    "backprop": backpropagated,
    "neighbours": neighbours_in_same_bytes,
    "class means": class_means,
}


def unknown(task: Task) -> dict[str, float]:
    """How well samples of a class that was held out are told from others; the seed chooses it."""
    spec, dataset = seeded(task)
    found = held_out(spec, dataset, task.seed % dataset.classes)
    return {"area, by cosine": 100 * found.area, "area, by margin": 100 * found.margin_area}


def seeded(task: Task) -> tuple[ModelSpec, Dataset]:
    """The task's model, with its seed throughout, and data."""
    spec, dataset = prepared(task)
    return Overrides(seed=task.seed).apply(spec), dataset
