"""Limits below which an answer is unknown: those that follow what is taught, beside frozen ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.drift import DRIFTS, drifted
from experiments.learning import prepared
from experiments.tasks import Task
from spela_mcu.continual import chip
from spela_mcu.data.dataset import Split
from spela_mcu.fixed_point.early_exit import UNKNOWN, all_answers, with_rejection
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.host.network import HostNetwork
from spela_mcu.pipeline import Overrides
from spela_mcu.report.rejection import without

FACTORY = 0.5
"""Share of the training part that is known at the factory; the rest is the stream."""


def limits(task: Task) -> dict[str, float]:
    """Known samples that are refused and unknown ones that are found, before and after a stream, %.

    A class that the seed chooses is unknown. The limits are calibrated at the factory; then the
    network learns the stream, once. Limits that stay and limits that follow are compared on one
    network: learning does not depend on them.

    Options: `drift`, one of DRIFTS, of the stream and of what is tested after it; without, none.
    """
    spec, dataset = prepared(task)
    spec = Overrides(seed=task.seed).apply(spec)
    label = task.seed % dataset.classes
    part = without(dataset, label)
    rng = np.random.default_rng(task.seed)
    rows = rng.permutation(len(part.train))
    first, then = np.split(rows, [round(FACTORY * len(rows))])
    factory = replace(part, train=part.train.take(first))
    started = chip.started(chip.without_names(spec), factory)
    answers = all_answers(started, factory.validation.inputs)
    plan = with_rejection(started.plan, answers, spec.exits.unknown_share)
    network = HostNetwork.of(IntegerNetwork(plan, started.all_weights()))

    stream, test = part.train.take(then), dataset.test
    before = _refused(network, test, label)
    drift = task.options.get("drift")
    if drift is not None:
        stream, test = (drifted(dataset, one, DRIFTS[drift], rng) for one in (stream, test))
    network.partial_fit(stream.inputs, stream.y)
    after = _refused(network, test, label)
    return {
        f"{side} {what}, {when}": values[kind][number]
        for number, (side, what) in enumerate((("known", "refused"), ("unknown", "found")))
        for when, kind, values in (
            ("before", "frozen", before),
            ("frozen", "frozen", after),
            ("following", "following", after),
        )
    }


def _refused(network: HostNetwork, test: Split, label: int) -> dict[str, tuple[float, float]]:
    """Shares of known and of unknown samples that are refused, in %, by limits of either kind."""
    continual = network.plan.continual
    assert continual is not None
    unknown = continual.unknown
    assert unknown is not None
    limit = unknown.limits[-1] << 16
    answers = [network.infer_early(sample) for sample in test.inputs]
    refused = {
        "following": [answer.label == UNKNOWN for answer in answers],
        "frozen": [unknown.is_below(limit, one.cosine, one.margin) for one in answers],
    }
    is_known = test.y != label
    return {
        kind: (100 * float(np.mean(found[is_known])), 100 * float(np.mean(found[~is_known])))
        for kind, found in ((kind, np.array(values)) for kind, values in refused.items())
    }
