"""Classes that come and go, and rehearsal: numpy against C, and what the text promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spela_mcu.errors import UserError
from spela_mcu.fixed_point.continual import ClassState, factory_memory, keep
from spela_mcu.fixed_point.early_exit import UNKNOWN, infer_early
from spela_mcu.fixed_point.learning import NO_CLASS
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import float_embeddings, make_plan, placed_embeddings
from spela_mcu.host.network import HostNetwork
from spela_mcu.spec.model import ModelSpec
from spela_mcu.store.payload import (
    CLASS,
    DEVIATIONS,
    LIMIT,
    SLOTS,
    learned_state,
    payload_bytes,
    read_payload,
    restore,
    split_sections,
    write_payload,
)

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


@pytest.mark.parametrize("loss", ["margin", "log_cosine", "softmax"])
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


def test_a_memory_from_the_factory_is_a_fair_choice():
    samples, labels = stream(3, 100)
    labels = np.array(labels)
    memory = factory_memory(samples, labels, 3, 6, seed=4)
    assert memory.seen.tolist() == np.bincount(labels, minlength=3).tolist()
    for label, kept in enumerate(memory.slots):
        own = [sample.tobytes() for sample in samples[labels == label]]
        places = [own.index(sample.tobytes()) for sample in kept]
        assert len(places) == 6 and places == sorted(set(places))
    ours, theirs = both(make_spec(1, {"samples": 6}), memory=memory)
    assert_same(ours, theirs, samples[0])
    for sample in samples[:20]:  # far more were seen: few of these replace any
        assert ours.learn(sample, 1) == theirs.learn(sample, 1)
        assert ours.digest() == theirs.digest()
    assert ours.classes[1].seen == memory.seen[1] + 20


def test_the_memory_is_a_fair_choice_of_all_that_was_taught():
    """Each of 12 samples is among the 3 that are kept with a probability of 1 / 4."""
    samples = np.eye(12, INPUTS, dtype=np.int8)
    held = np.zeros(12)
    for seed in range(400):
        state, one = seed * 2654435761 % 2**32, ClassState(is_active=True)
        for sample in samples:
            state = keep(one, sample, 3, state)
        held += np.sum(one.slots, axis=0)[:12]
    assert held.sum() == 400 * 3
    assert np.abs(held / 400 - 0.25).max() < 0.08  # 3.7 standard deviations


def test_spare_classes_change_nothing_that_active_ones_compute():
    """A network with spares is, but for its table, the one without their rows."""
    with_spares, samples = make_plan(make_spec(2), INPUTS, 3), stream(3, 60)
    ours = IntegerNetwork.untrained(with_spares)
    fixed = IntegerNetwork.untrained(with_spares.inferring())
    for sample, label in zip(*samples, strict=True):
        assert ours.learn(sample, label) == fixed.learn(sample, label)
    for mine, other in zip(ours.layers, fixed.layers, strict=True):
        assert (mine.weights == other.weights).all()
    assert (ours.predict(samples[0]) == fixed.predict(samples[0])).all()


def arena_of(network):
    return bytes(network._ffi.buffer(network._arena))


@pytest.mark.parametrize("rehearsal", [{"samples": 3}, {"keep": "means"}])
def test_the_memory_of_a_forgotten_class_is_zero(rehearsal):
    """Not only unreachable: nothing of its samples is left in RAM."""
    _, theirs = both(make_spec(1, rehearsal))
    samples, _ = stream(3, 6)
    for label, sample in enumerate(samples[:3]):
        theirs.learn(sample, label)
    kept = samples[1].tobytes()
    if "keep" in rehearsal:
        kept = (samples[1].astype("<i2") * 256).tobytes()
    assert kept in arena_of(theirs)
    theirs.forget(1)
    assert kept not in arena_of(theirs)


def test_a_memory_of_means_has_no_size():
    with pytest.raises(ValueError, match="whatever the size"):
        make_spec(1, {"keep": "means", "samples": 3})


def test_embeddings_stay_where_they_are_when_a_class_appears():
    spec = make_spec(2)
    placed = placed_embeddings(spec, 3)
    assert [one.shape[0] for one in placed] == [5, 5]
    for known, every in zip(float_embeddings(spec, 3), placed, strict=True):
        assert (known == every[:3]).all()


def test_no_class_and_one_class():
    ours, theirs = both(make_spec(0, {"samples": 2}))
    samples, _ = stream(3, 6)
    for label in (0, 2):
        ours.forget(label)
        theirs.forget(label)
    assert ours.infer(samples[0])[-1].label == 1
    assert ours.infer(samples[0])[-1].margin == 0
    assert_same(ours, theirs, samples[0])
    for sample in samples:  # there is no class to keep away from
        assert ours.learn(sample, 1) == theirs.learn(sample, 1) == 1
    ours.forget(1)
    theirs.forget(1)
    said = ours.infer(samples[0])[-1]
    assert (said.label, said.cosine, said.margin) == (NO_CLASS, 0, 0)
    assert_same(ours, theirs, samples[0])
    assert ours.predict(samples).tolist() == [NO_CLASS] * 6
    assert ours.add_class() == theirs.add_class() == 0
    assert ours.learn(samples[1], 2) == theirs.learn(samples[1], 2)
    assert_same(ours, theirs, samples[2])


@pytest.mark.parametrize(
    "act",
    [
        lambda network: network.forget(4),
        lambda network: network.rehearse(1),
        lambda network: [network.add_class() for _ in range(3)],
    ],
)
def test_what_cannot_be_is_refused(act):
    ours, theirs = both(make_spec(2, {"samples": 2}))
    for network in (ours, theirs):
        with pytest.raises(ValueError):
            act(network)


@pytest.mark.parametrize("rehearsal", [{"samples": 2}, {"keep": "means"}])
def test_a_state_holds_the_table_and_the_memory(rehearsal):
    ours, _ = both(make_spec(2, rehearsal, unknown_by="cosine"))
    for sample, label in zip(*stream(5, 20), strict=True):
        ours.learn(sample, label)
    ours.forget(1)
    payload = write_payload(ours.plan, learned_state(ours))
    assert len(payload) <= payload_bytes(ours.plan)
    other = IntegerNetwork.untrained(ours.plan)
    restore(other, read_payload(ours.plan, payload))
    assert other.digest() == ours.digest()
    padding = [(SLOTS, 1 << 24)] + [(DEVIATIONS, 1 << 24)] * ("keep" in rehearsal)
    for tag, wrong in ((CLASS, 2), (LIMIT, 0), *padding):
        sections = list(split_sections(payload))
        first = next(i for i, one in enumerate(sections) if one.tag == tag)
        content = sections[first].content[:-4] + wrong.to_bytes(4, "little")
        sections[first] = replace(sections[first], content=content)
        bad = b"".join(one.to_bytes() for one in sections)
        with pytest.raises(UserError):
            read_payload(ours.plan, bad)
