"""FULLY_CONNECTED."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.convolution import Convolution
from spela_mcu.backbone.graph import Shape
from spela_mcu.backbone.operator import WeightedOperator
from spela_mcu.backbone.view import CONVERT_AGAIN, OperatorView
from spela_mcu.backbone.weights import BIAS, INPUT, WEIGHTS, weighted_fields, weights_of
from spela_mcu.backbone.window import Pair, Window


@dataclass(frozen=True, eq=False, kw_only=True)
class FullyConnected(WeightedOperator):
    """A dense layer over the whole input, in whatever shape it is.

    Attributes:
        weights: int8 [units, inputs]; the output's shape is (1, 1, units).
    """

    @property
    def macs(self) -> int:
        """Every weight once."""
        return self.weights.size

    @property
    def lead(self) -> int:
        """0: all inputs are read before anything is written."""
        return 0

    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """One product of matrices."""
        (features,) = maps
        inputs = self.offset_inputs(features).reshape(len(features), -1)
        sums = inputs @ self.weights.T.astype(self.exact_type)
        return self.finish(sums).reshape(len(features), *self.output)


def lower(view: OperatorView) -> FullyConnected | Convolution:
    """FULLY_CONNECTED in integers; over several positions it is a convolution of 1 x 1."""
    source, output = view.shape(view.source(INPUT)), view.shape(view.target)
    weights = weights_of(view, rank=2, axis=0)
    units, inputs = weights.data.shape
    positions, rest = divmod(source.size, inputs)
    if view.operator.options["weights_format"] != "DEFAULT":
        raise view.fault("its weights are shuffled", CONVERT_AGAIN)
    if rest or output.size != positions * units:
        raise view.fault(
            f"weights of the shape {list(weights.data.shape)} do not lead from {source.size} "
            f"values to {output.size}",
            CONVERT_AGAIN,
        )
    per_channel = len(weights.scales) > 1
    if not per_channel:
        _check_bias_scale(view)
    fields = weighted_fields(view, weights, single_product=not per_channel)
    if positions > 1:
        return Convolution(
            input=Shape(positions, 1, inputs),
            output=Shape(positions, 1, units),
            window=Window(Pair(1, 1), Pair(1, 1), Pair(1, 1), Pair(0, 0)),
            weights=weights.data.reshape(units, 1, 1, inputs),
            **fields,
        )
    return FullyConnected(input=source, output=Shape(1, 1, units), weights=weights.data, **fields)


def _check_bias_scale(view: OperatorView) -> None:
    """TensorFlow Lite Micro refuses a bias whose scale is not that of the sums."""
    if not view.has(BIAS):
        return
    quantization = view.tensor(BIAS).quantization
    bias_scale = 0.0 if quantization is None else quantization.scales[0]
    weights = view.tensor(WEIGHTS).quantization
    assert weights is not None  # checked with the weights
    product = view.quantization(view.source(INPUT))[0] * weights.scales[0]
    if abs(product - bias_scale) / view.quantization(view.target)[0] > 0.02:
        raise view.fault(
            f"its bias has the scale {bias_scale:g}, not that of its sums, {product:g}",
            CONVERT_AGAIN,
        )
