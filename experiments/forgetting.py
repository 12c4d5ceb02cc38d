"""What remains of a class that is forgotten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from experiments.continual import seeded
from experiments.learning import exit_cosines
from experiments.tasks import Task
from spela_mcu.continual import chip
from spela_mcu.continual.stream import Shape, Stream, make_stream
from spela_mcu.data.dataset import Dataset, Split
from spela_mcu.fixed_point.continual import ClassState
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.host.network import HostNetwork
from spela_mcu.spec.model import ModelSpec

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

SHOTS_AGAIN = 5
"""Samples of a forgotten class from which it is learned anew."""

RELEARNED_STEPS = 3000

ATTACKED = 16
"""Networks, each of which is attacked with the others to learn from; even."""


def forget(task: Task) -> dict[str, float]:
    """What remains of a class that is forgotten, in %; the seed chooses the class.

    Options: `how`: not at all, hidden (it is no longer answered), forgotten (as spela_forget does),
    retrained (a network that never learned it) or relearned (from the memory alone).

    Columns: accuracy on the others; how often samples of the class are answered with it once it is
    active again, and once five of its samples have been learned again; and how well a sample that
    was learned can be told from one that was not by its cosine (area under the ROC; 50 is chance).
    """
    spec, found, label = _with_a_last_class(task)
    whole = found.everything
    how = task.options["how"]
    if how == "retrained":
        network = _as_integers(chip.started(chip.with_spare_classes(spec, found), found.start))
    else:
        network = _afterwards(_knowing(spec, whole), label, how)
    others, own = found.start.test, whole.test.take(whole.test.y == label)
    learned = whole.train.take(whole.train.y == label)
    values = {"others": 100 * network.score(others.inputs, others.y)}
    network.classes[label].is_active = True
    values["the class, active again"] = _answered(network, own, label)
    both = _joined(own, learned)
    was_learned = np.arange(len(both)) >= len(own)
    cosines = _cosines(network, both)[:, label]
    values["learned or not, area"] = 100 * float(roc_auc_score(was_learned, cosines))
    network.partial_fit(learned.inputs[:SHOTS_AGAIN], learned.y[:SHOTS_AGAIN])
    values[f"after {SHOTS_AGAIN} samples"] = _answered(network, own, label)
    return values


def membership(task: Task) -> dict[str, float]:
    """How well an attack by likelihood ratios tells which samples of a class were learned.

    Carlini et al., *Membership Inference Attacks From First Principles*, arXiv 2112.03570: their
    online attack, with one variance for all samples. Who attacks has the model, its seeds and all
    samples, of which each network learned a random half of those of the class. The others tell how
    sure of each sample a network is that learned it, and one that did not. Area under the ROC in
    %, the mean over the networks; 50 is chance.

    Options: `how`, as `forget` has it, without retrained.
    """
    spec, found, label = _with_a_last_class(task)
    whole = found.everything
    rest = whole.train.take(whole.train.y != label)
    own = _joined(*(part.take(part.y == label) for part in (whole.train, whole.test)))
    learned = halves(len(own), np.random.default_rng(task.seed))
    margins = np.empty(learned.shape)
    for index, half in enumerate(learned):
        network = _knowing(spec, replace(whole, train=_joined(rest, own.take(half))))
        network = _afterwards(network, label, task.options["how"])
        network.classes[label].is_active = True
        cosines = _cosines(network, own)
        margins[index] = cosines[:, label] - np.delete(cosines, label, axis=1).max(axis=1)
    ratios = likelihood_ratios(margins, learned)
    return {
        "area, by the margin": 100 * mean_area(learned, margins),
        "area, by likelihood ratios": 100 * mean_area(learned, ratios),
    }


def halves(samples: int, rng: np.random.Generator) -> Bool:
    """Which samples each network learns [networks, samples], so that half of them learn each."""
    learned = np.arange(ATTACKED)[:, None] < ATTACKED // 2
    return rng.permuted(np.repeat(learned, samples, axis=1), axis=0)


def likelihood_ratios(margins: Float, learned: Bool) -> Float:
    """Logarithms [networks, samples] of how much likelier each margin is of a network that learned.

    Both distributions are taken as normal, their means from the other networks' margins of the
    same sample; their common variance from all samples.
    """
    ratios = np.empty_like(margins)
    for index in range(len(margins)):
        others, known = np.delete(margins, index, axis=0), np.delete(learned, index, axis=0)
        own = [np.where(side, others, 0).sum(axis=0) / side.sum(axis=0) for side in (known, ~known)]
        variance = np.mean((others - np.where(known, *own)) ** 2)
        with_it, without_it = ((margins[index] - mean) ** 2 for mean in own)
        ratios[index] = (without_it - with_it) / (2 * variance)
    return ratios


def _with_a_last_class(task: Task) -> tuple[ModelSpec, Stream, int]:
    """A stream in which the class that the seed chooses comes last; its label."""
    spec, dataset = seeded(task)
    last = dataset.classes - 1
    return spec, make_stream("class-incremental", dataset, Shape(first=last), task.seed), last


def _knowing(spec: ModelSpec, dataset: Dataset) -> IntegerNetwork:
    """A network that knows all classes."""
    return _as_integers(chip.started(chip.without_names(spec), dataset))


def _as_integers(network: HostNetwork) -> IntegerNetwork:
    """The same network, whose classes can be reached."""
    return IntegerNetwork(network.plan, network.all_weights())


def _afterwards(network: IntegerNetwork, label: int, how: str) -> IntegerNetwork:
    """The network once it has forgotten a class, or what else is done."""
    match how:
        case "hidden":
            network.classes[label] = ClassState()
        case "forgotten":
            network.forget(label)
        case "relearned":
            return _relearned(network, label)
    return network


def _relearned(network: IntegerNetwork, label: int) -> IntegerNetwork:
    """A network from random weights that learns all classes but one from the memory."""
    fresh = IntegerNetwork.untrained(network.plan)
    for index, one in enumerate(network.classes):
        fresh.classes[index] = ClassState() if index == label else one.copy()
    fresh.rehearse(RELEARNED_STEPS)
    return fresh


def _joined(*parts: Split) -> Split:
    x, y = ([part.x for part in parts], [part.y for part in parts])
    return Split(np.concatenate(x), np.concatenate(y))


def _answered(network: IntegerNetwork, samples: Split, label: int) -> float:
    return 100 * float(np.mean(network.predict(samples.inputs) == label))


def _cosines(network: IntegerNetwork, samples: Split) -> Float:
    """Cosines [n, classes] of the last exit."""
    weights = [layer.weights for layer in network.layers]
    return np.asarray(exit_cosines(network.plan, weights, samples.inputs)[-1])


def mean_area(learned: Bool, scores: Float) -> float:
    """Area under the ROC [networks, samples] by which scores tell learned samples from others."""
    return float(np.mean([roc_auc_score(*one) for one in zip(learned, scores, strict=True)]))
