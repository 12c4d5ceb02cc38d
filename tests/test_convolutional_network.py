"""Networks with convolutions: numpy against a reading of the text."""

from typing import get_args

import numpy as np
import pytest
from convolutional import book_network, plan_of, stream

from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.host.network import HostNetwork
from spela_mcu.spec.learning import Format
from spela_mcu.spec.network import LOSSES

NETWORKS = {
    "picture": (
        (8, 9, 3),
        [
            {"kind": "convolution", "filters": 4, "kernel": 1, "pool": 1, "readout": 4},
            {"kind": "convolution", "filters": 6, "readout": 4, "grid": 2},
            {"kind": "convolution", "filters": 5, "pool": 1, "stride": 2, "readout": 8},
            {"units": 7},
        ],
    ),
    "signal": (
        (24, 1, 3),
        [
            {"kind": "convolution", "filters": 4, "kernel": 5, "pool": 2, "readout": 4},
            {"units": 6, "activation": "leaky_relu"},
            {"units": 5},
        ],
    ),
    "convolution alone": (
        (7, 7),
        [{"kind": "convolution", "filters": 3, "grid": 3, "readout": 5}],
    ),
}


@pytest.mark.parametrize("weights", get_args(Format))
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("shape", "layers"), NETWORKS.values(), ids=NETWORKS)
def test_equal_to_the_text(shape, layers, loss, weights):
    plan = plan_of(shape, layers, network={"loss": loss}, fixed_point={"weights": weights})
    network = IntegerNetwork.untrained(plan)
    book, chip = book_network(network), HostNetwork(plan, None)
    assert network.digest() == book.digest() == chip.digest()
    samples, labels = stream(shape, 25)
    for sample, label in zip(samples, labels, strict=True):
        assert network.learn(sample, label) == chip.learn(sample, label)
        book.learn(sample.tolist(), int(label))
        assert network.digest() == book.digest() == chip.digest()
    for sample in samples[:3]:
        answers = [
            [(one.label, one.cosine, one.margin, one.scores.tolist()) for one in net.infer(sample)]
            for net in (network, chip)
        ]
        assert answers[0] == answers[1] == book.infer(sample.tolist())
    labels = [[one.label for one in network.infer(sample)] for sample in samples]
    assert network.predict_exits(samples).T.tolist() == labels
    assert chip.predict_exits(samples).T.tolist() == labels


@pytest.mark.parametrize(
    ("name", "weights"),
    [("picture", "int8"), ("picture", "int12"), ("signal", "int8"), ("signal", "int16")],
)
def test_equal_when_weights_saturate_and_halve(name, weights):
    shape, layers = NETWORKS[name]
    learning = {"start": "untrained", "learning_rate": 4.0}
    network = IntegerNetwork.untrained(
        plan_of(shape, layers, learning=learning, fixed_point={"weights": weights})
    )
    book, chip = book_network(network), HostNetwork(network.plan, None)
    samples, labels = stream(shape, 520, noise=120)
    for sample, label in zip(samples, labels.tolist(), strict=True):
        network.learn(sample, label)
        chip.learn(sample, label)
        assert network.digest() == chip.digest()
        if network.samples <= 300:  # the text's reading is slow
            book.learn(sample.tolist(), label)
            assert network.digest() == book.digest()
    halvings = [state.halvings for state in network.layers]
    assert max(halvings[1:4:2]) > 0, "no read-out was halved"
    assert max(halvings[0:3:2]) > 0, "no filters were halved"


def test_it_learns():
    shape, layers = NETWORKS["picture"]
    network = IntegerNetwork.untrained(plan_of(shape, layers[1:]))  # the first is 1 x 1
    samples, labels = stream(shape, 300, noise=60)
    network.partial_fit(samples, labels)
    unseen, wanted = stream(shape, 100, seed=1, noise=60)
    for exit_ in range(len(network.plan.layers)):
        assert np.mean(network.predict(unseen, exit_) == wanted) > 0.85
