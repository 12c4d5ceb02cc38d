"""Devices that ask for labels: which they want, and what these teach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from experiments.learning import prepared
from experiments.tasks import Task
from spela_mcu.continual import chip
from spela_mcu.continual.stream import Shape, make_stream
from spela_mcu.data.dataset import Dataset
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.host.network import HostNetwork
from spela_mcu.pipeline import Overrides
from spela_mcu.spec.model import ModelSpec

FIRST_LABELS = 100
"""Samples with labels before a device decides by itself for which it asks."""

TAUGHT, TO_COME = 20, 40
"""Samples of a rare class that are taught first, and that then come by."""

REHEARSED = 300
"""Samples rehearsed after the first."""


def labels(task: Task) -> dict[str, float]:
    """A device that asks for labels as a stream goes by once: accuracy, and labels asked for, in %.

    Options: see `_asks`.
    """
    spec, dataset = _seeded(task)
    rng = np.random.default_rng(task.seed)
    order = rng.permutation(len(dataset.train))
    samples, y = dataset.train.inputs[order], dataset.train.y[order]
    network = HostNetwork(make_plan(spec, dataset.inputs, dataset.classes), None)
    network.partial_fit(samples[:FIRST_LABELS], y[:FIRST_LABELS])
    asked = _learned_where_asked(network, samples[FIRST_LABELS:], y[FIRST_LABELS:], task, rng)
    test = dataset.test
    return {
        "last exit": 100 * network.score(test.inputs, test.y),
        "labels": 100 * float(np.mean(asked)),
    }


def rare_labels(task: Task) -> dict[str, float]:
    """The same of a network that knows half of the others' samples, and few of a new class.

    The seed chooses the class. `TAUGHT` of its samples are taught and `REHEARSED` of all rehearsed;
    then the other half comes by, with `TO_COME` of its samples among them.
    """
    spec, dataset = _seeded(task)
    found = make_stream("class-incremental", dataset, Shape(first=dataset.classes - 1), task.seed)
    rng = np.random.default_rng(task.seed)
    rare, known = dataset.classes - 1, found.start.train
    first, then = np.array_split(rng.permutation(len(known)), 2)
    factory = replace(found.start, train=known.take(first))
    network = chip.started(chip.with_spare_classes(spec, found), factory)
    everything = found.everything
    own = everything.train.take(everything.train.y == rare)
    network.partial_fit(own.inputs[:TAUGHT], own.y[:TAUGHT])
    network.rehearse(REHEARSED)

    few = own.take(slice(TAUGHT, TAUGHT + TO_COME))
    samples = np.concatenate((known.inputs[then], few.inputs))
    y = np.concatenate((known.y[then], few.y))
    order = rng.permutation(len(y))
    asked = _learned_where_asked(network, samples[order], y[order], task, rng)
    test, is_rare = everything.test, everything.test.y == rare
    return {
        "others": 100 * network.score(test.inputs[~is_rare], test.y[~is_rare]),
        "the rare class": 100 * network.score(test.inputs[is_rare], test.y[is_rare]),
        "labels": 100 * float(np.mean(asked)),
        "of the rare class": 100 * float(np.mean(asked[y[order] == rare])),
    }


def _learned_where_asked(
    network: HostNetwork,
    samples: NDArray[np.int8],
    y: NDArray[np.int64],
    task: Task,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Which samples the device asked the label of, and learned."""
    asked = np.zeros(len(y), np.bool_)
    for index, (sample, label) in enumerate(zip(samples, y.tolist(), strict=True)):
        if _asks(network, sample, task, rng):
            network.learn(sample, label)
            asked[index] = True
    return asked


def _asks(
    network: HostNetwork, sample: NDArray[np.int8], task: Task, rng: np.random.Generator
) -> bool:
    """Whether a device asks for a sample's label.

    Options: `margin`: where the last exit's margin is below this share of network.margin; `share`:
    this share, at random; neither: where spela_wants_label says so.
    """
    if "share" in task.options:
        return bool(rng.random() < task.options["share"])
    answer = network.infer(sample)[-1]
    if "margin" in task.options:
        return bool(answer.margin < task.options["margin"] * network.plan.margin)
    return network.wants_label(answer.label, answer.margin)


def _seeded(task: Task) -> tuple[ModelSpec, Dataset]:
    spec, dataset = prepared(task)
    return Overrides(seed=task.seed).apply(spec), dataset
