"""TensorFlow Lite Micro: Keras models as full-int8 .tflite files, run by its interpreter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spela_mcu.contenders.backprop import LEARNING_RATE
from spela_mcu.contenders.contender import Cost, Outcome
from spela_mcu.data.dataset import Dataset
from spela_mcu.fixed_point.geometry import windows
from spela_mcu.fixed_point.maps import Window
from spela_mcu.proof.tflm import told_arena
from spela_mcu.quiet import captured_output
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Dense

KerasModel: TypeAlias = Any  # keras's type declarations are unreliable

NEEDS = ("tensorflow", "tflite_micro")

REPRESENTATIVE_SAMPLES = 500
"""Training samples from which the converter measures the ranges of activations."""

NOTE = (
    "flash: the .tflite file alone, without the interpreter and its kernels; RAM: the arena on a "
    "64-bit machine; instructions: the interpreter for this machine cannot count a Cortex-M's"
)


def trained_in_keras(spec: ModelSpec, dataset: Dataset, _: FloatNetwork | None) -> Outcome:
    """The same layers with biases and a softmax head, trained in Keras, converted, and run."""
    keras = _keras()
    dataset = dataset.behind_taps()
    keras.utils.set_random_seed(spec.training.seed)
    network, training = spec.network, spec.training
    model = keras.Sequential([keras.Input((dataset.inputs,))])
    maps = windows(network)
    for window in maps:
        _add_convolution(keras, model, window, is_first=window is maps[0])
    if maps:
        model.add(keras.layers.Flatten())
    for layer in network.layers[len(maps) :]:
        assert isinstance(layer, Dense)
        model.add(keras.layers.Dense(layer.units))
        _add_activation(keras, model, layer.negative_slope if layer.activation != "relu" else 0.0)
    model.add(keras.layers.Dense(dataset.classes, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    stop = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=training.patience, restore_best_weights=True, mode="max"
    )
    model.fit(
        dataset.train.x,
        dataset.train.y,
        batch_size=training.batch_size,
        epochs=training.epochs,
        verbose=0,
        callbacks=[stop],
        validation_data=(dataset.validation.x, dataset.validation.y),
    )
    return _deployed(model, dataset)


def of_spela_weights(spec: ModelSpec, dataset: Dataset, trained: FloatNetwork | None) -> Outcome:
    """SPELA's trained float weights as a .tflite: its layers, with the last embeddings as one more.

    The class of the largest cosine is the class of the largest product with an embedding, since all
    embeddings have length one. So TFLM runs the same network here that `quantized_after_training`
    quantises for our runtime.
    """
    assert trained is not None
    keras = _keras()
    dataset = dataset.behind_taps()
    model = keras.Sequential([keras.Input((dataset.inputs,))])
    for index, layer in enumerate(layer for layer in trained.layers if not layer.is_tap):
        has_bias = trained.bias and index == 0
        dense = keras.layers.Dense(len(layer.weight), use_bias=has_bias)
        model.add(dense)
        # the bias: the weights of the last input, which is 1
        weight = layer.weight.T
        dense.set_weights([weight[:-1], weight[-1]] if has_bias else [weight])
        _add_activation(keras, model, layer.negative_slope)
    head = keras.layers.Dense(trained.classes, use_bias=False)
    model.add(head)
    head.set_weights([trained.layers[-1].embedding.T])
    return _deployed(model, dataset)


def _keras() -> Any:  # noqa: ANN401 - the module
    """Keras on TensorFlow, on one thread, and without its messages."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with captured_output():
        import keras
        import tensorflow as tf

        # One thread and a fixed order of sums: the same bits every time.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.experimental.enable_op_determinism()
        keras.utils.clear_session()  # else the next model's tensor names get longer
    return keras


def _add_convolution(
    keras: Any,  # noqa: ANN401
    model: KerasModel,
    window: Window,
    *,
    is_first: bool,
) -> None:
    if is_first:
        model.add(keras.layers.Reshape(tuple(window.map)))
    padding = [((side - 1) // 2, (side - 1) // 2) for side in window.kernel]
    model.add(keras.layers.ZeroPadding2D(padding))
    model.add(
        keras.layers.Conv2D(window.filters, tuple(window.kernel), strides=tuple(window.stride))
    )
    model.add(keras.layers.ReLU())
    model.add(keras.layers.MaxPooling2D(tuple(window.pool)))


def _add_activation(keras: Any, model: KerasModel, negative_slope: float) -> None:  # noqa: ANN401
    if negative_slope:
        model.add(keras.layers.LeakyReLU(negative_slope=negative_slope))
    else:
        model.add(keras.layers.ReLU())


def _deployed(model: KerasModel, dataset: Dataset) -> Outcome:
    """A Keras model as a user would deploy it: converted to full int8, run by TFLM."""
    content = convert_to_int8(model, dataset.train.x[:REPRESENTATIVE_SAMPLES])
    labels, arena_bytes = run_interpreter(content, dataset.test.x)
    accuracy = float(np.mean(labels == dataset.test.y))
    return Outcome((accuracy,), Cost(len(content), arena_bytes, None, NOTE))


def convert_to_int8(model: KerasModel, samples: NDArray[np.float32]) -> bytes:
    """A .tflite with int8 weights, activations, inputs and outputs.

    Args:
        model: trained by Keras.
        samples: float32 [n, inputs] that show the ranges of all values.
    """
    import tensorflow as tf

    def representative() -> Iterator[list[NDArray[np.float32]]]:
        for row in samples:
            yield [row[np.newaxis]]

    with captured_output():
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        return bytes(converter.convert())


def run_interpreter(content: bytes, x: NDArray[np.float32]) -> tuple[NDArray[np.int64], int]:
    """Labels [n] that TFLM gives to samples x [n, inputs], and the bytes of its arena."""
    from tflite_micro import runtime

    with captured_output():
        interpreter = runtime.Interpreter.from_bytes(content)
        quantization = interpreter.get_input_details(0)["quantization_parameters"]
        scale, zero = quantization["scales"][0], quantization["zero_points"][0]
        samples = np.clip(np.rint(x / scale) + zero, -128, 127).astype(np.int8)
        labels = np.empty(len(x), np.int64)
        for n, sample in enumerate(samples):
            interpreter.set_input(sample[np.newaxis], 0)
            interpreter.invoke()
            labels[n] = int(np.argmax(interpreter.get_output(0)))
    with captured_output() as said:
        interpreter.print_allocations()
    return labels, told_arena(said())
