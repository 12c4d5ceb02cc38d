"""Reading a .tflite: what is refused, and how; damaged files; cuts."""

import time

import numpy as np
import pytest
from backbone_graphs import samples_for
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from tflite_files import WINDOW, Layers, TfliteModel

from spela_mcu.backbone.load import read_backbone
from spela_mcu.backbone.network import quantize, run, run_all
from spela_mcu.backbone.read import MOST_BYTES
from spela_mcu.errors import UserError


def residual(kind="int8"):
    """A convolution, a depthwise, their sum, a pool, two dense layers and a softmax."""
    model = TfliteModel()
    layers = Layers(model, np.random.default_rng(7))
    source = model.sample((1, 6, 6, 2), kind=kind)
    if kind != "int8":
        quantised = model.activation("quantised", (1, 6, 6, 2), 0.05, 3)
        model.operator("QUANTIZE", [source], [quantised])
        source = quantised
    first = layers.weighted("CONV_2D", source, (3, 3, 3, 2), 0, (1, 6, 6, 3), **WINDOW)
    second = layers.weighted(
        "DEPTHWISE_CONV_2D", first, (1, 3, 3, 3), 3, (1, 6, 6, 3), DepthMultiplier=1, **WINDOW
    )
    both = layers.output((1, 6, 6, 3), 0.2)
    model.operator("ADD", [first, second], [both], FusedActivationFunction="RELU")
    spec = model.tensors[both]
    pooled = model.activation("pooled", (1, 2, 2, 3), spec.scales[0], spec.zeros[0])
    model.operator(
        "AVERAGE_POOL_2D",
        [both],
        [pooled],
        Padding="VALID",
        StrideH=3,
        StrideW=3,
        FilterHeight=3,
        FilterWidth=3,
    )
    flat = model.activation("flat", (1, 12), spec.scales[0], spec.zeros[0])
    shape = model.constant("shape", np.array([-1, 12], np.int32))
    model.operator("RESHAPE", [pooled, shape], [flat])
    hidden = layers.weighted("FULLY_CONNECTED", flat, (5, 12), 0, (1, 5), per_channel=False)
    logits = layers.weighted("FULLY_CONNECTED", hidden, (3, 5), 0, (1, 3), per_channel=False)
    answer = model.activation("answer", (1, 3), 1 / 256, -128)
    model.operator("SOFTMAX", [logits], [answer], Beta=1.0)
    return model


def read(model, directory, cut="features", exits_at=()):
    file = directory / "model.tflite"
    file.write_bytes(model.build() if isinstance(model, TfliteModel) else model)
    return read_backbone(file, cut, exits_at)


def refusal(model, directory, cut="features", exits_at=()):
    with pytest.raises(UserError) as caught:
        read(model, directory, cut, exits_at)
    message = str(caught.value)
    assert "model.tflite" in message
    assert caught.value.mend
    return message


# Cuts.


def test_the_default_cut_is_before_the_last_dense_layer(tmp_path):
    plan = read(residual(), tmp_path)
    names = [type(step.operator).__name__ for step in plan.steps]
    assert names == ["Convolution", "Depthwise", "Add", "AveragePool", "FullyConnected"]
    assert plan.cut == plan.features.name == "map4"
    assert plan.features.shape == (1, 1, 5)
    assert plan.sample.shape == (6, 6, 2)


def test_a_cut_at_a_reshape_is_at_what_it_reshapes(tmp_path):
    plan = read(residual(), tmp_path, "flat")
    assert (plan.cut, plan.features.name) == ("flat", "pooled")
    assert plan.features.shape == (2, 2, 3)


def test_operators_that_the_features_do_not_need_are_dropped(tmp_path):
    plan = read(residual(), tmp_path, "map1")
    assert len(plan.steps) == 1
    assert plan.macs == 6 * 6 * 3 * 3 * 3 * 2
    assert plan.table_bytes == 54 + 12 * 3


def test_the_features_of_a_cut_are_the_map_of_the_whole(tmp_path):
    whole = read(residual(), tmp_path)
    part = read(residual(), tmp_path, "map3")
    samples = samples_for((6, 6, 2), np.random.default_rng(1))
    at = [activation.name for activation in whole.activations].index("map3")
    assert np.array_equal(run(part, samples), run_all(whole, samples)[at].reshape(len(samples), -1))


def test_samples_in_parts_are_the_same(tmp_path, monkeypatch):
    plan = read(residual(), tmp_path)
    samples = samples_for((6, 6, 2), np.random.default_rng(1), 20)
    together = run(plan, samples)
    monkeypatch.setattr("spela_mcu.backbone.network.WORKSPACE", 1)
    assert np.array_equal(run(plan, samples.reshape(len(samples), -1)), together)
    assert run(plan, samples[:0]).shape == (0, 5)


def test_an_unknown_cut_names_those_like_it(tmp_path):
    assert "'map3'" in refusal(residual(), tmp_path, "map30")
    assert "no feature map called 'zzzzzz'" in refusal(residual(), tmp_path, "zzzzzz")


def test_a_cut_at_the_input_is_refused(tmp_path):
    assert "nothing is computed" in refusal(residual(), tmp_path, "sample")


def test_a_cut_behind_softmax_is_refused_by_name(tmp_path):
    message = refusal(residual(), tmp_path, "answer")
    assert "operator 7 (SOFTMAX, which writes 'answer')" in message


def test_a_shape_that_the_model_computes_is_not_needed(tmp_path):
    """As a converter writes Flatten where the batch is open."""
    plain = read(residual(), tmp_path)
    model = residual()
    computed = model.activation("computed", (2,), kind="int32")
    at = next(i for i, (kind, *_) in enumerate(model.operators) if kind == "RESHAPE")
    kind, (pooled, _), outputs, options = model.operators[at]
    model.operators[at] = (kind, [pooled, computed], outputs, options)
    model.operators.insert(at, ("SHAPE", [pooled], [computed], {}))
    assert read(model, tmp_path).digest == plain.digest


def test_two_tensors_of_one_name(tmp_path):
    model = residual()
    change("map2", name="map1")(model)
    assert "2 tensors are called 'map1'" in refusal(model, tmp_path, "map1")


def test_a_tensor_may_be_named_by_the_first_of_its_joined_names(tmp_path):
    model = residual()
    change("map1", name="relu;bias;convolution1")(model)
    change("map2", name="other;bias;convolution2")(model)
    plan = read(model, tmp_path, "relu")
    assert plan.features.name == plan.cut == "relu;bias;convolution1"
    assert read(model, tmp_path, exits_at=("other",)).taps[0].activation.name.startswith("other;")
    assert "choose 'relu'" in refusal(model, tmp_path, "relus")
    change("other;bias;convolution2", name="relu;bias;convolution2")(model)
    assert "2 tensors are called 'relu'" in refusal(model, tmp_path, "relu")
    assert read(model, tmp_path, "relu;bias;convolution2").cut == "relu;bias;convolution2"
    assert "'relu;bias;convolution2'" in refusal(model, tmp_path, "relus")


def test_a_model_without_a_dense_layer(tmp_path):
    model = TfliteModel()
    layers = Layers(model, np.random.default_rng(7))
    layers.weighted("CONV_2D", model.sample((1, 4, 4, 1)), (2, 3, 3, 1), 0, (1, 4, 4, 2), **WINDOW)
    assert "'map1'" in refusal(model, tmp_path)
    assert read(model, tmp_path, "map1").features.shape == (4, 4, 2)


# Samples.


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_the_quantisation_of_the_input_is_dropped(tmp_path, kind):
    plan = read(residual(kind), tmp_path)
    assert plan.sample.name == "quantised"
    assert (plan.sample.scale, plan.sample.zero_point) == (float(np.float32(0.05)), 3)
    assert len(plan.steps) == 5


def test_real_values_are_rounded_half_away_from_zero(tmp_path):
    model = residual()
    model.tensors[0].scales, model.tensors[0].zeros = (0.5,), (-3,)
    plan = read(model, tmp_path)
    real = np.array([0, 0.25, -0.25, 0.75, -0.75, 0.24, 100, -100, 1e30, -1e30], np.float32)
    expected = [-3, -2, -4, -1, -5, -3, 127, -128, 127, -128]
    assert quantize(plan, real).tolist() == expected


# What is refused.


def change(tensor_name, **changes):
    def apply(model):
        (tensor,) = (one for one in model.tensors if one.name == tensor_name)
        for key, value in changes.items():
            setattr(tensor, key, value)

    return apply


def option(kind, **changes):
    def apply(model):
        for number, (name, inputs, outputs, options) in enumerate(model.operators):
            if name == kind:
                model.operators[number] = (name, inputs, outputs, {**options, **changes})

    return apply


def rename(old, new):
    def apply(model):
        model.operators = [(new if one[0] == old else one[0], *one[1:]) for one in model.operators]

    return apply


REFUSED = {
    "a batch": (change("sample", shape=(2, 6, 6, 2)), "batch of 1"),
    "a huge map": (change("sample", shape=(1, 60_000, 60_000, 2)), "no chip has room"),
    "five dimensions": (change("sample", shape=(1, 3, 2, 6, 2)), "5 dimensions"),
    "int16": (change("map1", type="int16"), "is int16, not quantised int8"),
    "no scale": (change("map1", scales=(), zeros=()), "not quantised int8"),
    "a scale of zero": (change("map1", scales=(0.0,)), "not one positive scale"),
    "a scale that is infinite": (change("map1", scales=(np.inf,)), "scale that is not a number"),
    "a zero point beyond int8": (change("map1", zeros=(128,)), "not one positive scale"),
    "an output scale too small": (change("map1", scales=(1e-30,)), "have the ratio"),
    "sums beyond 32 bits": (
        change("b0", data=np.full(3, 2**31 - 1, np.int32)),
        "may exceed 32 bits",
    ),
    "a weight's zero point": (change("w0", zeros=(0, 1, 0)), "zero point other than 0"),
    "scales along another axis": (change("w0", axis=1), "3 scales along dimension 1"),
    "a convolution of groups": (
        change("w0", shape=(3, 3, 3, 1), data=np.ones((3, 3, 3, 1), np.int8)),
        "2 groups",
    ),
    "float weights": (
        change("w0", type="float32", data=np.ones((3, 3, 3, 2), np.float32)),
        "float32",
    ),
    "an unknown activation": (option("ADD", FusedActivationFunction="TANH"), "is TANH"),
    "a stride of zero": (option("CONV_2D", StrideH=0), "strides (0, 1)"),
    "another output shape": (option("CONV_2D", StrideH=2), "does not follow from the input"),
    "a far dilation": (option("CONV_2D", DilationHFactor=200), "reaches farther"),
    "a channel multiplier": (
        option("DEPTHWISE_CONV_2D", DepthMultiplier=2),
        "channel multiplier of 2",
    ),
    "shuffled weights": (option("FULLY_CONNECTED", WeightsFormat=1), "shuffled"),
    "an operator that is not supported": (
        rename("AVERAGE_POOL_2D", "L2_POOL_2D"),
        "operator 3 (L2_POOL_2D, which writes 'pooled'): this kind of operator is not supported",
    ),
    "a pool that scales": (change("pooled", zeros=(100,)), "it changes the scale"),
    "maps of two shapes": (change("map3", shape=(1, 6, 6, 1)), "different shapes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_supported_is_named(tmp_path, case):
    apply, reason = REFUSED[case]
    model = residual()
    apply(model)
    assert reason in refusal(model, tmp_path)


def test_a_float_model_says_how_to_convert_it(tmp_path):
    model = residual()
    for tensor in model.tensors:
        if tensor.type == "int8":
            tensor.type, tensor.scales, tensor.zeros = "float32", (), ()
            if tensor.data is not None:
                tensor.data = tensor.data.astype(np.float32)
    message = refusal(model, tmp_path)
    assert "the model computes in floats" in message
    assert "representative_dataset" in message


def test_a_model_of_dynamic_range_says_how_to_convert_it(tmp_path):
    model = residual()
    for tensor in model.tensors:
        if tensor.type == "int8" and tensor.data is None:
            tensor.type, tensor.scales, tensor.zeros = "float32", (), ()
    message = refusal(model, tmp_path)
    assert "dynamic-range" in message
    assert "representative_dataset" in message


def test_a_dilation_that_the_converter_took_apart(tmp_path):
    """As it does with Keras models that have no fixed batch."""
    model = residual()
    rename("AVERAGE_POOL_2D", "SPACE_TO_BATCH_ND")(model)
    assert "batch_size=1" in refusal(model, tmp_path)


def test_two_inputs(tmp_path):
    model = TfliteModel()
    first, second = (model.sample((1, 4), name=name) for name in ("one", "other"))
    layers = Layers(model, np.random.default_rng(7))
    both = layers.output((1, 4), 0.1)
    model.operator("ADD", [first, second], [both])
    layers.weighted("FULLY_CONNECTED", both, (3, 4), 0, (1, 3), per_channel=False)
    assert "2 inputs ('one', 'other')" in refusal(model, tmp_path)


# Files that are damaged, or no models.


def test_files_that_are_no_models(tmp_path):
    for content in (b"", b"TFL3", b"PK\x03\x04" * 100, b"\0\0\0\0TFL3"):
        refusal(content, tmp_path)
    with pytest.raises(UserError, match="is not a file"):
        read_backbone(tmp_path)
    with pytest.raises(UserError, match="is not a file"):
        read_backbone(tmp_path / "nothing.tflite")
    large = tmp_path / "large.tflite"
    with large.open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(UserError, match="is larger"):
        read_backbone(large)


WHOLE = residual().build()
NUMBERS = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)
WORDS = st.sampled_from([0, 1, 16, 2**31 - 1, 2**31, 2**32 - 1]) | st.integers(0, len(WHOLE))


@st.composite
def damaged(draw):
    content = bytearray(WHOLE)
    for _ in range(draw(st.integers(0, 3))):
        content[draw(st.integers(0, len(content) - 1))] = draw(NUMBERS)
    for _ in range(draw(st.integers(0, 2))):
        at = 4 * draw(st.integers(0, len(content) // 4 - 1))
        content[at : at + 4] = draw(WORDS).to_bytes(4, "little")
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


@seed(40)
@settings(max_examples=200)
@given(damaged())
def test_a_damaged_file_is_an_error_or_a_model(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "damaged.tflite"
    file.write_bytes(content)
    start = time.process_time()
    try:
        plan = read_backbone(file)
    except UserError as error:
        assert error.file == file
    else:
        assert plan.arena_bytes > 0
    assert time.process_time() - start < 5


def test_a_long_vector_that_many_tensors_share(tmp_path):
    """A thousand tensors with the same 300,000 scales: minutes, if each were read."""
    model = residual()
    scales, zeros = (0.5,) * 300_000, (0,) * 300_000
    for number in range(1000):
        model.activation(f"spare{number}", (1, 4))
        model.tensors[-1].scales, model.tensors[-1].zeros = scales, zeros
    start = time.process_time()
    assert "its parts are longer than the file" in refusal(model, tmp_path)
    assert time.process_time() - start < 10


def test_the_digest_follows_the_arithmetic_and_not_the_names(tmp_path):
    whole = read(residual(), tmp_path).digest
    renamed = residual()
    change("pooled", name="another")(renamed)
    assert read(renamed, tmp_path).digest == whole
    for apply in (
        change("map1", zeros=(5,)),
        change("b0", data=np.array([1, 2, 3], np.int32)),
        option("ADD", FusedActivationFunction="NONE"),
    ):
        changed = residual()
        apply(changed)
        assert read(changed, tmp_path).digest != whole
