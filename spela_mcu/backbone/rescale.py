"""QUANTIZE of int8, RELU and RELU6: each value by itself to another scale, clamped."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.elementwise import elementwise_fields
from spela_mcu.backbone.operator import ElementwiseOperator
from spela_mcu.backbone.view import OperatorView


@dataclass(frozen=True, eq=False, kw_only=True)
class Rescale(ElementwiseOperator):
    """output = clamp(output_offset + scaled(input + input_offset)).

    Attributes:
        input_offset: minus the input's zero point.
    """

    input_offset: int

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The scaled values."""
        (features,) = maps
        return self.finish(features.astype(np.int64) + self.input_offset)


def lower_quantize(view: OperatorView) -> Rescale:
    """QUANTIZE from int8 to int8 in integers."""
    return _lower(view, view.quantization(view.source())[0] / view.quantization(view.target)[0])


def lower_relu(view: OperatorView) -> Rescale:
    """RELU in integers: a factor that is a quotient of float32, and a clamp."""
    scale, output_scale = view.quantization(view.source())[0], view.quantization(view.target)[0]
    _, output_zero_point = view.quantization(view.target)
    rescale = _lower(view, float(np.float32(scale) / np.float32(output_scale)))
    return replace(rescale, activation_min=output_zero_point)


def lower_relu6(view: OperatorView) -> Rescale:
    """RELU6 in integers: a clamp in the input's scale, whatever the output's is."""
    scale, zero_point = view.quantization(view.source())
    _, greatest = view.clamp(0, 6, scale, zero_point)
    return replace(
        _lower(view, 1.0),
        output_offset=zero_point,
        activation_min=zero_point,
        activation_max=greatest,
    )


def _lower(view: OperatorView, real: float) -> Rescale:
    shape = view.shape(view.target)
    if view.shape(view.source()) != shape:
        raise view.fault("its output has not the shape of its input")
    return Rescale(
        input=shape,
        output=shape,
        input_offset=-view.quantization(view.source())[1],
        **elementwise_fields(view, real, 255),
    )
