"""What the lowerings of elementwise operators have in common."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.view import CONVERT_AGAIN, OperatorView


class ElementwiseFields(TypedDict):
    """Fields of `ElementwiseOperator`, but for shapes."""

    output_offset: int
    multiplier: int
    shift: int
    activation_min: int
    activation_max: int


def elementwise_fields(view: OperatorView, real: float, bound: int) -> ElementwiseFields:
    """All but shapes of an operator that scales integers within +-`bound` by `real`."""
    factor = view.multiplier(real, bound)
    least, greatest = view.activation_range
    return ElementwiseFields(
        output_offset=view.quantization(view.target)[1],
        multiplier=factor.multiplier,
        shift=factor.shift,
        activation_min=least,
        activation_max=greatest,
    )


def map_and_constant(view: OperatorView) -> tuple[int, int]:
    """Which of two inputs is the feature map, and which the constant.

    Raises:
        UserError: not one of them is, or the feature map has not the output's shape.
    """
    constants = [index for index in (0, 1) if view.tensor(index).data is not None]
    if len(constants) != 1:
        raise view.fault("not one of its inputs is a constant")
    source = 1 - constants[0]
    if view.shape(view.source(source)) != view.shape(view.target):
        raise view.fault("its output has not the shape of its input")
    return source, constants[0]


def element_constant(view: OperatorView, index: int) -> NDArray[np.int8]:
    """The constant for each element: [channels] if it is the same at each position."""
    shape = view.shape(view.target)
    data = view.constant(index, "int8").astype(np.int8)
    try:
        full = np.broadcast_to(data, view.target.shape)
    except ValueError as error:
        raise view.fault(
            f"its constant of the shape {list(data.shape)} does not fit", CONVERT_AGAIN
        ) from error
    rows = full.reshape(shape.positions, shape.channels)
    return rows[0] if (rows == rows[0]).all() else rows.ravel()
