"""What the lowerings of operators with weights have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.requantize import Multiplier
from spela_mcu.backbone.view import CONVERT_AGAIN, INTEGERS_ONLY, OperatorView

INPUT, WEIGHTS, BIAS = 0, 1, 2
"""Inputs of such an operator."""


class WeightedFields(TypedDict):
    """Fields of `WeightedOperator`, but for shapes and weights."""

    input_offset: int
    output_offset: int
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    activation_min: int
    activation_max: int
    bound: int


@dataclass(frozen=True, eq=False)
class Weights:
    """An operator's weights.

    Attributes:
        data: int8, in the file's shape.
        axis: the dimension of the output channels.
        scales: float32 values, one for each output channel, or one for all.
    """

    data: NDArray[np.int8]
    axis: int
    scales: tuple[float, ...]

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.data.shape[self.axis])


def weights_of(view: OperatorView, rank: int, axis: int) -> Weights:
    """The weights, which have `rank` dimensions and their output channels along `axis`.

    Raises:
        UserError: they are not of that kind.
    """
    tensor = view.tensor(WEIGHTS)
    data = view.constant(WEIGHTS, "int8")
    if data.ndim != rank or not data.size:
        raise view.fault(f"its weights have the shape {list(tensor.shape)}", CONVERT_AGAIN)
    quantization = tensor.quantization
    if quantization is None:
        raise view.fault(f"its weights {tensor.name!r} are not quantised", INTEGERS_ONLY)
    if any(quantization.zero_points):
        raise view.fault(f"its weights {tensor.name!r} have a zero point other than 0")
    count = len(quantization.scales)
    along = axis % rank
    if count != 1 and (count != data.shape[along] or quantization.axis != along):
        raise view.fault(
            f"its weights {tensor.name!r} have {count} scales along dimension {quantization.axis}, "
            f"not one for each of {data.shape[along]} output channels",
            CONVERT_AGAIN,
        )
    return Weights(data.astype(np.int8), along, quantization.scales)


def weighted_fields(
    view: OperatorView, weights: Weights, *, single_product: bool = False
) -> WeightedFields:
    """All but shapes and weights of a `WeightedOperator`.

    Args:
        view: the operator.
        weights: its weights.
        single_product: input scale and weight scale are multiplied in float32, not in float64.

    Raises:
        UserError: sums may exceed 32 bits, or something about the tensors is not supported.
    """
    scale, zero_point = view.quantization(view.source(INPUT))
    output_scale, output_zero_point = view.quantization(view.target)
    channels = weights.channels
    bias = _bias(view, channels)
    others = tuple(axis for axis in range(weights.data.ndim) if axis != weights.axis)
    magnitudes = np.abs(weights.data.astype(np.int64)).sum(others)
    sums = magnitudes * max(127 - zero_point, 128 + zero_point)
    bounds = sums + np.abs(bias.astype(np.int64))
    multipliers: list[Multiplier] = []
    for channel in range(channels):
        weight_scale = weights.scales[channel if len(weights.scales) > 1 else 0]
        product = scale * weight_scale
        if single_product:
            product = float(np.float32(scale) * np.float32(weight_scale))
        multipliers.append(view.multiplier(product / output_scale, int(bounds[channel])))
    least, greatest = view.activation_range
    return WeightedFields(
        input_offset=-zero_point,
        output_offset=output_zero_point,
        bias=bias,
        multiplier=np.array([one.multiplier for one in multipliers], np.int32),
        shift=np.array([one.shift for one in multipliers], np.int32),
        activation_min=least,
        activation_max=greatest,
        bound=int(sums.max()),
    )


def _bias(view: OperatorView, channels: int) -> NDArray[np.int32]:
    if not view.has(BIAS):
        return np.zeros(channels, np.int32)
    bias = view.constant(BIAS, "int32")
    if bias.size != channels:
        raise view.fault(f"it has {bias.size} biases for {channels} channels", CONVERT_AGAIN)
    return bias.ravel().astype(np.int32)
