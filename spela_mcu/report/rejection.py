"""Rejection, tried on classes that were held out of a network's training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spela_mcu.contenders.spela import learns_from_scratch
from spela_mcu.data.dataset import Dataset, Split
from spela_mcu.fixed_point.arithmetic import Int64
from spela_mcu.fixed_point.early_exit import all_answers
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.host.network import HostNetwork
from spela_mcu.pipeline import learning_parts
from spela_mcu.progress import Progress, silent
from spela_mcu.spec.model import ModelSpec

CLASSES_TRIED = 3
CLASSES_NEEDED = 3
"""With one held out, two remain to be told apart."""

LEARNED_AT_MOST = 20_000
TESTED_AT_MOST = 2000


@dataclass(frozen=True, eq=False)
class HeldOut:
    """How a network that learned all classes but one treats samples of that one.

    Attributes:
        name: the class held out.
        known, unknown: number of test samples of the learned classes, and of the held-out one.
        false_alarms, hits: the ROC of the cosine: shares of known and of unknown samples called
            unknown, for every threshold.
        area: area under it; 0.5 is chance.
        margin_area: the same with the margin in place of the cosine.
    """

    name: str
    known: int
    unknown: int
    false_alarms: NDArray[np.float64]
    hits: NDArray[np.float64]
    area: float
    margin_area: float


def held_out_classes(
    spec: ModelSpec,
    dataset: Dataset,
    progress: Progress = silent,
) -> tuple[HeldOut, ...]:
    """Holds out a few classes, one at a time, each with a new network learned from scratch."""
    if dataset.classes < CLASSES_NEEDED:
        return ()
    count = min(CLASSES_TRIED, dataset.classes)
    chosen = np.linspace(0, dataset.classes - 1, count).round().astype(int).tolist()
    found = []
    for done, label in enumerate(chosen):
        progress("held-out classes", done, count)
        found.append(held_out(spec, dataset, label))
    progress("held-out classes", count, count)
    return tuple(found)


def held_out(spec: ModelSpec, dataset: Dataset, label: int) -> HeldOut:
    """Has a network learn all classes but `label`, then infers samples of all."""
    spec, part = learns_from_scratch(spec, dataset), without(dataset, label)
    network = HostNetwork(make_plan(spec, part.inputs, part.classes, taps=part.taps), None)
    left = LEARNED_AT_MOST
    for samples, labels in learning_parts(spec, part):
        network.partial_fit(samples[:left], labels[:left])
        left -= len(labels)
        if left <= 0:
            break
    test = dataset.test
    is_unknown = test.y == label
    known = np.flatnonzero(~is_unknown)[:TESTED_AT_MOST]
    unknown = np.flatnonzero(is_unknown)[:TESTED_AT_MOST]
    sides = [all_answers(network, test.take(rows).inputs) for rows in (known, unknown)]
    false_alarms, hits = roc(sides[0].cosines[-1], sides[1].cosines[-1])
    return HeldOut(
        name=dataset.class_names[label],
        known=len(known),
        unknown=len(unknown),
        false_alarms=false_alarms,
        hits=hits,
        area=float(np.trapezoid(hits, false_alarms)),
        margin_area=float(np.trapezoid(*roc(sides[0].margins[-1], sides[1].margins[-1])[::-1])),
    )


def without(dataset: Dataset, label: int) -> Dataset:
    """The data without one class; the labels above it move down by one."""

    def kept(split: Split) -> Split:
        part = split.take(split.y != label)
        return replace(part, y=part.y - (part.y > label))

    return replace(
        dataset,
        class_names=dataset.class_names[:label] + dataset.class_names[label + 1 :],
        train=kept(dataset.train),
        validation=kept(dataset.validation),
        test=kept(dataset.test),
    )


def roc(known: Int64, unknown: Int64) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of known and of unknown samples below every threshold, from none to all."""
    limits = np.unique(np.concatenate((known, unknown)))
    limits = np.append(limits, limits[-1] + 1)
    known, unknown = np.sort(known), np.sort(unknown)
    below = [np.searchsorted(side, limits, side="left") / len(side) for side in (known, unknown)]
    return below[0], below[1]
