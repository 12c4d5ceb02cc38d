"""Layers that die, and layers that wear out: chip and float, side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.learning import prepared
from experiments.tasks import Task
from spela_mcu.data.dataset import Split, quantize_inputs
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import float_embeddings, make_plan
from spela_mcu.host.network import HostNetwork
from spela_mcu.reference.network import FloatNetwork

FEW, MANY = 1000, 8000
"""True labels after which a worn network is tested."""


def silent(task: Task) -> dict[str, float]:
    """How much of a narrow network is silent after learning, and its accuracy, in %.

    Options: `by`: chip or float.
    """
    spec, dataset = prepared(task)
    learner = _Learner(task)
    rng = np.random.default_rng(task.seed)
    orders = [rng.permutation(len(dataset.train)) for _ in range(spec.learning.epochs)]
    learner.learn(dataset.train, np.concatenate(orders), dataset.train.y)
    layers = [outputs != 0 for outputs in learner.outputs(dataset.train.x)]
    dead = sum(int(np.count_nonzero(~speaks.any(axis=0))) for speaks in layers)
    return {
        "last exit": learner.accuracy(dataset.test),
        "silent samples": 100 * max(float(np.mean(~speaks.any(axis=1))) for speaks in layers),
        "dead units": 100 * dead / sum(speaks.shape[1] for speaks in layers),
    }


def worn(task: Task) -> dict[str, float]:
    """What a network still learns after many samples with random labels: % of correct answers.

    Options: `by`: chip or float; `random`: samples with random labels before the true ones.
    """
    _, dataset = prepared(task)
    train, learner = dataset.train, _Learner(task)
    rng = np.random.default_rng(task.seed)
    order = rng.integers(0, len(train), task.options["random"])
    learner.learn(train, order, rng.integers(0, dataset.classes, len(train)), rng)
    order, found = rng.integers(0, len(train), MANY), {}
    for part in np.split(order, [FEW]):
        learner.learn(train, part, train.y)
        found[f"after {FEW if not found else MANY}"] = learner.accuracy(dataset.test)
    return found


class _Learner:
    """A network that learns in the chip's C or in float, from the same weights."""

    def __init__(self, task: Task) -> None:
        spec, dataset = prepared(task)
        self._rate = spec.learning.first_rate
        self._plan = make_plan(spec, dataset.inputs, dataset.classes)
        self._chip = HostNetwork(self._plan, None)
        self._float: FloatNetwork | None = None
        if task.options["by"] == "float":
            embeddings = float_embeddings(spec, dataset.classes)
            self._float = FloatNetwork.untrained(
                spec.network, dataset.inputs, dataset.classes, embeddings
            )
            start = IntegerNetwork.untrained(self._plan).initial
            for layer, formats, weights in zip(
                self._float.layers, self._plan.layers, start, strict=True
            ):
                layer.weight[:] = weights / formats.weight_scale

    def learn(
        self,
        split: Split,
        order: NDArray[np.int64],
        labels: NDArray[np.int64],
        rng: np.random.Generator | None = None,
    ) -> None:
        """Learns samples in a given order; with a generator, each time with a new random label."""
        if len(order) == 0:
            return
        y = labels[order] if rng is None else rng.integers(0, self._plan.classes, len(order))
        if self._float is None:
            self._chip.partial_fit(quantize_inputs(split.x)[order], y)
        else:
            self._float.learn_online(split.x[order], y, np.full(len(order), self._rate))

    def accuracy(self, split: Split) -> float:
        """% of correct answers at the last exit."""
        if self._float is None:
            return 100 * self._chip.score(quantize_inputs(split.x), split.y)
        return 100 * self._float.accuracy(split.x, split.y)[-1]

    def outputs(self, x: NDArray[np.float32]) -> list[NDArray[np.float64]]:
        """Each layer's activations [n, units] for samples [n, inputs]."""
        values, found = quantize_inputs(x).astype(np.float64), []
        for index, layer in enumerate(self._plan.layers):
            is_chip = self._float is None
            weights = self._chip.weights(index) if is_chip else self._float.layers[index].weight
            sums = values @ weights.T.astype(np.float64)
            values = np.where(
                sums > 0, sums, sums * (2.0**-layer.leak_shift if layer.leak_shift else 0)
            )
            found.append(values)
        return found
