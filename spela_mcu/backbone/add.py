"""ADD of two feature maps, or of a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.elementwise import (
    ElementwiseFields,
    element_constant,
    elementwise_fields,
    map_and_constant,
)
from spela_mcu.backbone.graph import Tensor
from spela_mcu.backbone.operator import ElementwiseOperator
from spela_mcu.backbone.requantize import multiply
from spela_mcu.backbone.view import CONVERT_AGAIN, OperatorView


@dataclass(frozen=True, eq=False, kw_only=True)
class Addend:
    """How a summand is brought to the common scale: scaled((value + offset) << LEFT_SHIFT).

    Attributes:
        offset: minus its zero point.
        multiplier, shift: see `requantize.Multiplier`; shift <= 0.
    """

    LEFT_SHIFT: ClassVar[int] = 20

    offset: int
    multiplier: int
    shift: int

    def scaled(self, values: NDArray[np.integer]) -> NDArray[np.int64]:
        """Integers in the common scale; less than 2^28 in magnitude."""
        shifted = (values.astype(np.int64) + self.offset) << self.LEFT_SHIFT
        return multiply(shifted, self.multiplier, self.shift)


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(ElementwiseOperator):
    """The sum of two feature maps; shift <= 0.

    Attributes:
        addends: how each of the two is scaled, in the order of the step's sources.
    """

    addends: tuple[Addend, Addend]

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The scaled sum of both."""
        first, second = (addend.scaled(m) for addend, m in zip(self.addends, maps, strict=True))
        return self.finish(first + second)


@dataclass(frozen=True, eq=False, kw_only=True)
class AddConstant(ElementwiseOperator):
    """A feature map plus a constant; shift <= 0.

    Attributes:
        addend: how the feature map is scaled.
        constant: int32, already scaled: [channels], the same for each position, or [elements].
            Element i of the output takes constant[i % len(constant)].
    """

    addend: Addend
    constant: NDArray[np.int32]

    @property
    def table_bytes(self) -> int:
        """The constant."""
        return self.constant.nbytes

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The scaled sum."""
        (features,) = maps
        flat = self.addend.scaled(features).reshape(-1, len(self.constant))
        return self.finish(flat + self.constant).reshape(features.shape)


def lower(view: OperatorView) -> Add | AddConstant:
    """ADD in integers."""
    first, second = view.tensor(0), view.tensor(1)
    twice = 2 * max(view.quantization(first)[0], view.quantization(second)[0])
    shape = view.shape(view.target)
    if first.data is None and second.data is None:
        if not view.shape(first) == view.shape(second) == shape:
            raise view.fault("it adds feature maps of different shapes")
        return Add(
            input=shape,
            output=shape,
            addends=(_addend(view, first, twice), _addend(view, second, twice)),
            **_sum_fields(view, twice),
        )
    source, other = map_and_constant(view)
    constant = _addend(view, view.tensor(other), twice).scaled(element_constant(view, other))
    return AddConstant(
        input=shape,
        output=shape,
        addend=_addend(view, view.tensor(source), twice),
        constant=constant.astype(np.int32),
        **_sum_fields(view, twice),
    )


def _addend(view: OperatorView, tensor: Tensor, twice: float) -> Addend:
    scale, zero_point = view.quantization(tensor)
    factor = view.multiplier(scale / twice, 255 << Addend.LEFT_SHIFT)
    return Addend(offset=-zero_point, multiplier=factor.multiplier, shift=factor.shift)


def _sum_fields(view: OperatorView, twice: float) -> ElementwiseFields:
    scale, _ = view.quantization(view.target)
    real = twice / ((1 << Addend.LEFT_SHIFT) * scale)
    # Summands are below 2^27, since their factors are at most 1/2.
    fields = elementwise_fields(view, real, 1 << 28)
    if real >= 1 or fields["shift"] > 0:
        raise view.fault(f"its output's scale, {scale:g}, is far too small", CONVERT_AGAIN)
    return fields
