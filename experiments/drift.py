"""A trained network meets changed data and learns on the chip: its accuracy as it does."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from experiments.learning import prepared
from experiments.tasks import Task
from spela_mcu.data.dataset import Dataset, InputScaling, Split, quantize_inputs
from spela_mcu.data.raw import RawPart
from spela_mcu.data.scaling import apply_scaling
from spela_mcu.data.sense import sense, unit_scaling, with_scales
from spela_mcu.data.source_python import module_of
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import float_embeddings, make_plan
from spela_mcu.front_end.make import make_front_end
from spela_mcu.host.network import HostNetwork
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.reference.run import training_digest
from spela_mcu.reference.training import train
from spela_mcu.spec.model import ModelSpec

LEARNED = (10, 50, 200)
"""Samples learned on the chip before each test."""

ROTATION_DEGREES = 25
NOISE = 0.3
CONTRAST = 0.4
"""Drifts: noise as a standard deviation, inputs being 1 at full scale; contrast as a factor."""

AXES = ("ax", "ay", "az", "wx", "wy", "wz")
"""Of `gestures`."""

Pictures = NDArray[np.float32]


def _rotated(x: Pictures, rng: np.random.Generator) -> Pictures:
    del rng
    turned = ndimage.rotate(x, ROTATION_DEGREES, axes=(1, 2), reshape=False, order=1)
    return np.asarray(turned, np.float32)


def _noisier(x: Pictures, rng: np.random.Generator) -> Pictures:
    noisy = x + NOISE * rng.standard_normal(x.shape)
    return np.clip(noisy, 0, 1).astype(np.float32)


def _rescaled(x: Pictures, rng: np.random.Generator) -> Pictures:
    del rng
    return np.asarray(x * np.float32(CONTRAST), np.float32)


Drift = Callable[[Pictures, np.random.Generator], Pictures]

DRIFTS: dict[str, Drift] = {
    "rotated": _rotated,
    "noisier": _noisier,
    "rescaled": _rescaled,
}


def drift(task: Task) -> dict[str, float]:
    """Drifting pictures: % correct before, and on drifted test samples as drifted ones are learned.

    Options: `drift`, one of DRIFTS. The samples learned on the chip were not in the training part.
    """
    spec, dataset = prepared(task)
    changes = DRIFTS[task.options["drift"]]
    rng = np.random.default_rng(task.seed)
    # Half of the test part is learned, so that no drifted sample was seen before the drift.
    rows = rng.permutation(len(dataset.test))
    half = len(rows) // 2
    stream, test = (Split(dataset.test.x[r], dataset.test.y[r]) for r in np.split(rows, [half]))
    start = _trained(spec, dataset)

    before = _accuracy(start, test)
    stream, after = (drifted(dataset, one, changes, rng) for one in (stream, test))
    return {"before the drift": before} | _learned(start, stream, after)


def drifted(dataset: Dataset, split: Split, change: Drift, rng: np.random.Generator) -> Split:
    """Pictures of a data set, changed, in its scaling."""
    raw = split.x / dataset.scaling.scale + dataset.scaling.offset
    full = 1 / dataset.scaling.scale[0]  # the value that is scaled to 1
    pictures = change((raw / full).reshape(-1, *dataset.input_shape), rng) * full
    return Split(apply_scaling(pictures.reshape(len(split), -1), dataset.scaling), split.y)


def wearer(task: Task) -> dict[str, float]:
    """A wearer whom the network has never seen: the seed's, of `gestures`' ten subjects.

    The network was trained on the others. Of each of the wearer's recordings, the first half is
    learned from and the second half tested; no window of one overlaps one of the other.
    """
    spec, _ = prepared(task)
    section = spec.front_end
    assert section is not None
    x, y, groups, starts = _windows(Path(task.model).parent / "gestures.py")
    plan = make_front_end(section, AXES, x.shape[1], step=section.step or x.shape[1], rate=None)
    sensed = sense(plan, section, RawPart(x, y))
    subjects = np.unique(groups)
    stranger = groups == subjects[task.seed % len(subjects)]
    others = np.flatnonzero(~stranger)
    rng = np.random.default_rng(task.seed)
    validation = rng.permutation(others)[: len(others) // 10]
    known = np.setdiff1d(others, validation)
    plan = with_scales(plan, section, sensed.features[known])
    scaling = unit_scaling(plan.inputs)

    def part(rows: NDArray[np.int64]) -> Split:
        return sensed.split(plan, y, rows)

    first, second = _halves(np.flatnonzero(stranger), starts)
    names = tuple(map(str, range(int(y.max()) + 1)))
    dataset = _dataset(names, scaling, part(known), part(validation), part(second))
    return _learned(_trained(spec, dataset), part(rng.permutation(first)), dataset.test)


def _dataset(
    names: tuple[str, ...], scaling: InputScaling, learned: Split, validation: Split, test: Split
) -> Dataset:
    shape = (learned.x.shape[1],)
    return Dataset("gestures", shape, names, scaling, learned, validation, test)


_networks: dict[str, FloatNetwork] = {}


def _trained(spec: ModelSpec, dataset: Dataset) -> IntegerNetwork:
    """The integer network that starts from a trained float one, which all rows of a seed share."""
    training = spec.training.model_copy(update={"seed": spec.network.seed})
    seeded = spec.model_copy(update={"training": training})
    embeddings = float_embeddings(seeded, dataset.classes)
    key = training_digest(seeded, dataset, embeddings)
    if key not in _networks:
        _networks.clear()
        _networks[key] = train(seeded, dataset, embeddings, progress=False).network
    weights = _networks[key].matrices
    plan = make_plan(seeded, dataset.inputs, dataset.classes, weights)
    return IntegerNetwork.quantized(plan, weights)


def _learned(start: IntegerNetwork, stream: Split, test: Split) -> dict[str, float]:
    chip = HostNetwork.of(start)
    samples, learned = quantize_inputs(stream.x), 0
    values = {"no learning": _accuracy(start, test)}
    for count in LEARNED:
        chip.partial_fit(samples[learned:count], stream.y[learned:count])
        learned = count
        labels = chip.predict_exits(quantize_inputs(test.x))[-1]
        values[f"{count} learned"] = 100 * float((labels == test.y).mean())
    return values


def _accuracy(network: IntegerNetwork, test: Split) -> float:
    return 100 * network.score(quantize_inputs(test.x), test.y)


def _halves(
    rows: NDArray[np.int64], starts: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The windows of each recording, in two halves that leave out the window between them."""
    recordings = np.split(rows, np.flatnonzero(starts[rows])[1:])
    first = [recording[: len(recording) // 2] for recording in recordings]
    second = [recording[len(recording) // 2 + 1 :] for recording in recordings]
    return np.concatenate(first), np.concatenate(second)


@lru_cache(maxsize=1)
def _windows(
    file: Path,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Windows [n, readings, axes], labels, subjects, and which windows begin a recording."""
    module: ModuleType = module_of(file)
    x, names, groups = module.windows()
    _, y = np.unique(names, return_inverse=True)
    # A subject makes each exercise in several recordings, but never two of them in a row.
    same = (y[1:] == y[:-1]) & (groups[1:] == groups[:-1])
    starts = np.concatenate([[True], ~same])
    return x, y.astype(np.int64), groups, starts
