"""Classes that come and go, and rehearsal: numpy against C, and what the text promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spela_mcu.fixed_point.early_exit import UNKNOWN, infer_early
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.host.network import HostNetwork
from spela_mcu.spec.model import ModelSpec

INPUTS = 13


def make_spec(spare=2, rehearsal=None, *, loss="margin", unknown_by=None, **keys) -> ModelSpec:
    learning = {"learning_rate": 0.1, "start": "untrained", **keys}
    return ModelSpec.model_validate(
        {
            "name": "net",
            "data": {"source": "sklearn"},
            "network": {
                "layers": [{"units": 9}, {"units": 7}],
                "embedding": "random",
                "loss": loss,
                "spare_classes": spare,
            },
            "exits": {"unknown_share": 0.1, "unknown_by": unknown_by},
            "learning": learning | ({} if rehearsal is None else {"rehearsal": rehearsal}),
        }
    )


def stream(classes, count, seed=0):
    rng = np.random.default_rng(seed)
    samples = rng.integers(-127, 128, size=(count, INPUTS)).astype(np.int8)
    return samples, rng.integers(0, classes, count).tolist()


def both(spec, known=3, memory=None):
    plan = make_plan(spec, INPUTS, known)
    if memory is not None:
        continual = replace(plan.continual, memory=memory)
        plan = replace(plan, continual=continual)
    return IntegerNetwork.untrained(plan), HostNetwork(plan, None)


def assert_same(ours, theirs, sample):
    for one, other in zip(ours.infer(sample), theirs.infer(sample), strict=True):
        assert (one.label, one.cosine, one.margin) == (other.label, other.cosine, other.margin)
        assert one.scores.tolist() == other.scores.tolist()
    assert ours.digest() == theirs.digest()


@pytest.mark.parametrize("loss", ["margin", "log_cosine"])
@pytest.mark.parametrize(
    ("spare", "rehearsal", "batch"),
    [
        (2, None, 1),
        (0, {"samples": 4}, 1),
        (3, {"samples": 3, "ratio": 2}, 4),
        (1, {"bytes": 4 * 4 * 16}, 1),
    ],
)
def test_c_equals_numpy_while_classes_come_and_go(loss, spare, rehearsal, batch):
    ours, theirs = both(make_spec(spare, rehearsal, loss=loss, batch=batch))
    classes = ours.plan.classes
    assert classes == 3 + spare
    samples, labels = stream(classes, 120)
    for step, (sample, label) in enumerate(zip(samples, labels, strict=True)):
        if step % 7 == 6:
            active = np.flatnonzero(ours.active).tolist()
            gone = active[step % len(active)]
            ours.forget(gone)
            theirs.forget(gone)
        if step % 11 == 10 and not ours.active.all():
            assert ours.add_class() == theirs.add_class()
        if step % 3 == 2:
            assert_same(ours, theirs, samples[step - 1])
        assert ours.learn(sample, label) == theirs.learn(sample, label)
        assert ours.digest() == theirs.digest()
    assert ours.samples == theirs.counters()["samples"] == 120
    for network in (ours, theirs):
        network.reset()
    assert_same(ours, theirs, samples[0])


@pytest.mark.parametrize("by", ["cosine", "margin"])
def test_limits_follow_what_is_taught(by):
    spec = make_spec(1, unknown_by=by)
    plan = make_plan(spec, INPUTS, 3)
    unknown = replace(plan.continual.unknown, limits=(900, 3000))
    plan = replace(plan, continual=replace(plan.continual, unknown=unknown))
    layers = (plan.layers[0].with_thresholds(exit_margin=1500), *plan.layers[1:])
    plan = replace(plan, layers=layers)
    ours, theirs = IntegerNetwork.untrained(plan), HostNetwork(plan, None)
    samples, labels = stream(3, 80)
    said = []
    for sample, label in zip(samples, labels, strict=True):
        early = infer_early(ours, sample)
        assert early == theirs.infer_early(sample)
        said.append(early.label)
        assert ours.wants_label(early.label, early.margin) == theirs.wants_label(
            early.label, early.margin
        )
        ours.learn(sample, label)
        theirs.learn(sample, label)
        assert ours.digest() == theirs.digest()
    assert ours.limits != [900 << 16, 3000 << 16]
    assert 0 < said.count(UNKNOWN) < len(said)
