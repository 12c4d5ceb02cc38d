"""From the bytes of a .tflite to a `Graph`."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import tflite
from numpy.typing import NDArray

from spela_mcu.backbone.graph import Graph, Operator, Quantization, Tensor
from spela_mcu.errors import UserError
from spela_mcu.files import MEBIBYTE, read_bounded

MOST_BYTES: Final = 16 * MEBIBYTE
"""Of a file: more than the flash of any chip."""

MOST_TENSORS: Final = 10_000
MOST_OPERATORS: Final = 1_000

_IDENTIFIER: Final = b"TFL3"
_DAMAGE: Final = (struct.error, IndexError, ValueError, TypeError, OverflowError)
"""What reading a damaged file raises in the packages that read it."""

_NUMPY: Final = {
    "float32": np.float32,
    "float16": np.float16,
    "int64": np.int64,
    "int32": np.int32,
    "int16": np.int16,
    "int8": np.int8,
    "uint8": np.uint8,
}


def _names(enumeration: type) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if name[0] != "_"}


_TYPES: Final = {number: name.lower() for number, name in _names(tflite.TensorType).items()}
_KINDS: Final = _names(tflite.BuiltinOperator)
_ACTIVATIONS: Final = _names(tflite.ActivationFunctionType)
_PADDINGS: Final = _names(tflite.Padding)
_FORMATS: Final = _names(tflite.FullyConnectedOptionsWeightsFormat)

_ACTIVATION: Final = {"activation": ("FusedActivationFunction", _ACTIVATIONS)}
_STRIDES: Final = {
    "padding": ("Padding", _PADDINGS),
    "stride_height": ("StrideH", None),
    "stride_width": ("StrideW", None),
}
_DILATIONS: Final = {
    "dilation_height": ("DilationHFactor", None),
    "dilation_width": ("DilationWFactor", None),
}
_POOL: Final = (
    tflite.Pool2DOptions,
    tflite.BuiltinOptions.Pool2DOptions,
    {
        "filter_height": ("FilterHeight", None),
        "filter_width": ("FilterWidth", None),
        **_STRIDES,
        **_ACTIVATION,
    },
)
_OPTIONS: Final[dict[str, tuple[Callable[[], Any], int, dict[str, tuple[str, Any]]]]] = {
    "CONV_2D": (
        tflite.Conv2DOptions,
        tflite.BuiltinOptions.Conv2DOptions,
        {**_STRIDES, **_DILATIONS, **_ACTIVATION},
    ),
    "DEPTHWISE_CONV_2D": (
        tflite.DepthwiseConv2DOptions,
        tflite.BuiltinOptions.DepthwiseConv2DOptions,
        {"depth_multiplier": ("DepthMultiplier", None), **_STRIDES, **_DILATIONS, **_ACTIVATION},
    ),
    "FULLY_CONNECTED": (
        tflite.FullyConnectedOptions,
        tflite.BuiltinOptions.FullyConnectedOptions,
        {"weights_format": ("WeightsFormat", _FORMATS), **_ACTIVATION},
    ),
    "AVERAGE_POOL_2D": _POOL,
    "MAX_POOL_2D": _POOL,
    "ADD": (tflite.AddOptions, tflite.BuiltinOptions.AddOptions, _ACTIVATION),
    "MUL": (tflite.MulOptions, tflite.BuiltinOptions.MulOptions, _ACTIVATION),
}
"""Of each kind that needs options: their class, its number, and name, reader and enumeration."""


def read_graph(file: Path) -> Graph:
    """The graph of a .tflite.

    Raises:
        UserError: there is no such file, it is not a .tflite, is damaged or too large, or holds
            something that no operator here could take.
    """
    try:
        content = read_bounded(file, MOST_BYTES)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError("is not a file", mend="correct the path", file=file) from error
    if content[4:8] != _IDENTIFIER:
        raise UserError(
            "is not a TensorFlow Lite model",
            mend="name a .tflite file, as TensorFlow's converter writes it",
            file=file,
        )
    try:
        return _Reader(file, content).graph()
    except _DAMAGE as error:
        raise _damaged(file, "a part lies beyond its end") from error


def _damaged(file: Path, detail: str) -> UserError:
    return UserError(f"is damaged: {detail}", mend="convert or download the model again", file=file)


class _Reader:
    """Reads a model in one pass.

    All vectors of an intact file together are about as long as the file. A damaged one may name
    the same long vector a thousand times, which would take minutes and gigabytes.
    """

    def __init__(self, file: Path, content: bytes) -> None:
        self.file = file
        self.left = 2 * len(content)
        self.model = tflite.Model.GetRootAs(content, 0)

    def graph(self) -> Graph:
        """See `read_graph`."""
        if self.model.SubgraphsLength() != 1:
            raise UserError(
                f"has {self.model.SubgraphsLength()} subgraphs",
                mend="convert a model without control flow (if, while): it has one",
                file=self.file,
            )
        subgraph = self.model.Subgraphs(0)
        tensors = tuple(
            self.tensor(index, subgraph.Tensors(index))
            for index in range(self.count(subgraph.TensorsLength(), MOST_TENSORS, "tensors"))
        )
        operators = tuple(
            self.operator(index, subgraph.Operators(index))
            for index in range(self.count(subgraph.OperatorsLength(), MOST_OPERATORS, "operators"))
        )
        graph = Graph(
            self.file,
            tensors,
            operators,
            self.integers(subgraph.InputsLength(), subgraph.InputsAsNumpy),
            self.integers(subgraph.OutputsLength(), subgraph.OutputsAsNumpy),
        )
        named = chain(
            graph.inputs, graph.outputs, *((*one.inputs, *one.outputs) for one in operators)
        )
        if not all(-1 <= index < len(tensors) for index in named):
            raise _damaged(self.file, "a tensor that does not exist is named")
        return graph

    def count(self, number: int, most: int, what: str) -> int:
        """How many parts there are, unless they are absurdly many."""
        if number > most:
            raise _damaged(self.file, f"it seems to have {number} {what}")
        return number

    def charge(self, size: int) -> None:
        """Counts bytes of a vector."""
        self.left -= size
        if self.left < 0:
            raise _damaged(self.file, "its parts are longer than the file")

    def integers(self, length: int, read: Callable[[], Any]) -> tuple[int, ...]:
        """A vector of numbers."""
        self.charge(4 * length)
        return tuple(int(value) for value in read()) if length else ()

    def name(self, text: bytes | None) -> str:
        """A string."""
        self.charge(len(text or b""))
        return (text or b"").decode(errors="replace")

    def tensor(self, index: int, tensor: Any) -> Tensor:  # noqa: ANN401
        """One tensor."""
        name = self.name(tensor.Name()) or f"tensor {index}"
        shape = self.integers(tensor.ShapeLength(), tensor.ShapeAsNumpy)
        kind = _TYPES.get(tensor.Type(), "unknown")
        if tensor.Sparsity() is not None:
            raise UserError(
                f"tensor {name!r} is sparse",
                mend="convert the model without sparsity",
                file=self.file,
            )
        return Tensor(
            name,
            shape,
            kind,
            self.quantization(name, tensor.Quantization()),
            self.data(name, shape, kind, self.model.Buffers(tensor.Buffer())),
        )

    def quantization(self, name: str, parameters: Any) -> Quantization | None:  # noqa: ANN401
        """A tensor's scales."""
        if parameters is None or not parameters.ScaleLength():
            return None
        self.charge(12 * parameters.ScaleLength())
        scales = tuple(float(scale) for scale in parameters.ScaleAsNumpy())
        if parameters.ZeroPointLength() not in (0, len(scales)):
            raise _damaged(self.file, f"tensor {name!r} has not one zero point a scale")
        zero_points = (
            tuple(int(zero) for zero in parameters.ZeroPointAsNumpy())
            if parameters.ZeroPointLength()
            else (0,) * len(scales)
        )
        if not all(0 <= scale < np.inf for scale in scales):
            raise _damaged(self.file, f"tensor {name!r} has a scale that is not a number")
        return Quantization(scales, zero_points, parameters.QuantizedDimension())

    def data(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: str,
        buffer: Any,  # noqa: ANN401
    ) -> NDArray[np.generic] | None:
        """A tensor's constant; the bytes as they are if numpy has no such type."""
        if buffer is None or not buffer.DataLength():
            return None
        self.charge(buffer.DataLength())
        content = buffer.DataAsNumpy()
        if kind not in _NUMPY:
            return np.asarray(content)
        size = np.dtype(_NUMPY[kind]).itemsize * prod(shape)
        if len(content) != size or min(shape, default=0) < 0:
            raise _damaged(
                self.file, f"tensor {name!r} has {len(content)} bytes, which is not its shape"
            )
        values = np.frombuffer(content.tobytes(), np.dtype(_NUMPY[kind]).newbyteorder("<"))
        return values.reshape(shape)

    def operator(self, index: int, operator: Any) -> Operator:  # noqa: ANN401
        """One operator."""
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = _KINDS.get(number, f"operator number {number}")
        if kind == "CUSTOM":
            kind = f"custom operator {self.name(code.CustomCode())}"
        return Operator(
            index,
            kind,
            self.integers(operator.InputsLength(), operator.InputsAsNumpy),
            self.integers(operator.OutputsLength(), operator.OutputsAsNumpy),
            self.options(kind, operator),
        )

    def options(self, kind: str, operator: Any) -> dict[str, int | str]:  # noqa: ANN401
        """An operator's options, as far as they matter."""
        if kind not in _OPTIONS:
            return {}
        make, number, members = _OPTIONS[kind]
        table = operator.BuiltinOptions()
        if table is None or operator.BuiltinOptionsType() != number:
            raise _damaged(self.file, f"a {kind} without options")
        options = make()
        options.Init(table.Bytes, table.Pos)
        values: dict[str, int | str] = {}
        for name, (reader, enumeration) in members.items():
            value = getattr(options, reader)()
            values[name] = value if enumeration is None else enumeration.get(value, f"{value}")
        return values
