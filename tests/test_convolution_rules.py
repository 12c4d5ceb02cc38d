"""The float rules for convolutions: each learns, and only backpropagation lets layers talk."""

import numpy as np
import pytest
import torch

from experiments.convolution import ConvolutionalNetwork, learn, shares, untrained
from spela_mcu.data.dataset import Split

SHAPE = (8, 8, 1)
RULES = {
    "projection": ("margin", 1.0),
    "linear": ("softmax", 0.3),
    "none": ("softmax", 0.5),
    "whole": ("log_cosine", 2.0),
    "backprop": ("softmax", 0.2),
}


def network_of(rule):
    network = ConvolutionalNetwork(rule, RULES[rule][0], grid=2, margin=0.2)
    return untrained(network, SHAPE, 3, [(8, 2), (8, 1)], units=6, seed=0)


def pictures(count, seed):
    """A bar in one of three directions, anywhere, under noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.2, (count, *SHAPE[:2])).astype(np.float32)
    y = rng.integers(0, 3, count)
    for picture, label, place in zip(x, y, rng.integers(2, 6, count), strict=True):
        if label == 0:
            picture[place] += 1
        elif label == 1:
            picture[:, place] += 1
        else:
            picture[np.arange(8), np.arange(8)] += 1
    return Split(x.reshape(count, -1), y)


@pytest.mark.parametrize("rule", RULES)
def test_it_learns(rule):
    network = network_of(rule)
    train, test = pictures(400, 0), pictures(200, 1)
    learn(network, train, SHAPE, epochs=6, batch=8, rate=RULES[rule][1], seed=0)
    assert shares(network, test, SHAPE)["last exit"] > 80


@pytest.mark.parametrize("rule", RULES)
def test_nothing_flows_between_layers(rule):
    network = network_of(rule)
    scores = network.forward(torch.randn(4, 1, 8, 8))
    last = network.local_loss(scores[-1], torch.tensor([0, 1, 2, 0]))
    first, own = (stage.filters for stage in network.stages)
    slopes = torch.autograd.grad(last, (first, own), allow_unused=True)
    assert slopes[1].abs().max() > 0
    assert (slopes[0] is None) == (rule != "backprop")
