"""Builds .tflite files, and runs them in TensorFlow Lite Micro, tensor by tensor."""

import importlib
import math
from dataclasses import dataclass, field

import flatbuffers
import numpy as np
import tflite

ENUMERATIONS = {
    "Padding": tflite.Padding,
    "FusedActivationFunction": tflite.ActivationFunctionType,
}
TYPES = {
    "float32": tflite.TensorType.FLOAT32,
    "float16": tflite.TensorType.FLOAT16,
    "int8": tflite.TensorType.INT8,
    "uint8": tflite.TensorType.UINT8,
    "int16": tflite.TensorType.INT16,
    "int32": tflite.TensorType.INT32,
}
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "ADD": "AddOptions",
    "MUL": "MulOptions",
    "MEAN": "ReducerOptions",
    "SOFTMAX": "SoftmaxOptions",
}

WINDOW = {
    "Padding": "SAME",
    "StrideH": 1,
    "StrideW": 1,
    "DilationHFactor": 1,
    "DilationWFactor": 1,
}
"""Options of a convolution of every position, and of its input's size."""


@dataclass
class TensorSpec:
    name: str
    shape: tuple
    type: str
    scales: tuple = ()
    zeros: tuple = ()
    axis: int = 0
    data: np.ndarray | None = None


@dataclass
class TfliteModel:
    """A model in the making: add tensors and operators, then `build`."""

    tensors: list = field(default_factory=list)
    operators: list = field(default_factory=list)
    inputs: list = field(default_factory=list)
    outputs: list = field(default_factory=list)

    def activation(self, name, shape, scale=0.05, zero=0, kind="int8"):
        quantised = kind in ("int8", "uint8", "int16")
        scales, zeros = ((scale,), (zero,)) if quantised else ((), ())
        self.tensors.append(TensorSpec(name, tuple(shape), kind, scales, zeros))
        return len(self.tensors) - 1

    def constant(self, name, data, scales=(), zeros=None, axis=0):
        zeros = (0,) * len(scales) if zeros is None else zeros
        self.tensors.append(
            TensorSpec(name, data.shape, data.dtype.name, tuple(scales), tuple(zeros), axis, data)
        )
        return len(self.tensors) - 1

    def operator(self, kind, inputs, outputs, **options):
        self.operators.append((kind, list(inputs), list(outputs), options))

    def sample(self, shape, scale=0.05, zero=0, kind="int8", name="sample"):
        self.inputs.append(self.activation(name, shape, scale, zero, kind))
        return self.inputs[-1]

    def shape(self, index):
        return self.tensors[index].shape

    def build(self):
        builder = flatbuffers.Builder(1024)
        codes = list(dict.fromkeys(kind for kind, *_ in self.operators))
        code_tables = [_operator_code(builder, kind) for kind in codes]
        empty = _table(builder, "Buffer")
        buffers, tensors, shared = [empty], [], {}
        for tensor in self.tensors:
            number = 0
            if tensor.data is not None:
                little = tensor.data.astype(tensor.data.dtype.newbyteorder("<"))
                content = builder.CreateByteVector(little.tobytes())
                number = len(buffers)
                buffers.append(_table(builder, "Buffer", Data=content))
            tensors.append(_tensor(builder, tensor, number, shared))
        operators = [
            _operator(builder, codes.index(kind), kind, *rest) for kind, *rest in self.operators
        ]
        subgraph = _table(
            builder,
            "SubGraph",
            Tensors=_offsets(builder, tensors),
            Operators=_offsets(builder, operators),
            Inputs=builder.CreateNumpyVector(np.array(self.inputs, np.int32)),
            Outputs=builder.CreateNumpyVector(
                np.array(self.outputs or [self.operators[-1][2][0]], np.int32)
            ),
        )
        model = _table(
            builder,
            "Model",
            Version=3,
            OperatorCodes=_offsets(builder, code_tables),
            Subgraphs=_offsets(builder, [subgraph]),
            Buffers=_offsets(builder, buffers),
        )
        builder.Finish(model, b"TFL3")
        return bytes(builder.Output())


def _table(builder, kind, **fields):
    module = importlib.import_module(f"tflite.{kind}")
    module.Start(builder)
    for name, value in fields.items():
        number = getattr(ENUMERATIONS[name], value) if isinstance(value, str) else value
        getattr(module, f"Add{name}")(builder, number)
    return module.End(builder)


def _offsets(builder, items):
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item)
    return builder.EndVector()


def _operator_code(builder, kind):
    number = getattr(tflite.BuiltinOperator, kind)
    return _table(
        builder,
        "OperatorCode",
        DeprecatedBuiltinCode=min(number, 127),
        BuiltinCode=number,
        Version=1,
    )


def _tensor(builder, tensor, buffer, shared):
    fields = {
        "Shape": builder.CreateNumpyVector(np.array(tensor.shape, np.int32)),
        "Name": builder.CreateString(tensor.name),
    }
    if tensor.scales:
        key = (id(tensor.scales), id(tensor.zeros))
        if key not in shared:
            shared[key] = (
                builder.CreateNumpyVector(np.array(tensor.scales, np.float32)),
                builder.CreateNumpyVector(np.array(tensor.zeros, np.int64)),
            )
        scales, zeros = shared[key]
        fields["Quantization"] = _table(
            builder,
            "QuantizationParameters",
            Scale=scales,
            ZeroPoint=zeros,
            QuantizedDimension=tensor.axis,
        )
    return _table(builder, "Tensor", Type=TYPES[tensor.type], Buffer=buffer, **fields)


def _operator(builder, code, kind, inputs, outputs, options):
    fields = {}
    if kind in OPTIONS:
        name = OPTIONS[kind]
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, name)
        fields["BuiltinOptions"] = _table(builder, name, **options)
    return _table(
        builder,
        "Operator",
        OpcodeIndex=code,
        Inputs=builder.CreateNumpyVector(np.array(inputs, np.int32)),
        Outputs=builder.CreateNumpyVector(np.array(outputs, np.int32)),
        **fields,
    )


class Layers:
    """Adds operators with random weights, scales and zero points to a model.

    Output scales are such that most outputs lie within int8 and some beyond.
    """

    def __init__(self, model, rng):
        self.model, self.rng, self.count = model, rng, 0

    def output(self, shape, spread, zero=None):
        self.count += 1
        scale = float(np.float32(spread * self.rng.uniform(0.5, 2)))
        zero = int(self.rng.integers(-128, 128)) if zero is None else zero
        return self.model.activation(f"map{self.count}", shape, scale, zero)

    def weighted(self, kind, source, shape, axis, output, **options):
        """`shape`: of the weights, whose output channels lie along `axis`."""
        model, rng = self.model, self.rng
        per_channel = options.pop("per_channel", True)
        with_bias = options.pop("bias", True)
        channels = shape[axis]
        scales = rng.uniform(0.001, 0.05, channels if per_channel else 1).astype(np.float32)
        data = rng.integers(-127, 128, shape).astype(np.int8)
        weights = model.constant(f"w{self.count}", data, scales, axis=axis % len(shape))
        inputs = [source, weights]
        scale = model.tensors[source].scales[0]
        if with_bias:
            bias = rng.integers(-5000, 5000, channels).astype(np.int32)
            inputs.append(model.constant(f"b{self.count}", bias, scales * np.float32(scale)))
        taps = data.size // channels
        target = self.output(output, scale * 1.4 * math.sqrt(taps))
        model.operator(kind, inputs, [target], **options)
        return target


def windowed(size, reach, stride, padding):
    """Rows or columns of the output."""
    return -(-size // stride) if padding == "SAME" else (size - reach) // stride + 1


def tflm_tensors(content, samples):
    """All tensors of TensorFlow Lite Micro by name, [samples, ...], for int8 samples."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(
        content,
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
        arena_size=max(4_000_000, 10 * len(content)),
    )
    subgraph = tflite.Model.GetRootAs(content, 0).Subgraphs(0)
    written = [
        index
        for number in range(subgraph.OperatorsLength())
        for index in subgraph.Operators(number).OutputsAsNumpy()
    ]
    names = {subgraph.Tensors(index).Name().decode(): index for index in written}
    shape = subgraph.Tensors(subgraph.Inputs(0)).ShapeAsNumpy()
    results = {name: [] for name in names}
    for sample in samples:
        interpreter.set_input(sample.reshape(shape), 0)
        interpreter.invoke()
        for name, index in names.items():
            results[name].append(interpreter.GetTensor(int(index), 0)["tensor_data"].copy())
    return {name: np.stack(values) for name, values in results.items()}
