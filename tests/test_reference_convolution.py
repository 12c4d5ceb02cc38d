"""Convolutions in the float reference: against autograd, and as an integer network's twin."""

import numpy as np
import pytest
import torch
from convolutional import CLASSES, plan_of, spec_of, stream
from torch.nn import functional

from spela_mcu.errors import UserError
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import float_embeddings
from spela_mcu.reference.filters import FloatFilters
from spela_mcu.reference.local_loss import LEARNED
from spela_mcu.reference.network import FloatLayer, FloatNetwork
from spela_mcu.reference.storage import load_network, save_network
from spela_mcu.spec.network import LOSSES

PICTURE = (
    (9, 8, 3),
    [
        {"kind": "convolution", "filters": 6, "readout": 4, "grid": 2},
        {"kind": "convolution", "filters": 5, "pool": 1, "stride": 2, "kernel": 5, "readout": 8},
        {"units": 7},
    ],
)
SIGNAL = (
    (24, 1, 3),
    [{"kind": "convolution", "filters": 4, "kernel": 5, "readout": 4, "grid": 3}, {"units": 6}],
)
LEARNING = {"start": "untrained", "learning_rate": 0.05}


def network_of(shape, layers, loss="margin", margin=1.0):
    spec = spec_of(shape, layers, network={"loss": loss, "margin": margin})
    inputs = int(np.prod(shape))
    return FloatNetwork.untrained(spec.network, inputs, CLASSES, float_embeddings(spec, CLASSES))


def in_float64(network):
    """The same network in float64."""
    layers = []
    for layer in network.layers:
        filters = layer.filters
        if filters is not None:
            filters = FloatFilters(filters.weight.astype(np.float64), filters.window)
        weight, embedding = layer.weight.astype(np.float64), layer.embedding.astype(np.float64)
        layers.append(FloatLayer(weight, embedding, layer.negative_slope, filters))
    return FloatNetwork(tuple(layers), network.loss, network.margin)


def slopes_by_autograd(network, x, y):
    """Of each exit's own mean loss along its own weights; convolutions written out once more."""
    values, found = torch.tensor(x), []
    labels = torch.tensor(y)
    for layer in network.layers:
        weight = torch.tensor(layer.weight, requires_grad=True)
        own, values = [weight], values.detach()
        if layer.filters is None:
            values = functional.relu(values @ weight.T)
            activation = values
        else:
            window = layer.filters.window
            filters = torch.tensor(layer.filters.weight, requires_grad=True)
            own.insert(0, filters)
            kernel = filters.reshape(window.filters, *window.kernel, window.map.channels)
            maps = values.reshape(-1, *window.map).permute(0, 3, 1, 2)
            around = [(side - 1) // 2 for side in window.kernel]
            sums = functional.conv2d(
                maps, kernel.permute(0, 3, 1, 2), stride=tuple(window.stride), padding=around
            )
            pooled = functional.max_pool2d(functional.relu(sums), tuple(window.pool))
            values = pooled.permute(0, 2, 3, 1).flatten(1)
            rows, columns = pooled.shape[2:]
            cells = torch.zeros(len(x), *window.grid, window.filters, dtype=torch.float64)
            for row in range(rows):
                for column in range(columns):
                    cell = row * window.grid.rows // rows, column * window.grid.columns // columns
                    cells[:, cell[0], cell[1]] += pooled[:, :, row, column]
            activation = cells.flatten(1) @ weight.T
        cosines = functional.normalize(activation, dim=1) @ torch.tensor(layer.embedding).T
        label = cosines.gather(1, labels[:, None])[:, 0]
        if network.loss == "margin":
            others = cosines.scatter(1, labels[:, None], -2.0).amax(dim=1)
            loss = functional.relu(network.margin - (label - others)).mean()
        elif network.loss == "softmax":
            loss = functional.cross_entropy(8 * cosines, labels, reduction="none") / 8
            shares = torch.softmax(8 * cosines, dim=1).gather(1, labels[:, None])[:, 0]
            loss = (loss * (1 - shares >= LEARNED)).mean()
        else:
            loss = {"cosine": -label, "log_cosine": torch.log(2 - label)}[network.loss].mean()
        found += [slope.numpy() for slope in torch.autograd.grad(loss, own)]
    return found


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("network", [PICTURE, SIGNAL], ids=["picture", "signal"])
def test_a_step_goes_down_each_own_loss(network, loss):
    shape, layers = network
    learner = in_float64(network_of(shape, layers, loss))
    samples, labels = stream(shape, 5)
    x = samples / 127
    before = [matrix.copy() for matrix in learner.matrices]
    slopes = slopes_by_autograd(learner, x, labels)
    learner.learn(x, labels, 0.5)
    for matrix, start, slope in zip(learner.matrices, before, slopes, strict=True):
        assert np.abs(slope).max() > 0
        np.testing.assert_allclose(matrix - start, -0.5 * slope, rtol=1e-9, atol=1e-12)


def test_the_twin_of_an_integer_network():
    """From the same weights: alike at first within int8's resolution, and both learn."""
    shape, layers = PICTURE
    plan = plan_of(shape, layers, learning=LEARNING, network={"margin": 0.3})
    chip, twin = IntegerNetwork.untrained(plan), network_of(shape, layers, margin=0.3)
    for matrix, formats, weights in zip(twin.matrices, plan.matrices, chip.initial, strict=True):
        matrix[:] = weights / formats.weight_scale
    samples, labels = stream(shape, 200, noise=60)
    x = samples.astype(np.float32) / 127
    for sample, cosines in zip(samples[:20], np.stack(twin.forward(x[:20]), axis=1), strict=True):
        for answer, own in zip(chip.infer(sample), cosines, strict=True):
            assert abs(answer.cosine / 2**14 - own[answer.label]) < 0.05
    chip.partial_fit(samples, labels)
    twin.learn_online(x, labels, np.full(len(x), LEARNING["learning_rate"]))
    unseen, wanted = stream(shape, 100, seed=1, noise=60)
    for exit_ in range(3):
        assert np.mean(chip.predict(unseen, exit_) == wanted) > 0.8
    assert min(twin.accuracy(unseen.astype(np.float32) / 127, wanted)) > 0.8


def test_saved_and_copied(tmp_path):
    network = network_of(*PICTURE)
    samples, labels = stream(PICTURE[0], 10)
    x = samples.astype(np.float32) / 127
    copy = network.copy()
    save_network(tmp_path / "network.npz", network)
    found = load_network(tmp_path / "network.npz")
    assert found.has_form_of(network)
    assert not found.has_form_of(network_of(PICTURE[0], PICTURE[1][::2]))
    network.learn(x, labels, 1.0)
    for one in (copy, found):
        for before, after in zip(one.matrices, network.matrices, strict=True):
            assert not np.array_equal(before, after)
    for left, right in zip(found.forward(x), copy.forward(x), strict=True):
        assert np.array_equal(left, right)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("window_0", np.zeros(12, np.int64)),
        ("window_0", np.array([9, 8, 3, 6, 3, 3, 1, 1, 20, 20, 2, 2])),
        ("window_0", np.array([9, 8])),
        ("filters_0", np.zeros((6, 27))),
        ("filters_0", np.full((6, 27), np.nan, np.float32)),
        ("filters_0", np.zeros((6, 26), np.float32)),
    ],
)
def test_a_damaged_convolution_is_refused(tmp_path, member, value):
    path = tmp_path / "network.npz"
    save_network(path, network_of(*PICTURE))
    with np.load(path) as arrays:
        members = dict(arrays)
    members[member] = value
    np.savez(path, **members)
    with pytest.raises(UserError, match="damaged"):
        load_network(path)


def test_parts_that_do_not_fit():
    layer = network_of(*PICTURE).layers[0]
    with pytest.raises(ValueError, match="filters must be"):
        FloatFilters(layer.filters.weight[:, 1:], layer.filters.window)
    with pytest.raises(ValueError, match="linear"):
        FloatLayer(layer.weight, layer.embedding, 0.0, layer.filters)
    with pytest.raises(ValueError, match="cells"):
        FloatLayer(layer.weight[:, 1:], layer.embedding, 1.0, layer.filters)
