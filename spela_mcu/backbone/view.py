"""One operator of a graph with its tensors, as a kind's lowering looks at it: checked."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.graph import ABSENT, Graph, Operator, Quantization, Shape, Tensor
from spela_mcu.backbone.requantize import (
    INT8_MAX,
    INT8_MIN,
    Multiplier,
    quantize_multiplier,
    sum_fits,
)
from spela_mcu.errors import UserError

MOST_ELEMENTS: Final = 1 << 22
"""Of a feature map: more than the RAM of any chip."""

INTEGERS_ONLY: Final = (
    "convert it with full integer quantisation: converter.optimizations = "
    "[tf.lite.Optimize.DEFAULT], converter.representative_dataset = a function that yields "
    "samples, converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8], "
    "converter.inference_input_type = tf.int8"
)
ANOTHER_LAYER: Final = (
    "use a layer that is supported (docs/backbone.md), or choose a cut before this operator"
)
CONVERT_AGAIN: Final = "convert the model again with a current TensorFlow, or choose an earlier cut"


@dataclass(frozen=True)
class OperatorView:
    """An operator and its tensors. Every method raises `UserError` for what cannot be lowered."""

    graph: Graph
    operator: Operator

    def fault(self, reason: str, mend: str = ANOTHER_LAYER) -> UserError:
        """An error that names the operator and the tensor that it writes."""
        return self.graph.fault(self.operator, reason, mend)

    def option(self, name: str) -> int:
        """A number of its options."""
        return int(self.operator.options[name])

    def has(self, index: int) -> bool:
        """Whether there is an input of that index."""
        return index < len(self.operator.inputs) and self.operator.inputs[index] != ABSENT

    def tensor(self, index: int) -> Tensor:
        """An input, whatever it is."""
        if not self.has(index):
            raise self.fault(f"input {index} is missing", CONVERT_AGAIN)
        return self.graph.tensors[self.operator.inputs[index]]

    @property
    def target(self) -> Tensor:
        """The output."""
        if len(self.operator.outputs) != 1 or self.operator.outputs[0] == ABSENT:
            raise self.fault("it has not one output", CONVERT_AGAIN)
        return self.graph.tensors[self.operator.outputs[0]]

    def source(self, index: int = 0) -> Tensor:
        """An input that is an activation."""
        tensor = self.tensor(index)
        if tensor.data is not None:
            raise self.fault(f"its input {tensor.name!r} is a constant")
        return tensor

    def shape(self, tensor: Tensor) -> Shape:
        """The shape of an activation without its batch: [n] is (1, 1, n), [t, c] is (t, 1, c)."""
        if not tensor.shape or tensor.shape[0] != 1:
            raise self.fault(
                f"tensor {tensor.name!r} has the shape {list(tensor.shape)}, whose first dimension "
                "should be a batch of 1",
                "convert the model with a batch of 1",
            )
        inner = tensor.shape[1:]
        if len(inner) > 3:
            raise self.fault(f"tensor {tensor.name!r} has {len(tensor.shape)} dimensions")
        if not all(0 < size < 1 << 16 for size in inner) or prod(inner) > MOST_ELEMENTS:
            raise self.fault(
                f"tensor {tensor.name!r} has the shape {list(tensor.shape)}, for which no chip "
                "has room"
            )
        match inner:
            case (height, width, channels):
                return Shape(height, width, channels)
            case (length, channels):
                return Shape(length, 1, channels)
            case _:
                return Shape(1, 1, prod(inner))

    def quantization(self, tensor: Tensor) -> tuple[float, int]:
        """Scale and zero point of an int8 tensor that has one of each."""
        if tensor.type != "int8" or tensor.quantization is None:
            raise self.fault(
                f"tensor {tensor.name!r} is {tensor.type}, not quantised int8", INTEGERS_ONLY
            )
        return self._single(tensor, tensor.quantization)

    def _single(self, tensor: Tensor, quantization: Quantization) -> tuple[float, int]:
        (scale, *others), zero_point = quantization.scales, quantization.zero_points[0]
        if others or scale <= 0 or not INT8_MIN <= zero_point <= INT8_MAX:
            raise self.fault(
                f"tensor {tensor.name!r} has not one positive scale and one zero point in "
                f"{INT8_MIN} ... {INT8_MAX}",
                CONVERT_AGAIN,
            )
        return scale, zero_point

    def constant(self, index: int, kind: str) -> NDArray[np.generic]:
        """The data of an input that is a constant of type `kind`."""
        tensor = self.tensor(index)
        if tensor.type != kind:
            raise self.fault(f"tensor {tensor.name!r} is {tensor.type}, not {kind}", INTEGERS_ONLY)
        if tensor.data is None:
            raise self.fault(f"its input {tensor.name!r} is not a constant")
        return tensor.data

    def integers(self, index: int) -> list[int]:
        """The data of an input that is a small constant: axes, paddings."""
        tensor = self.tensor(index)
        if tensor.type not in ("int32", "int64") or tensor.data is None or tensor.data.size > 16:
            raise self.fault(f"its input {tensor.name!r} is not a constant of a few integers")
        return [int(value) for value in tensor.data.ravel()]

    def multiplier(self, real: float, bound: int) -> Multiplier:
        """A factor for integers within +-`bound`."""
        try:
            quantized = quantize_multiplier(real)
        except OverflowError as error:
            raise self.fault(f"its scales have the ratio {real:g}", CONVERT_AGAIN) from error
        if not sum_fits(bound, quantized.shift):
            raise self.fault(
                f"its values may exceed 32 bits: up to {bound}, times {real:g}", CONVERT_AGAIN
            )
        return quantized

    @property
    def activation_range(self) -> tuple[int, int]:
        """The clamp that its fused activation is, in the output's integers."""
        scale, zero_point = self.quantization(self.target)
        match self.operator.options.get("activation", "NONE"):
            case "NONE":
                return INT8_MIN, INT8_MAX
            case "RELU":
                return max(INT8_MIN, zero_point), INT8_MAX
            case "RELU6":
                return self.clamp(0, 6, scale, zero_point)
            case "RELU_N1_TO_1":
                return self.clamp(-1, 1, scale, zero_point)
            case other:
                raise self.fault(f"its fused activation is {other}")

    def clamp(self, least: float, greatest: float, scale: float, zero: int) -> tuple[int, int]:
        """Two real values as integers of a scale, within int8."""
        low, high = (
            int(np.clip(zero + _rounded(value, scale), INT8_MIN, INT8_MAX))
            for value in (least, greatest)
        )
        return low, high


def _rounded(value: float, scale: float) -> int:
    # A quotient of float32, rounded half away from zero.
    quotient = float(np.float32(value) / np.float32(scale))
    return int(np.sign(quotient) * np.floor(min(abs(quotient), 512.0) + 0.5))
