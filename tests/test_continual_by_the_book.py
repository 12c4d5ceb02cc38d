"""Classes that come and go: numpy and C against a third reading of docs/arithmetic-continual.md."""

from dataclasses import replace

import numpy as np
import pytest
from continual_by_the_book import ContinualNetwork
from test_by_the_book import by_book
from test_continual import INPUTS, make_spec, stream
from toy import with_thresholds

from spela_mcu.fixed_point.continual import factory_memory
from spela_mcu.fixed_point.means import factory_means
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.host.network import HostNetwork

KNOWN = 3
STEPS = 25
MEANS, SAMPLES = {"keep": "means", "ratio": 2}, {"samples": 3, "ratio": 2}


def read_from_the_text(network):
    """The same network once more."""
    plan, continual = network.plan, network.plan.continual
    plain = by_book(network)
    unknown, memory = continual.unknown, continual.memory
    start = None
    if memory is not None:
        slots = [kept.astype(int).tolist() for kept in memory.slots]
        d = [0] * plan.inputs if memory.deviation is None else memory.deviation.tolist()
        start = memory.seen.tolist(), slots, d
    return ContinualNetwork(**vars(plain)).begin(
        plan.classes,
        continual.known,
        plan.inputs,
        continual.keeps,
        continual.capacity,
        continual.ratio,
        None if unknown is None else (unknown.by, unknown.limits, unknown.rise),
        start,
    )


@pytest.mark.parametrize(
    ("rehearsal", "loss", "unknown_by", "is_trained"),
    [
        (MEANS, "margin", "margin", False),
        (MEANS, "softmax", None, True),
        (SAMPLES, "log_cosine", "cosine", False),
        (SAMPLES, "margin", None, True),
        (None, "margin", "margin", False),
    ],
)
def test_three_readings_agree(rehearsal, loss, unknown_by, is_trained):
    spec = make_spec(2, rehearsal, loss=loss, unknown_by=unknown_by, batch=1 + 2 * is_trained)
    plan = with_thresholds(make_plan(spec, INPUTS, KNOWN), ((1500, 0), (0, 0)))
    samples, labels = stream(5, STEPS)
    if is_trained:
        before = stream(KNOWN, 30, seed=1)
        given = before[0], np.array(before[1]), KNOWN
        means = plan.continual.keeps_means
        memory = factory_means(*given) if means else factory_memory(*given, 3, seed=0)
        plan = replace(plan, continual=replace(plan.continual, memory=memory))
    ours, theirs = IntegerNetwork.untrained(plan), HostNetwork(plan, None)
    book = read_from_the_text(ours)
    assert ours.digest() == theirs.digest() == book.digest()
    for step, (sample, label) in enumerate(zip(samples, labels, strict=True)):
        values = sample.tolist()
        assert ours.learn(sample, label) == theirs.learn(sample, label) == book.learn(values, label)
        assert ours.digest() == theirs.digest() == book.digest()
        if step % 15 == 9:
            gone = np.flatnonzero(ours.active).tolist()[step % 4]
            for network in (ours, theirs, book):
                network.forget(gone)
            assert ours.digest() == theirs.digest() == book.digest()
            said = [one[:3] for one in book.infer(values)]
            for network in (ours, theirs):
                assert [
                    (one.label, one.cosine, one.margin) for one in network.infer(sample)
                ] == said
    assert ours.samples == STEPS
