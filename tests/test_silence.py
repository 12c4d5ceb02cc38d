"""Layers and units without an activation: counted, and told."""

import numpy as np
from test_integer_network import make_spec, stream

from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.proof.silence import LayerSilence, silence, silence_warnings


def network_of(*weights, activation="relu"):
    """A network that starts from these weights."""
    units = tuple(len(matrix) for matrix in weights)
    plan = make_plan(make_spec(units, activation=activation), len(weights[0][0]), 3)
    return IntegerNetwork(plan, tuple(np.array(matrix) for matrix in weights))


DEAF = np.array([[-50, -50], [-20, -90]])  # units that no positive input moves


def test_a_layer_that_nothing_reaches():
    first = np.array([[100, 0], [0, 100], [-3, -4]])
    network = network_of(first, np.hstack([DEAF, [[0], [0]]]))
    samples = np.abs(stream(2, 3, 20, low=1)[0])
    assert silence(network, samples) == (LayerSilence(3, 1, 0.0), LayerSilence(2, 2, 1.0))
    (told,) = silence_warnings(silence(network, samples))
    assert told.startswith(
        "layer 1 has no activation for 100% of the test samples, and 2 of its 2 units have none"
    )


def test_half_of_the_samples():
    """One layer whose units all look the same way: samples of the other sign are lost on it."""
    network = network_of(np.array([[100, 0], [50, 0]]))
    samples = np.array([[100, 3], [-100, 3]] * 8, np.int8)
    assert silence(network, samples) == (LayerSilence(2, 0, 0.5),)
    assert len(silence_warnings(silence(network, samples))) == 1


def test_leaky_units_are_not_silent():
    network = network_of(DEAF, activation="leaky_relu")
    samples = np.abs(stream(2, 3, 20, low=1)[0])
    assert silence(network, samples) == (LayerSilence(2, 0, 0.0),)
    assert silence_warnings(silence(network, samples)) == ()


def test_a_constant_is_among_the_inputs():
    spec = make_spec((2,), bias=True)
    network = IntegerNetwork(make_plan(spec, 1, 3), (np.array([[0, 100], [100, -127]]),))
    assert silence(network, np.array([[0], [-5]], np.int8)) == (LayerSilence(2, 1, 0.0),)
