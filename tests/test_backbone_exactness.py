"""A frozen backbone in numpy equals TensorFlow Lite Micro, byte for byte, at every layer."""

import os
from pathlib import Path

import numpy as np
import pytest
from backbone_graphs import graphs, samples_for
from hypothesis import given, seed, settings
from tflite_files import WINDOW, Layers, TfliteModel, tflm_tensors

from spela_mcu.backbone import network, requantize, window
from spela_mcu.backbone.load import read_backbone

pytest.importorskip("tflite_micro", reason="tflite-micro has no wheel for this platform")


def compare(file, samples, cut="features"):
    """Asserts equality of all feature maps; returns the plan."""
    plan = read_backbone(file, cut)
    expected = tflm_tensors(file.read_bytes(), samples)
    maps = network.run_all(plan, samples)
    for activation, computed in list(zip(plan.activations, maps, strict=True))[1:]:
        theirs = expected[activation.name]
        assert np.array_equal(computed.ravel(), theirs.ravel()), activation.name
    features = network.run(plan, samples)
    assert np.array_equal(features, expected[plan.cut].reshape(len(samples), -1))
    return plan


def write(model, directory):
    file = directory / "model.tflite"
    file.write_bytes(model.build())
    return file


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("tflite")


# The five models of MLPerf Tiny.

FOLDER = os.environ.get("SPELA_MLPERF_TINY", "")
MODELS = {
    "kws_ref_model.tflite": 8544,
    "pretrainedResnet_quant.tflite": 34016,
    "vww_96_int8.tflite": 42064,
    "ad01_int8.tflite": 1920,
    "str_ww_ref_model.tflite": 3744,
}

EVERY = 20
"""Of the recorded samples, every so manieth is compared: all 1,000, which are equal, take half a
minute."""


@pytest.mark.skipif(not FOLDER, reason="SPELA_MLPERF_TINY names no directory with the models")
@pytest.mark.parametrize("name", MODELS)
def test_the_models_of_mlperf_tiny(name):
    file = Path(FOLDER) / name
    shape = read_backbone(file).sample.shape
    samples = samples_for(shape, np.random.default_rng(1), 6)
    if name.startswith("kws"):
        keywords = np.load(Path(FOLDER) / "kws01.npz")["x"][::EVERY]
        samples = np.concatenate([samples, keywords.reshape(-1, *shape).astype(np.int8)])
    plan = compare(file, samples)
    assert plan.arena_bytes <= MODELS[name]


@seed(20)
@settings(max_examples=60)
@given(graphs())
def test_random_graphs(directory, graph):
    model, samples = graph
    compare(write(model, directory), samples)


@seed(21)
@settings(max_examples=40)
@given(graphs(kinds=("convolution",), most=2))
def test_random_convolutions(directory, graph):
    model, samples = graph
    compare(write(model, directory), samples)


def test_one_dimension(directory):
    """A dense layer over several positions, a mean over rows, and a dense layer."""
    rng = np.random.default_rng(3)
    model = TfliteModel()
    source = model.sample((1, 7, 6), 0.03, -5)
    layers = Layers(model, rng)
    source = layers.weighted("FULLY_CONNECTED", source, (4, 6), 0, (1, 7, 4), per_channel=False)
    target = layers.output((1, 4), 0.3)
    model.operator("MEAN", [source, model.constant("axis", np.array([1], np.int32))], [target])
    layers.weighted("FULLY_CONNECTED", target, (3, 4), 0, (1, 3), per_channel=False)
    plan = compare(write(model, directory), samples_for((7, 1, 6), rng))
    assert [type(step.operator).__name__ for step in plan.steps] == ["Convolution", "Mean"]


# Faults that the comparison must see.


@pytest.fixture(scope="module")
def model_file(directory):
    """A strided convolution with padding, whose outputs lie close to ties now and then."""
    rng = np.random.default_rng(4)
    model = TfliteModel()
    source = model.sample((1, 8, 8, 3), 0.05, 7)
    layers = Layers(model, rng)
    source = layers.weighted(
        "CONV_2D",
        source,
        (8, 3, 3, 3),
        0,
        (1, 4, 4, 8),
        **WINDOW | {"StrideH": 2, "StrideW": 2},
    )
    layers.weighted("FULLY_CONNECTED", source, (3, 128), 0, (1, 3), per_channel=False)
    file = directory / "faults.tflite"
    file.write_bytes(model.build())
    return file, samples_for((8, 8, 3), rng, 60)


def once_rounded(values, multiplier, shift):
    shift = np.asarray(shift, np.int64)
    total = 31 - shift
    return (values * np.asarray(multiplier, np.int64) + (1 << (total - 1))) >> total


def half_up(values, multiplier, shift):
    left, right = np.maximum(shift, 0), np.maximum(np.negative(shift), 0)
    high = ((values << left) * np.asarray(multiplier, np.int64) + (1 << 30)) >> 31
    return (high + ((1 << right) >> 1)) >> right


def padded_by_one_more(self, maps, output, fill):
    return np.pad(maps, ((0, 0), (1, 2), (1, 2), (0, 0)), constant_values=fill)


def test_no_fault_is_no_difference(model_file):
    compare(*model_file)


@pytest.mark.parametrize("rounding", [once_rounded, half_up])
def test_another_rounding_is_seen(model_file, monkeypatch, rounding):
    monkeypatch.setattr("spela_mcu.backbone.operator.multiply", rounding)
    with pytest.raises(AssertionError):
        compare(*model_file)


def test_another_offset_is_seen(model_file, monkeypatch):
    right = requantize.to_int8
    monkeypatch.setattr(
        "spela_mcu.backbone.operator.to_int8",
        lambda values, offset, least, greatest: right(values, offset + 1, least, greatest),
    )
    with pytest.raises(AssertionError):
        compare(*model_file)


def test_padding_on_the_other_side_is_seen(model_file, monkeypatch):
    monkeypatch.setattr(window.Window, "padded", padded_by_one_more)
    with pytest.raises(AssertionError):
        compare(*model_file)


def test_padding_with_another_value_is_seen(model_file, monkeypatch):
    right = window.Window.padded
    monkeypatch.setattr(
        window.Window, "padded", lambda self, maps, output, fill: right(self, maps, output, 1)
    )
    with pytest.raises(AssertionError):
        compare(*model_file)


def test_sums_that_float32_cannot_hold(directory):
    """A dense layer of 2,000 inputs, whose sums reach 2^25: float64 computes them."""
    rng = np.random.default_rng(5)
    model = TfliteModel()
    source = model.sample((1, 2000), 0.02, -128)
    layers = Layers(model, rng)
    wide = rng.integers(100, 128, (2, 2000)).astype(np.int8)
    weights = model.constant("w", wide, (0.01,))
    features = model.activation("features_map", (1, 2), 130.0, -128)
    model.operator("FULLY_CONNECTED", [source, weights], [features])
    layers.weighted("FULLY_CONNECTED", features, (3, 2), 0, (1, 3), per_channel=False)
    plan = compare(write(model, directory), samples_for((1, 1, 2000), rng))
    (step,) = plan.steps
    assert step.operator.bound > 1 << 24
    assert step.operator.exact_type == np.float64


def test_the_greatest_shift_to_the_right_rounds_in_64_bits():
    """A sum that becomes a little less than nothing is 0, not -1."""
    values = requantize.multiply(
        np.array([-65536, 65536]), 1468732568, np.array([-31, -31], np.int32)
    )
    assert values.tolist() == [0, 0]
