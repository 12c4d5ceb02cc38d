"""MUL by a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.elementwise import (
    element_constant,
    elementwise_fields,
    map_and_constant,
)
from spela_mcu.backbone.operator import ElementwiseOperator
from spela_mcu.backbone.view import OperatorView


@dataclass(frozen=True, eq=False, kw_only=True)
class MultiplyConstant(ElementwiseOperator):
    """output = clamp(output_offset + scaled((input + input_offset) * factor)).

    Attributes:
        input_offset: minus the input's zero point.
        factor: int16, the constant minus its zero point, in [-255, 255]: [channels], the same for
            each position, or [elements]. Element i takes factor[i % len(factor)].
    """

    input_offset: int
    factor: NDArray[np.int16]

    @property
    def table_bytes(self) -> int:
        """The factors."""
        return self.factor.nbytes

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The scaled product."""
        (features,) = maps
        flat = (features.astype(np.int64) + self.input_offset).reshape(-1, len(self.factor))
        return self.finish(flat * self.factor).reshape(features.shape)


def lower(view: OperatorView) -> MultiplyConstant:
    """MUL by a constant in integers."""
    source, other = map_and_constant(view)
    scale, zero_point = view.quantization(view.tensor(source))
    constant_scale, constant_zero_point = view.quantization(view.tensor(other))
    output_scale, _ = view.quantization(view.target)
    # In the order of the inputs, as it is rounded.
    first, second = (scale, constant_scale) if source == 0 else (constant_scale, scale)
    shape = view.shape(view.target)
    return MultiplyConstant(
        input=shape,
        output=shape,
        input_offset=-zero_point,
        factor=element_constant(view, other).astype(np.int16) - np.int16(constant_zero_point),
        **elementwise_fields(view, first * second / output_scale, 255 * 255),
    )
