"""A frozen backbone in numpy equals TensorFlow Lite Micro, byte for byte, at every layer."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from tflite_files import Layers, TfliteModel, tflm_tensors, windowed

from spela_mcu.backbone import network, requantize, window
from spela_mcu.backbone.load import read_backbone

pytest.importorskip("tflite_micro", reason="tflite-micro has no wheel for this platform")

EDGES = (-128, -127, -1, 0, 1, 127)


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


def samples_for(shape, rng, count=3):
    edges = [np.full(shape, value) for value in EDGES]
    return np.stack([*edges, *rng.integers(-128, 128, (count, *shape))]).astype(np.int8)


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
    "kws_ref_model.tflite": 9216 + 2368,
    "pretrainedResnet_quant.tflite": 33360,
    "vww_96_int8.tflite": 36960,
    "ad01_int8.tflite": 768,
    "str_ww_ref_model.tflite": 4992,
}


@pytest.mark.skipif(not FOLDER, reason="SPELA_MLPERF_TINY names no directory with the models")
@pytest.mark.parametrize("name", MODELS)
def test_the_models_of_mlperf_tiny(name):
    file = Path(FOLDER) / name
    shape = read_backbone(file).sample.shape
    samples = samples_for(shape, np.random.default_rng(1), 6)
    if name.startswith("kws"):
        keywords = np.load(Path(FOLDER) / "kws01.npz")["x"]
        samples = np.concatenate([samples, keywords.reshape(-1, *shape).astype(np.int8)])
    plan = compare(file, samples)
    assert plan.arena_bytes <= MODELS[name]


# Graphs that hypothesis makes.


@st.composite
def windows(draw, height, width):
    """Rows and columns of a window, its strides and dilations, and a padding that fits."""
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    size = [draw(st.integers(1, min(4, extent))) for extent in (height, width)]
    stride = [draw(st.integers(1, 3)) for _ in range(2)]
    dilation = [
        draw(st.integers(1, 3 if padding == "SAME" else max(1, (extent - 1) // max(1, taps - 1))))
        if taps > 1
        else 1
        for extent, taps in zip((height, width), size, strict=True)
    ]
    return padding, size, stride, [min(one, 3) for one in dilation]


ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])


def add_convolution(draw, layers, source):
    depthwise = draw(st.booleans())
    _, height, width, channels = layers.model.shape(source)
    padding, size, stride, dilation = draw(windows(height, width))
    reach = [(taps - 1) * step + 1 for taps, step in zip(size, dilation, strict=True)]
    rows, columns = (
        windowed(extent, far, step, padding)
        for extent, far, step in zip((height, width), reach, stride, strict=True)
    )
    options = {
        "Padding": padding,
        "StrideH": stride[0],
        "StrideW": stride[1],
        "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1],
        "FusedActivationFunction": draw(ACTIVATIONS),
        "per_channel": draw(st.booleans()),
        "bias": draw(st.booleans()),
    }
    if depthwise:
        multiplier = draw(st.integers(1, 3))
        outputs = multiplier * channels
        return layers.weighted(
            "DEPTHWISE_CONV_2D",
            source,
            (1, *size, outputs),
            3,
            (1, rows, columns, outputs),
            DepthMultiplier=multiplier,
            **options,
        )
    outputs = draw(st.integers(1, 7))
    return layers.weighted(
        "CONV_2D", source, (outputs, *size, channels), 0, (1, rows, columns, outputs), **options
    )


def add_pool(draw, layers, source):
    model = layers.model
    _, height, width, channels = model.shape(source)
    padding, size, stride, _ = draw(windows(height, width))
    rows, columns = (
        windowed(extent, far, step, padding)
        for extent, far, step in zip((height, width), size, stride, strict=True)
    )
    spec = model.tensors[source]
    layers.count += 1
    target = model.activation(
        f"map{layers.count}", (1, rows, columns, channels), spec.scales[0], spec.zeros[0]
    )
    model.operator(
        draw(st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"])),
        [source],
        [target],
        Padding=padding,
        StrideH=stride[0],
        StrideW=stride[1],
        FilterHeight=size[0],
        FilterWidth=size[1],
        FusedActivationFunction=draw(ACTIVATIONS),
    )
    return target


def add_sum(draw, layers, source):
    """A residual branch: a convolution of the source, added to it; or a constant is added."""
    model, rng = layers.model, layers.rng
    shape = model.shape(source)
    scale = model.tensors[source].scales[0]
    other = draw(st.sampled_from(["branch", "itself", "channels", "scalar", "map"]))
    if other == "branch":
        channels = shape[3]
        second = layers.weighted(
            "CONV_2D",
            source,
            (channels, 3, 3, channels),
            0,
            shape,
            Padding="SAME",
            StrideH=1,
            StrideW=1,
            DilationHFactor=1,
            DilationWFactor=1,
        )
    elif other == "itself":
        second = source
    else:
        constant = rng.integers(
            -128, 128, {"channels": shape[3:], "scalar": (), "map": shape}[other]
        )
        spread = float(np.float32(scale * rng.uniform(0.3, 3)))
        zero = int(rng.integers(-128, 128))
        second = model.constant(f"c{layers.count}", constant.astype(np.int8), (spread,), (zero,))
    target = layers.output(shape, 2 * max(scale, model.tensors[second].scales[0]))
    both = [source, second]
    model.operator(
        "ADD",
        both[::-1] if draw(st.booleans()) else both,
        [target],
        FusedActivationFunction=draw(ACTIVATIONS),
    )
    return target


def add_product(draw, layers, source):
    model, rng = layers.model, layers.rng
    shape = model.shape(source)
    form = draw(st.sampled_from([shape[3:], (), shape, (1, 1, 1, shape[3]), (1, *shape[1:3], 1)]))
    scale = float(np.float32(rng.uniform(0.005, 0.02)))
    constant = model.constant(
        f"c{layers.count}",
        rng.integers(-128, 128, form).astype(np.int8),
        (scale,),
        (int(rng.integers(-128, 128)),),
    )
    target = layers.output(shape, model.tensors[source].scales[0] * scale * 100)
    both = [source, constant]
    model.operator(
        "MUL",
        both[::-1] if draw(st.booleans()) else both,
        [target],
        FusedActivationFunction=draw(ACTIVATIONS),
    )
    return target


def add_rescale(draw, layers, source):
    model = layers.model
    kind = draw(st.sampled_from(["QUANTIZE", "RELU", "RELU6"]))
    target = layers.output(model.shape(source), model.tensors[source].scales[0])
    model.operator(kind, [source], [target])
    return target


def add_margin(draw, layers, source):
    model = layers.model
    shape = model.shape(source)
    around = np.array(
        [(0, 0), *((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(3))], np.int32
    )
    margins = model.constant(f"p{layers.count}", around)
    grown = tuple(int(size) for size in np.array(shape) + around.sum(1))
    target = layers.output(grown, model.tensors[source].scales[0])
    inputs = [source, margins]
    if draw(st.booleans()):
        spec = model.tensors[target]
        value = layers.rng.integers(-128, 128, ()).astype(np.int8)
        inputs.append(model.constant(f"v{layers.count}", value, spec.scales, spec.zeros))
    model.operator("PADV2" if len(inputs) == 3 else "PAD", inputs, [target])
    return target


def add_reshape(draw, layers, source):
    """Rows become columns: the bytes stay."""
    model = layers.model
    _, height, width, channels = model.shape(source)
    spec = model.tensors[source]
    layers.count += 1
    form = (1, width, height, channels)
    shape = model.constant(f"s{layers.count}", np.array(form, np.int32))
    target = model.activation(f"map{layers.count}", form, spec.scales[0], spec.zeros[0])
    model.operator("RESHAPE", [source, shape], [target])
    return target


STEPS = {
    "convolution": add_convolution,
    "pool": add_pool,
    "sum": add_sum,
    "product": add_product,
    "rescale": add_rescale,
    "margin": add_margin,
    "reshape": add_reshape,
}


def add_head(draw, layers, source):
    """A mean or nothing, a dense layer whose input are the features, and a softmax."""
    model = layers.model
    _, *_, channels = model.shape(source)
    if draw(st.booleans()):
        axes = model.constant("axes", np.array([1, 2], np.int32))
        keep = draw(st.booleans())
        target = layers.output(
            (1, 1, 1, channels) if keep else (1, channels), model.tensors[source].scales[0] * 0.5
        )
        model.operator("MEAN", [source, axes], [target], KeepDims=keep)
        source = target
    for units in (draw(st.integers(1, 9)), 3):
        inputs = int(np.prod(model.shape(source)))
        source = layers.weighted(
            "FULLY_CONNECTED",
            source,
            (units, inputs),
            0,
            (1, units),
            FusedActivationFunction=draw(ACTIVATIONS),
            per_channel=draw(st.booleans()),
            bias=draw(st.booleans()),
        )
    answer = model.activation("answer", (1, 3), 1 / 256, -128)
    model.operator("SOFTMAX", [source], [answer], Beta=1.0)


@st.composite
def graphs(draw, kinds=tuple(STEPS), most=4):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    model = TfliteModel()
    shape = (1, draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 6)))
    source = model.sample(
        shape, float(np.float32(rng.uniform(0.01, 0.1))), int(rng.integers(-128, 128))
    )
    layers = Layers(model, rng)
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=most)):
        source = STEPS[kind](draw, layers, source)
    add_head(draw, layers, source)
    return model, samples_for(shape[1:], rng)


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
        Padding="SAME",
        StrideH=2,
        StrideW=2,
        DilationHFactor=1,
        DilationWFactor=1,
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
