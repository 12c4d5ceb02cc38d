"""Taps: layers on inputs of their own, in numpy and C."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_integer_network import make_spec, stream
from toy import with_thresholds

from spela_mcu.fixed_point.early_exit import infer_early
from spela_mcu.fixed_point.layer import LAYER_TAP
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.host.network import HostNetwork


def tapped(units, taps, inputs, classes=3, **keys):
    spec = make_spec(units, **keys)
    network = spec.network.model_copy(update={"exits_at": ("first", "second")[: len(taps)]})
    spec = spec.model_copy(update={"network": network})
    return make_plan(spec, sum(taps) + inputs, classes, taps=taps)


def alone(plan, index):
    """The plan of a tap, as a network of one dense layer; or of all layers behind the taps."""
    if index == plan.taps:
        return replace(plan, layers=plan.layers[index:])
    return replace(plan, layers=(replace(plan.layers[index], kind=0),))


@settings(max_examples=25)
@given(
    units=st.lists(st.integers(2, 20), min_size=1, max_size=3),
    taps=st.lists(st.integers(1, 40), min_size=1, max_size=2),
    inputs=st.integers(1, 40),
    weights=st.sampled_from(["int8", "int16"]),
    batch=st.sampled_from([1, 3]),
    margins=st.lists(st.sampled_from([0, 1, 3000]), min_size=5, max_size=5),
)
def test_c_equals_numpy(units, taps, inputs, weights, batch, margins):
    plan = tapped(units, taps, inputs, weights=weights, batch=batch)
    plan = with_thresholds(plan, [(one, 0) for one in margins[: len(plan.layers)]])
    reference, host = IntegerNetwork.untrained(plan), HostNetwork(plan, None)
    samples, labels = stream(plan.inputs, 3, 12, inputs, low=-128)
    for sample, label in zip(samples, labels, strict=True):
        assert host.learn(sample, label) == reference.learn(sample, label)
        assert host.digest() == reference.digest()
    for sample in samples:
        for theirs, ours in zip(host.infer(sample), reference.infer(sample), strict=True):
            assert theirs.label == ours.label
            assert np.array_equal(theirs.scores, ours.scores)
        assert host.infer_early(sample) == infer_early(reference, sample)
    assert np.array_equal(host.predict_exits(samples), reference.predict_exits(samples))


def test_each_tap_is_a_network_by_itself():
    """With rounding to nearest, which no other layer moves, all learn as if they were alone."""
    plan = tapped((9, 6), (7, 5), 11, rounding="nearest")
    assert [layer.kind for layer in plan.layers] == [LAYER_TAP, LAYER_TAP, 0, 0]
    assert [layer.units for layer in plan.layers] == [9, 9, 9, 6]
    samples, labels = stream(plan.inputs, 3, 40, 1, low=-128)
    whole = IntegerNetwork.untrained(plan).partial_fit(samples, labels)
    parts = [
        IntegerNetwork(alone(plan, index), initial).partial_fit(samples[:, part], labels)
        for index, part, initial in zip(
            range(3),
            (slice(0, 7), slice(7, 12), slice(12, 23)),
            (whole.initial[:1], whole.initial[1:2], whole.initial[2:]),
            strict=True,
        )
    ]
    weights = [state.weights for part in parts for state in part.layers]
    for state, expected in zip(whole.layers, weights, strict=True):
        assert np.array_equal(state.weights, expected)
    assert any(
        (state.weights != at).any() for state, at in zip(whole.layers, whole.initial, strict=True)
    )


@pytest.mark.parametrize("taps", [(4,), (4, 3)])
def test_the_last_exit_does_without_taps(taps):
    plan = tapped((9, 6), taps, 11)
    assert plan.macs == 11 * 9 + 9 * 6 + 6 * 3
    assert [layer.exit_macs for layer in plan.layers[: len(taps)]] == [
        inputs * 9 + 9 * 3 for inputs in taps
    ]
