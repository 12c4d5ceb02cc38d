"""Updates that are summed before they are rounded: the definition, and the C that equals it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_integer_network import LOSSES, assert_same_answers, make_spec, stream

from spela_mcu.fixed_point.arena import arena_bytes, pending_bytes
from spela_mcu.fixed_point.arithmetic import draw
from spela_mcu.fixed_point.layer_state import SCAN_INTERVAL
from spela_mcu.fixed_point.layout import padded
from spela_mcu.fixed_point.learning import PendingUpdate, apply
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.host.network import HostNetwork


def pair(batch, inputs=13, classes=3, **keys):
    """The same network in numpy and in C."""
    plan = make_plan(make_spec(batch=batch, **keys), inputs, classes)
    return IntegerNetwork.untrained(plan), HostNetwork(plan, None)


@given(
    batch=st.integers(1, 64),
    inputs=st.integers(1, 40),
    units=st.lists(st.integers(2, 30), min_size=1, max_size=4),
    loss=st.sampled_from(LOSSES),
    weights=st.sampled_from(["int8", "int16"]),
    rounding=st.sampled_from(["stochastic", "nearest"]),
    activation=st.sampled_from(["relu", "leaky_relu"]),
    learning_rate=st.floats(1e-4, 10),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_c_equals_numpy_for_any_batch(
    batch, inputs, units, loss, weights, rounding, activation, learning_rate, seed
):
    ours, theirs = pair(
        batch, inputs, 4, units=units, loss=loss, weights=weights, rounding=rounding,
        activation=activation, learning_rate=learning_rate, seed=seed,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    samples, labels = stream(inputs, 4, 150, seed, low=-128)
    samples[rng.random(150) < 0.2] = 0
    samples[:, rng.random(inputs) < 0.3] = 0
    for sample, label in zip(samples, labels, strict=True):
        assert ours.learn(sample, int(label)) == theirs.learn(sample, int(label))
        assert ours.digest() == theirs.digest()
        what = rng.integers(40)
        if what == 0:
            assert_same_answers(ours.infer(sample), theirs.infer(sample))
        elif what == 1:
            ours.flush()
            theirs.flush()
        assert ours.digest() == theirs.digest()


@pytest.mark.parametrize("batch", [2, 3, 8, 64])
def test_c_equals_numpy_through_halvings(batch):
    ours, theirs = pair(batch, 10, 4, units=(12, 8), loss="cosine", learning_rate=2.0)
    samples, labels = stream(10, 4, 3000, low=0)
    ours.partial_fit(samples, labels)
    theirs.partial_fit(samples, labels)
    assert min(state.halvings for state in ours.layers) >= 1
    assert ours.digest() == theirs.digest()


# What firmware in the field has computed since version 0.1.0: loss, batch, digest.
DIGESTS = {
    ("int8", "margin", 1): 0xD3F78212,
    ("int8", "cosine", 1): 0x0B4057AA,
    ("int8", "log_cosine", 1): 0xAA40DB11,
    ("int16", "margin", 1): 0xB9C21218,
    ("int16", "cosine", 1): 0x18D2A512,
    ("int16", "log_cosine", 1): 0xFBC8720E,
    ("int8", "margin", 8): 0x3FB0BA6D,
    ("int16", "log_cosine", 8): 0xBA1EE747,
}


@pytest.mark.parametrize(("weights", "loss", "batch"), DIGESTS)
def test_a_learned_state_stays_what_it_was(weights, loss, batch):
    keys = {"weights": weights, "loss": loss, "learning_rate": 2.0, "halve_rate_every": 100}
    networks = pair(batch, 13, 4, units=(17, 9), **keys)
    samples, labels = stream(13, 4, 600)
    for network in networks:
        network.partial_fit(samples, labels)
        assert network.digest() == DIGESTS[weights, loss, batch]


@pytest.mark.parametrize("kind", [0, 1])
def test_a_flush_that_reaches_the_scan_halves(kind):
    """Pending updates that bring a layer to its 256th are looked at as any others are."""
    network = pair(7, 10, 4, units=(12, 8), loss="cosine", learning_rate=2.0)[kind]
    samples, labels = stream(10, 4, SCAN_INTERVAL, low=0)
    network.partial_fit(samples[:-1], labels[:-1])
    halvings = (lambda: network.layers[0].halvings) if kind == 0 else lambda: network.halvings(0)
    network.partial_fit(samples[-1:], labels[-1:])
    assert halvings() == 0
    network.flush()
    assert halvings() == 1


def test_one_application_is_the_sum_rounded_once():
    """Against integers without a bound."""
    layer = make_plan(make_spec((5, 4)), 7, 3).layers[0]
    rng = np.random.default_rng(1)
    pending = [
        PendingUpdate(rng.integers(-128, 128, 7), rng.choice([-32768, 32767, 0], 5))
        for _ in range(64)
    ]
    before = rng.integers(-128, 128, (5, 7))
    noise = rng.integers(0, 1 << 16, 7)
    after = before.copy()
    apply(layer, after, pending, noise)
    for j in range(5):
        for i in range(7):
            total = sum(int(one.factors[j]) * int(one.inputs[i]) for one in pending)
            step = (total + int(noise[i])) // 2**16
            assert after[j, i] == min(max(int(before[j, i]) + step, -128), 127)


def test_the_dither_is_drawn_once_for_each_application():
    network, _ = pair(4, 13, 3, units=(17, 9), loss="cosine")
    samples, labels = stream(13, 3, 7)
    seed = network.plan.dither_seed
    network.partial_fit(samples[:3], labels[:3])
    assert network.dither_state == seed
    network.partial_fit(samples[3:], labels[3:])
    drawn = padded(13) + padded(17)
    assert network.dither_state == draw(seed, drawn)[1]
    network.flush()
    assert network.dither_state == draw(seed, 2 * drawn)[1]


@pytest.mark.parametrize("kind", [0, 1])
def test_a_batch_learns_with_the_weights_from_before_it(kind):
    network = pair(4, loss="cosine")[kind]
    samples, labels = stream(13, 3, 4)
    start = [network.weights(0) if kind else network.layers[0].weights.copy()]
    network.partial_fit(samples[:3], labels[:3])
    now = network.weights(0) if kind else network.layers[0].weights
    assert (now == start[0]).all()
    network.partial_fit(samples[3:], labels[3:])
    now = network.weights(0) if kind else network.layers[0].weights
    assert (now != start[0]).any()


@pytest.mark.parametrize("kind", [0, 1])
def test_what_is_taught_counts_for_the_next_inference(kind):
    waiting, flushed = (pair(64, loss="cosine")[kind] for _ in range(2))
    samples, labels = stream(13, 3, 10)
    for network in (waiting, flushed):
        network.partial_fit(samples, labels)
    flushed.flush()
    assert waiting.digest() != flushed.digest()
    assert_same_answers(waiting.infer(samples[0]), flushed.infer(samples[0]))
    assert waiting.digest() == flushed.digest()
    before = waiting.digest()
    waiting.flush()  # nothing is pending: nothing is drawn
    waiting.infer(samples[1])
    assert waiting.digest() == before


def test_early_exit_and_many_predictions_apply_what_is_pending():
    ours, theirs = pair(64, loss="cosine")
    samples, labels = stream(13, 3, 10)
    for network in (ours, theirs):
        network.partial_fit(samples, labels)
    ours.predict_exits(samples)
    theirs.infer_early(samples[0])
    assert ours.digest() == theirs.digest()


@pytest.mark.parametrize("kind", [0, 1])
def test_pending_updates_are_learned_state(kind):
    network = pair(8, loss="cosine")[kind]
    start = network.digest()
    samples, labels = stream(13, 3, 4)
    seen = [start]
    for sample, label in zip(samples, labels, strict=True):
        network.learn(sample, int(label))
        seen.append(network.digest())
    assert len(set(seen)) == 5
    network.reset()
    assert network.digest() == start
    network.partial_fit(samples, labels)
    assert network.digest() == seen[-1]


def test_every_input_and_multiplier_of_a_pending_update_is_in_the_digest():
    network, _ = pair(4, loss="cosine")
    sample, labels = stream(13, 3, 1)
    network.partial_fit(sample, labels)
    before = network.digest()
    for state in network.layers:
        for values in (state.pending[0].inputs, state.pending[0].factors):
            for index in range(len(values)):
                values[index] ^= 1
                assert network.digest() != before
                values[index] ^= 1
    assert network.digest() == before


def test_a_batch_of_one_has_nothing_pending():
    """Its arena and its digest are those of a network that knows no batches."""
    plan = make_plan(make_spec(), 13, 3)
    network = IntegerNetwork.untrained(plan)
    samples, labels = stream(13, 3, 5)
    network.partial_fit(samples, labels)
    assert plan.batch == 1
    assert pending_bytes(plan, inference_only=False) == 0
    assert all(state.pending == [] for state in network.layers)


@pytest.mark.parametrize("batch", [3, 7, 64])
def test_the_scan_counts_updates_however_they_are_applied(batch):
    network, _ = pair(batch, loss="cosine", learning_rate=1e-4)
    samples, labels = stream(13, 3, SCAN_INTERVAL + 70)
    network.partial_fit(samples, labels)
    applications = -(-SCAN_INTERVAL // batch)
    left = (SCAN_INTERVAL + 70) // batch - applications
    assert network.layers[0].updates == left * batch


@pytest.mark.parametrize("batch", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("weights", ["int8", "int16"])
def test_the_arena_is_exact(batch, weights, monkeypatch):
    plan = make_plan(make_spec((17, 2), batch=batch, weights=weights), 5, 3)
    size = arena_bytes(plan, inference_only=False)
    HostNetwork(plan, None)
    monkeypatch.setattr("spela_mcu.host.network.arena_bytes", lambda plan, inference_only: size - 8)
    with pytest.raises(ValueError, match="SPELA_ERROR_ARENA"):
        HostNetwork(plan, None)


def test_learning_only_takes_room_for_updates():
    plan = make_plan(make_spec(batch=8), 13, 3)
    alone = replace(plan, batch=1)
    assert arena_bytes(plan, inference_only=True) == arena_bytes(alone, inference_only=True)
    more = arena_bytes(plan, inference_only=False) - arena_bytes(alone, inference_only=False)
    assert more >= pending_bytes(plan, inference_only=False)


@pytest.mark.parametrize("batch", [0, 65])
def test_c_refuses_a_batch_out_of_range(batch):
    plan = make_plan(make_spec(), 13, 3)
    with pytest.raises(ValueError, match="SPELA_ERROR_MODEL"):
        HostNetwork(replace(plan, batch=batch), None)
