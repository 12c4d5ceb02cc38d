"""What TensorFlow's converter makes of Keras models runs as in TensorFlow Lite Micro."""

import importlib.util

import numpy as np
import pytest
from backbone_graphs import samples_for
from test_backbone_exactness import compare

from spela_mcu.backbone.load import read_backbone

pytestmark = [
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("tensorflow", "tflite_micro")),
        reason="tensorflow and tflite-micro are not installed: spela-mcu[reference]",
    ),
]


def images(layers, batch):
    """Every kind of layer that a network for images is made of."""
    x = start = layers.Input((10, 8, 3), batch_size=batch)
    x = layers.ZeroPadding2D(((1, 0), (0, 2)))(x)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    y = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    y = layers.BatchNormalization()(y)
    y = layers.ReLU()(y)
    y = layers.Conv2D(8, 1)(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.BatchNormalization()(x)  # behind an activation: it becomes MUL and ADD
    x = layers.Conv2D(8, 3, dilation_rate=2, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.SeparableConv2D(12, 3, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(10, activation="relu")(x)
    return start, layers.Dense(4, activation="softmax")(x)


def signals(layers, batch):
    """The same for one dimension."""
    x = start = layers.Input((40, 3), batch_size=batch)
    x = layers.Conv1D(8, 5, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv1D(3, padding="same")(x)
    x = layers.Conv1D(8, 3, dilation_rate=2, padding="causal", activation="relu")(x)
    x = layers.MaxPooling1D(2)(x)
    x = layers.AveragePooling1D(2)(x)
    x = layers.GlobalAveragePooling1D()(x)
    return start, layers.Dense(4)(x)


@pytest.fixture(scope="module")
def convert(tmp_path_factory):
    tensorflow = pytest.importorskip("tensorflow")
    # As the comparison with Keras sets it: it cannot once TensorFlow runs in the same process.
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    directory = tmp_path_factory.mktemp("converted")

    def converted(network, batch):
        start, answer = network(tensorflow.keras.layers, batch)
        model = tensorflow.keras.Model(start, answer)
        rng = np.random.default_rng(1)
        for weight in model.weights:
            if "variance" in weight.path or "gamma" in weight.path:
                weight.assign(rng.uniform(0.5, 1.5, weight.shape))
            elif len(weight.shape) == 1:
                weight.assign(0.3 * rng.normal(size=weight.shape))
        samples = rng.normal(size=(20, 1, *start.shape[1:])).astype(np.float32)
        converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tensorflow.int8
        file = directory / f"{network.__name__}-{batch}.tflite"
        file.write_bytes(converter.convert())
        return file

    return converted


KINDS = {
    images: "Pad Convolution Depthwise Convolution Add MultiplyConstant AddConstant Convolution "
    "MaxPool Depthwise Convolution Mean FullyConnected",
    signals: "Convolution Depthwise Pad Convolution MaxPool AveragePool Mean",
}


@pytest.mark.parametrize("network", KINDS)
def test_a_converted_model(convert, network):
    file = convert(network, 1)
    shape = read_backbone(file).sample.shape
    plan = compare(file, samples_for(shape, np.random.default_rng(2), 20))
    assert " ".join(type(step.operator).__name__ for step in plan.steps) == KINDS[network]
