"""The float reference's update: autograd's gradient of the local loss, and what follows from it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spela_mcu.reference.network import FloatLayer, FloatNetwork
from spela_mcu.spec.network import LOSSES, Dense, Network

SLOPES = (0.0, 2.0**-7)


def unit_rows(rng, rows, width):
    vectors = rng.standard_normal((rows, width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def random_network(seed, widths=(9, 12, 7), classes=5, slope=0.0, dtype=np.float64, **attributes):
    """Random layers; widths are those of the input and of each layer."""
    rng = np.random.default_rng(seed)
    layers = tuple(
        FloatLayer(
            rng.standard_normal((units, inputs)).astype(dtype),
            unit_rows(rng, classes, units).astype(dtype),
            slope,
        )
        for inputs, units in pairwise(widths)
    )
    return FloatNetwork(layers, **attributes)


def random_batch(seed, n=20, inputs=9, classes=5):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, inputs)), rng.integers(0, classes, n)


def local_losses(network, x, y):
    """Each layer's mean local loss written down literally, and the weights as autograd leaves."""
    x, y = torch.tensor(x), torch.tensor(y)
    losses, weights = [], []
    for layer in network.layers:
        weight = torch.tensor(layer.weight, requires_grad=True)
        inputs = x / x.norm(dim=1, keepdim=True) if network.normalize_inputs else x
        h = torch.nn.functional.leaky_relu(inputs @ weight.T, layer.negative_slope)
        cosines = torch.nn.functional.cosine_similarity(
            h[:, None, :], torch.tensor(layer.embedding)[None], dim=2
        )
        of_label = cosines[torch.arange(len(y)), y]
        if network.loss == "cosine":
            loss = -of_label
        elif network.loss == "log_cosine":
            loss = torch.log(2 - of_label)
        elif network.loss == "softmax":
            loss = torch.nn.functional.cross_entropy(8 * cosines, y, reduction="none") / 8
            loss = loss * (torch.softmax(8 * cosines, 1)[torch.arange(len(y)), y] <= 63 / 64)
        else:
            label = torch.nn.functional.one_hot(y, cosines.shape[1]).bool()
            wrong = cosines.masked_fill(label, -torch.inf).max(dim=1).values
            loss = torch.clamp(network.margin - (of_label - wrong), min=0)
        losses.append(loss.mean())
        weights.append(weight)
        x = h.detach()
    return losses, weights


@pytest.mark.parametrize("normalize_inputs", [False, True])
@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_update_equals_autograd_of_the_local_loss(loss, slope, normalize_inputs):
    # Each layer's loss is summed into one backward pass: the detached activations keep every
    # gradient local, and each layer's input is the activation before any update.
    for seed in range(20):
        network = random_network(seed, slope=slope, loss=loss, normalize_inputs=normalize_inputs)
        x, y = random_batch(seed + 100)
        losses, weights = local_losses(network, x, y)
        torch.stack(losses).sum().backward()
        network.learn(x, y, 0.5)
        for layer, weight in zip(network.layers, weights, strict=True):
            expected = (weight - 0.5 * weight.grad).detach().numpy()
            # float64: the two sums are ordered differently, nothing else differs.
            np.testing.assert_allclose(layer.weight, expected, rtol=0, atol=1e-12)


def test_margin_loss_skips_exactly_the_samples_whose_margin_is_met():
    network = random_network(3, loss="margin", margin=0.1)
    x, y = random_batch(4, n=200)
    margins = []
    for cosines in network.forward(x):
        of_label = cosines[np.arange(len(y)), y]
        cosines[np.arange(len(y)), y] = -2
        margins.append(of_label - cosines.max(axis=1))
    learned = network.copy().learn(x, y, 0.1)
    np.testing.assert_array_equal(learned.updated, np.array(margins) < 0.1)
    assert learned.updated.any()
    assert not learned.updated.all()
    met = ~learned.updated.any(axis=0)
    before = [layer.weight.copy() for layer in network.layers]
    network.learn(x[met], y[met], 0.1)
    for layer, weight in zip(network.layers, before, strict=True):
        np.testing.assert_array_equal(layer.weight, weight)


def test_a_margin_met_to_the_bit_is_not_learned():
    weight, embedding = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)
    x, y = np.array([[1.0, 0.0]], dtype=np.float32), np.array([0])  # c_0 - c_1 = 1 exactly
    for margin, updated in ((1.0, False), (1.0 + 2.0**-23, True)):
        network = FloatNetwork((FloatLayer(weight.copy(), embedding),), "margin", margin)
        assert network.learn(x, y, 0.1).updated.item() is updated


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_is_the_mean_of_its_samples(loss):
    network = random_network(5, loss=loss)
    x, y = random_batch(6, n=8)
    start = [layer.weight.copy() for layer in network.layers]
    total = [np.zeros_like(weight) for weight in start]
    for row in range(len(y)):
        single = network.copy()
        single.learn(x[row : row + 1], y[row : row + 1], 0.3)
        for index, layer in enumerate(single.layers):
            total[index] += layer.weight - start[index]
    network.learn(x, y, 0.3)
    for layer, weight, change in zip(network.layers, start, total, strict=True):
        # Another order of summation in float64.
        np.testing.assert_allclose(layer.weight - weight, change / len(y), rtol=0, atol=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_online_is_batches_of_one(loss):
    online = random_network(7, loss=loss)
    single = online.copy()
    x, y = random_batch(8, n=50)
    rates = np.geomspace(1.0, 0.01, len(y))
    learned = online.learn_online(x, y, rates)
    for row, rate in enumerate(rates):
        step = single.learn(x[row : row + 1], y[row : row + 1], rate)
        np.testing.assert_array_equal(learned.predictions[:, row], step.predictions[:, 0])
        np.testing.assert_array_equal(learned.updated[:, row], step.updated[:, 0])
    for a, b in zip(online.layers, single.layers, strict=True):
        # Rows of a stream lie at other addresses than fresh arrays, and a vectorised sum may
        # begin elsewhere: the last bits may differ.
        np.testing.assert_allclose(a.weight, b.weight, rtol=1e-10, atol=1e-10)


@given(
    shift=st.integers(-20, 20),
    loss=st.sampled_from(LOSSES),
    slope=st.sampled_from(SLOPES),
    normalize_inputs=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_input_scale_cancels(shift, loss, slope, normalize_inputs, seed):
    """Scaling every input by one power of two changes no bit of prediction or update.

    A power of two, because float32 then rounds all intermediate results alike, so that equality
    is exact; that any other scale cancels as well is the same algebra plus rounding.
    """
    network = random_network(
        seed, slope=slope, loss=loss, normalize_inputs=normalize_inputs, dtype=np.float32
    )
    scaled = network.copy()
    x, y = random_batch(seed)
    x = x.astype(np.float32)
    for a, b in zip(network.forward(x), scaled.forward(x * 2.0**shift), strict=True):
        np.testing.assert_array_equal(a, b)
    network.learn(x, y, 0.1)
    scaled.learn(x * np.float32(2.0**shift), y, 0.1)
    for a, b in zip(network.layers, scaled.layers, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_activations_whose_squares_leave_float32_still_have_a_direction(scale):
    # In a deep network without normalised inputs, every layer multiplies the scale.
    network = random_network(26, dtype=np.float32)
    x = random_batch(27)[0].astype(np.float32)
    for a, b in zip(network.forward(x), network.forward(x * np.float32(scale)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)  # float32 rounding, no power of two


def test_overflow_is_no_prediction():
    network = random_network(28, dtype=np.float32)
    x = random_batch(29)[0].astype(np.float32)
    for layer in network.layers:
        layer.weight[:] *= np.float32(1e25)
    for samples in (x, np.full_like(x, np.nan)):
        with pytest.raises(FloatingPointError):
            network.predict(samples)
    replace(network, normalize_inputs=True).predict(x)  # keeps every layer's input at length 1


@pytest.mark.parametrize("loss", LOSSES)
def test_the_scale_of_each_sample_cancels(loss):
    network = random_network(9, loss=loss)
    scaled = network.copy()
    x, y = random_batch(10)
    scales = np.random.default_rng(11).uniform(0.01, 100, (len(y), 1))
    network.learn(x, y, 0.2)
    scaled.learn(x * scales, y, 0.2)
    for a, b in zip(network.layers, scaled.layers, strict=True):
        np.testing.assert_allclose(a.weight, b.weight, rtol=0, atol=1e-12)  # float64 rounding


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_normalized_inputs_change_nothing_but_rounding(loss, slope):
    plain = random_network(12, slope=slope, loss=loss)
    normalized = replace(plain.copy(), normalize_inputs=True)
    x, y = random_batch(13, n=300)
    for start in range(0, len(y), 10):
        rows = slice(start, start + 10)
        a, b = plain.learn(x[rows], y[rows], 0.5), normalized.learn(x[rows], y[rows], 0.5)
        np.testing.assert_array_equal(a.predictions, b.predictions)
    for a, b in zip(plain.layers, normalized.layers, strict=True):
        np.testing.assert_allclose(a.weight, b.weight, rtol=0, atol=1e-9)  # 30 steps' rounding


def test_halving_a_layer_changes_no_prediction_and_quadruples_its_rate():
    network = random_network(14, loss="margin", dtype=np.float32)
    halved = network.copy()
    halved.layers[0].weight[:] /= 2
    x, y = random_batch(15)
    x = x.astype(np.float32)
    for a, b in zip(network.forward(x), halved.forward(x), strict=True):
        np.testing.assert_array_equal(a, b)
    network.learn(x, y, 0.4)
    halved.learn(x, y, 0.1)  # a quarter of the rate: half the change, on half the weights
    np.testing.assert_array_equal(network.layers[0].weight, 2 * halved.layers[0].weight)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_is_orthogonal_to_the_weights_so_they_only_grow(loss, slope):
    network = random_network(16, slope=slope, loss=loss)
    x, y = random_batch(17)
    before = [layer.weight.copy() for layer in network.layers]
    network.learn(x, y, 0.5)
    for layer, weight in zip(network.layers, before, strict=True):
        step = layer.weight - weight
        assert abs(np.vdot(step, weight)) < 1e-12 * np.linalg.norm(weight)  # float64 rounding
        assert np.linalg.norm(layer.weight) > np.linalg.norm(weight)


@pytest.mark.parametrize("normalize_inputs", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_silent_layer_has_cosine_zero_and_learns_nothing(loss, normalize_inputs):
    network = random_network(18, loss=loss, normalize_inputs=normalize_inputs)
    network.layers[0].weight[:] = -np.abs(network.layers[0].weight)
    x = np.abs(random_batch(19)[0])
    y = np.arange(len(x)) % 5
    before = [layer.weight.copy() for layer in network.layers]
    for samples in (x, np.zeros_like(x)):
        assert all(not cosines.any() for cosines in network.forward(samples))
        learned = network.learn(samples, y, 1.0)
        assert not learned.updated.any()
        assert not learned.predictions.any()
    for layer, weight in zip(network.layers, before, strict=True):
        np.testing.assert_array_equal(layer.weight, weight)


def test_predictions_are_the_largest_cosine_and_made_before_the_update():
    network = random_network(20)
    x, y = random_batch(21, n=5000)  # more than one chunk of the forward pass
    predictions = network.predict(x)
    expected = [cosines.argmax(axis=1) for cosines in network.forward(x)]
    np.testing.assert_array_equal(predictions, expected)
    assert predictions.dtype == np.int64
    assert network.accuracy(x, y) == tuple((predictions == y).mean(axis=1))
    np.testing.assert_array_equal(network.learn(x, y, 0.1).predictions, predictions)


def test_a_copy_learns_by_itself():
    network = random_network(22)
    x, y = random_batch(23)
    before = network.forward(x)
    network.copy().learn(x, y, 1.0)
    for a, b in zip(before, network.forward(x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_untrained_weights_are_seeded_and_uniform():
    section = Network(
        layers=(Dense(units=64), Dense(units=40, activation="leaky_relu", negative_slope=0.25)),
        loss="cosine",
        margin=0.7,
        normalize_inputs=True,
        seed=5,
    )
    rng = np.random.default_rng(0)
    embeddings = [unit_rows(rng, 10, 64), unit_rows(rng, 10, 40)]
    network = FloatNetwork.untrained(section, 100, 10, embeddings)
    assert (network.inputs, network.classes) == (100, 10)
    assert (network.loss, network.margin, network.normalize_inputs) == ("cosine", 0.7, True)
    assert [layer.negative_slope for layer in network.layers] == [0.0, 0.25]
    for layer, inputs in zip(network.layers, (100, 64), strict=True):
        bound = np.sqrt(6 / inputs)
        assert layer.weight.dtype == np.float32
        assert np.abs(layer.weight).max() <= bound
        # Thousands of draws: mean and spread lie within 5 % of the uniform distribution's.
        assert abs(layer.weight.mean()) < 0.05 * bound
        assert layer.weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
    again = FloatNetwork.untrained(section, 100, 10, embeddings)
    other = FloatNetwork.untrained(section.model_copy(update={"seed": 6}), 100, 10, embeddings)
    np.testing.assert_array_equal(network.layers[1].weight, again.layers[1].weight)
    assert not np.array_equal(network.layers[0].weight, other.layers[0].weight)


def test_what_does_not_fit_is_refused_and_changes_nothing():
    network = random_network(24)
    x, y = random_batch(25)
    before = network.layers[0].weight.copy()
    bad_label = y.copy()
    bad_label[-1] = 5
    refused = [
        lambda: network.forward(x[:, :-1]),
        lambda: network.forward(x[0]),
        lambda: network.accuracy(x[:0], y[:0]),
        lambda: network.learn(x, y[:-1], 0.1),
        lambda: network.learn(x, bad_label, 0.1),
        lambda: network.learn(x, y - y.max() - 1, 0.1),
        lambda: network.learn_online(x, y, np.ones(len(y) - 1)),
        lambda: network.learn_online(x, bad_label, np.ones(len(y))),
        lambda: FloatNetwork(()),
        lambda: FloatNetwork(network.layers[::-1]),
        lambda: FloatLayer(np.zeros((4, 3)), np.zeros((2, 5))),
        lambda: FloatLayer(np.zeros((4, 3)), np.zeros((2, 4), np.float32)),
        lambda: FloatLayer(np.zeros(4), np.zeros((2, 4))),
        lambda: FloatNetwork.untrained(Network(layers=(Dense(units=4),)), 3, 2, []),
    ]
    for call in refused:
        with pytest.raises(ValueError, match=r"."):
            call()
    np.testing.assert_array_equal(network.layers[0].weight, before)
