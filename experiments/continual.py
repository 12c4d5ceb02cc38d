"""Streams of experiences, classes that are forgotten, and unknown ones."""

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
from spela_mcu.fixed_point.arithmetic import ONE_Q14, Int64, activate, exact_product
from spela_mcu.fixed_point.continual import ClassState
from spela_mcu.fixed_point.network import IntegerNetwork, first_inputs
from spela_mcu.host.network import HostNetwork
from spela_mcu.pipeline import Overrides
from spela_mcu.report.rejection import held_out, roc
from spela_mcu.spec.model import ModelSpec

Float = NDArray[np.float64]

PROTOTYPE_LENGTH = 0.7
"""Length of an embedding that is a mean; the others have length one."""

SHOTS_AGAIN = 5
"""Samples of a forgotten class from which it is learned anew."""


def stream(task: Task) -> dict[str, float]:
    """What a learner knows at the end of a stream, and lost on its way, in %.

    Options: `by`, one of LEARNERS; `kind`, `first`, `group` and `shots` as `compare --stream` has
    them; `steps`, samples rehearsed after each later experience.
    """
    spec, dataset = _seeded(task)
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
        plan = network.plan
        self._weights = tuple(network.weights(index) for index in range(len(plan.matrices)))
        self._network = IntegerNetwork(plan, self._weights)
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


# ------------------------------------------------------------------------------- forgetting


def forget(task: Task) -> dict[str, float]:
    """What remains of a class that is forgotten, in %; the seed chooses the class.

    Options: `how`: not at all, hidden (it is no longer answered), forgotten (as spela_forget does),
    retrained (a network that never learned it) or relearned (from the memory alone).

    Columns: accuracy on the others; how often samples of the class are answered with it once it is
    active again, and once five of its samples have been learned again; and how well a sample that
    was learned can be told from one that was not by its cosine (area under the ROC; 50 is chance).
    """
    spec, dataset = _seeded(task)
    found = make_stream("class-incremental", dataset, Shape(first=dataset.classes - 1), task.seed)
    label, whole = dataset.classes - 1, found.everything
    how = task.options["how"]
    network = _network_of(spec, found, knows_it=how != "retrained")
    match how:
        case "hidden":
            network.classes[label] = ClassState()
        case "forgotten":
            network.forget(label)
        case "relearned":
            network = _relearned(network, label)
    others, own = found.start.test, whole.test.take(whole.test.y == label)
    learned = whole.train.take(whole.train.y == label)
    values = {"others": 100 * network.score(others.inputs, others.y)}
    network.classes[label].is_active = True
    values["the class, active again"] = _answered(network, own, label)
    values["learned or not, area"] = 100 * _area(network, own, learned, label)
    network.partial_fit(learned.inputs[:SHOTS_AGAIN], learned.y[:SHOTS_AGAIN])
    values[f"after {SHOTS_AGAIN} samples"] = _answered(network, own, label)
    return values


def _network_of(spec: ModelSpec, found: Stream, *, knows_it: bool) -> IntegerNetwork:
    """A network with a place for the last class, which it knows or has never seen."""
    if not knows_it:
        return _as_integers(chip.started(chip.with_spare_classes(spec, found), found.start))
    return _as_integers(chip.started(chip.without_names(spec), found.everything))


def _as_integers(network: HostNetwork) -> IntegerNetwork:
    """The same network, whose classes can be reached."""
    weights = tuple(network.weights(index) for index in range(len(network.plan.matrices)))
    return IntegerNetwork(network.plan, weights)


def _relearned(network: IntegerNetwork, label: int) -> IntegerNetwork:
    """A network from random weights that learns all classes but one from the memory."""
    fresh = IntegerNetwork.untrained(network.plan)
    for index, one in enumerate(network.classes):
        fresh.classes[index] = ClassState() if index == label else one.copy()
    fresh.rehearse(RELEARNED_STEPS)
    return fresh


RELEARNED_STEPS = 3000


def _answered(network: IntegerNetwork, samples: Split, label: int) -> float:
    return 100 * float(np.mean(network.predict(samples.inputs) == label))


def _area(network: IntegerNetwork, unseen: Split, learned: Split, label: int) -> float:
    """Area under the ROC by which the class's cosine tells learned samples from others."""
    embedding = network.plan.layers[-1].exit.embedding[label]

    def cosines(part: Split) -> Int64:
        values = first_inputs(network.plan, part.inputs)
        for layer, state in zip(network.plan.layers, network.layers, strict=True):
            sums = exact_product(values, state.weights.T)
            values = np.array([activate(row, layer.leak_shift).values for row in sums])
        lengths = np.maximum(np.linalg.norm(values, axis=1), 1) * np.linalg.norm(embedding)
        return np.rint(ONE_Q14 * (values @ embedding) / lengths).astype(np.int64)

    unseen_below, learned_below = roc(cosines(unseen), cosines(learned))
    return float(np.trapezoid(unseen_below, learned_below))


# ----------------------------------------------------------------------------- unknown ones


def unknown(task: Task) -> dict[str, float]:
    """How well samples of a class that was held out are told from others; the seed chooses it."""
    spec, dataset = _seeded(task)
    found = held_out(spec, dataset, task.seed % dataset.classes)
    return {"area, by cosine": 100 * found.area, "area, by margin": 100 * found.margin_area}


def _seeded(task: Task) -> tuple[ModelSpec, Dataset]:
    spec, dataset = prepared(task)
    return Overrides(seed=task.seed).apply(spec), dataset
