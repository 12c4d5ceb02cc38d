"""What studies of convolutions vary: mirrored pictures, bits of filters, the paper's network."""

import numpy as np
import pytest
import torch
from convolutional import CLASSES, plan_of, stream
from PIL import Image

from experiments import paper_convolution
from experiments.learning import Stream, learn, prepared, with_filter_bits
from experiments.paper_convolution import PaperNetwork, paper_rule
from experiments.rounding import rounding
from experiments.tasks import Task
from spela_mcu.data.dataset import quantize_inputs
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.host.network import HostNetwork

SHAPE = (9, 8, 2)
LAYERS = [
    {"kind": "convolution", "filters": 5},
    {"kind": "convolution", "filters": 6, "pool": 1},
]
MODEL = """
name: bars
data:
  source: images
  path: pictures
  size: [16, 16]
  scaling: centred
network:
  layers:
    - {kind: convolution, filters: 6}
    - {kind: convolution, filters: 8}
  margin: 0.2
learning:
  start: untrained
  epochs: 3
  halve_rate_every: 100
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Three classes of pictures: bars across, bars down, and rising ones that look one way."""
    home = tmp_path_factory.mktemp("bars")
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 20)):
        for label in range(CLASSES):
            for number in range(count):
                pixels = rng.integers(0, 60, (16, 16, 3))
                at = rng.integers(2, 14)
                if label == 0:
                    pixels[at] += 180
                elif label == 1:
                    pixels[:, at] += 180
                else:
                    pixels[np.arange(16), np.arange(16)] += 180
                file = home / "pictures" / part / f"class {label}" / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(file)
    (home / "model.yaml").write_text(MODEL)
    return home / "model.yaml"


def task(model, settings=None, **options):
    return Task("bars", "row", "learn", str(model), "", settings or {}, options, 1)


@pytest.mark.parametrize("weights", ["int8", "int16"])
def test_the_chip_and_numpy_agree_on_mirrored_pictures(model, weights):
    one = task(model, {"fixed_point.weights": weights}, by="chip", mirror=True)
    spec, dataset = prepared(one)
    network = IntegerNetwork.untrained(make_plan(spec, dataset.inputs, dataset.classes))
    twin = HostNetwork(network.plan, None)
    for x, y in Stream(dataset, spec.learning.epochs, 1, mirror=True):
        network.partial_fit(quantize_inputs(x), y)
        twin.partial_fit(quantize_inputs(x), y)
    assert twin.digest() == network.digest()
    labels = network.predict_exits(quantize_inputs(dataset.test.x))
    right = 100 * (labels == dataset.test.y).mean(axis=1)
    found = learn(one)
    assert list(found) == ["exit 0", "last exit"]
    assert list(found.values()) == pytest.approx(right.tolist())
    assert found["last exit"] > 60  # a third by chance


def test_float_learns_alike(model):
    found = learn(task(model, by="float", mirror=True))
    assert list(found) == ["exit 0", "last exit"]
    assert found["last exit"] > 60


def test_half_of_the_pictures_are_mirrored(model):
    _, dataset = prepared(task(model))
    zero = dataset.scaling.offset * dataset.scaling.scale
    ((plain, labels),) = Stream(dataset, 1, seed=0)
    ((mirrored, same),) = Stream(dataset, 1, seed=0, mirror=True)
    assert np.array_equal(labels, same)
    before = (plain + zero).reshape(-1, 16, 16, 3)
    after = (mirrored + zero).reshape(-1, 16, 16, 3)
    as_they_were = np.isclose(after, before, atol=1e-6).all(axis=(1, 2, 3))
    turned = np.isclose(after, before[:, :, ::-1], atol=1e-6).all(axis=(1, 2, 3))
    assert (as_they_were | turned).all()
    assert 0.3 < turned.mean() < 0.7


def test_fewer_bits_of_filters_change_the_rounding_alone():
    int16 = plan_of(SHAPE, LAYERS, fixed_point={"weights": "int16"})
    of_eight = with_filter_bits(int16, [8, 8])
    int8 = plan_of(SHAPE, LAYERS, fixed_point={"weights": "int8"})
    samples, labels = stream(SHAPE, 60)
    networks = [HostNetwork(plan, None) for plan in (int8, of_eight)]
    for network in networks:
        network.partial_fit(samples, labels)
    for index in range(len(int8.matrices)):
        learned = [network.weights(index) for network in networks]
        assert np.array_equal(*learned)

    mixed = IntegerNetwork.untrained(with_filter_bits(int16, [12, 8]))
    assert [m.weight_bits for m in mixed.plan.matrices] == [12, 8, 8, 8]
    twin = HostNetwork(mixed.plan, None)
    mixed.partial_fit(samples, labels)
    twin.partial_fit(samples, labels)
    assert twin.digest() == mixed.digest()


def test_rounding_is_measured(model):
    settings = {"fixed_point.weights": "int16", "network.loss": "softmax"}
    coarse, fine = (
        rounding(task(model, settings, learned=0.5, filter_bits=[bits] * 2)) for bits in (8, 12)
    )
    assert list(coarse) == [
        f"{what} {layer}" for layer in (0, 1) for what in ("update", "rounding", "weights")
    ]
    for layer in (0, 1):
        assert fine[f"update {layer}"] > 4 * coarse[f"update {layer}"] > 0
        assert coarse[f"rounding {layer}"] > 4 * fine[f"rounding {layer}"]
        assert 10 < coarse[f"weights {layer}"] < 100


@pytest.fixture
def small(monkeypatch):
    """The paper's network, with fewer channels and smaller maps."""
    for name, value in (("SIDE", 16), ("CHANNELS", 6), ("UNITS", 12), ("BATCH", 20)):
        monkeypatch.setattr(paper_convolution, name, value)
    monkeypatch.setattr(paper_convolution, "RATE", 0.02)


def test_the_papers_network_learns(small, model):
    found = paper_rule(task(model, epochs=[3, 12]))
    assert list(found) == ["exit 0", "exit 1", "last exit"]
    assert found["exit 0"] > 50
    assert found["last exit"] > 50


def test_the_papers_layers_learn_by_themselves(small):
    network = PaperNetwork.untrained(3, 10, seed=0)
    first, second = network.convolutions
    x, y = torch.randn(20, 3, 16, 16), torch.arange(20) % 10
    before = [parameter.clone() for parameter in first.parameters()]
    second.learn(first.map(x).detach(), y)
    assert all(torch.equal(*pair) for pair in zip(before, first.parameters(), strict=True))
    vectors = [len({tuple(vector) for vector in channel.tolist()}) for channel in first.targets]
    assert set(vectors) <= set(range(2, 10))


def test_the_papers_network_has_its_size():
    network = PaperNetwork.untrained(3, 10, seed=0)
    count = sum(layer.projections.numel() for layer in network.convolutions)
    assert count == 128 * (30 * 30 + 13 * 13) * 100  # the paper's 13.7 million
    assert network.head.dense.in_features == 128 * 13 * 13
