"""What every lowered operator has: shapes, a forward pass in integers, and its costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.graph import Shape
from spela_mcu.backbone.requantize import INT8_MAX, INT8_MIN, multiply, to_int8


@dataclass(frozen=True, eq=False, kw_only=True)
class LoweredOperator(ABC):
    """One step of a backbone in integers only.

    Feature maps are int8 in the order rows, columns, channels.

    Attributes:
        input: shape of a feature map that it reads; where it reads two, both have it.
        output: shape of the feature map that it writes.
    """

    input: Shape
    output: Shape

    @abstractmethod
    def forward(self, *maps: NDArray[np.int8]) -> NDArray[np.int8]:
        """The output [samples, *output] for inputs [samples, *input], vectorised over samples."""

    @property
    @abstractmethod
    def macs(self) -> int:
        """Multiply-accumulates for one sample, as counted without padding."""

    @property
    def table_bytes(self) -> int:
        """Bytes of its constant tables in flash."""
        return 0

    @property
    @abstractmethod
    def lead(self) -> int:
        """Bytes by which the output must begin before an input that shares its memory.

        It follows from the order in which the kind's kernels read and write; with this many bytes
        they overwrite no input that is still to be read. 0: both may begin at the same address.
        """

    @property
    def unit(self) -> int:
        """The output may begin as many bytes further before that input as a multiple of this."""
        return 1


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightedOperator(LoweredOperator):
    """An operator that sums inputs times weights: convolution, depthwise, fully connected.

    output = clamp(output_offset + scaled(bias + sum of weight * (input + input_offset))), where
    positions outside of the input contribute nothing, and ``scaled`` is `requantize.multiply`.

    Attributes:
        input_offset: minus the input's zero point, in [-127, 128].
        output_offset: the output's zero point, in [-128, 127].
        weights: int8; the shape is the subclass's.
        bias: int32 [channels of the output]; zeros where the model has none.
        multiplier: int32 [channels of the output], in [2^30, 2^31), or 0.
        shift: int32 [channels of the output], in [-31, 30]; positive to the left, before the
            multiplication; negative to the right, after it.
        activation_min, activation_max: the clamp, in [-128, 127].
        bound: greatest |sum| without bias of any channel, for any input; < 2^31 with it.
    """

    input_offset: int
    output_offset: int
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    activation_min: int
    activation_max: int
    bound: int

    @property
    def folded_bias(self) -> NDArray[np.int32]:
        """int32 [channels]: bias + input_offset * sum of weights.

        With it the sum is of weight * input, if positions outside of the input are given its zero
        point.
        """
        return self._folded(self.weights.astype(np.int64).reshape(self.output.channels, -1).sum(1))

    def _folded(self, sums: NDArray[np.int64]) -> NDArray[np.int32]:
        # Wraps as the chip's sum would: what leaves int32 here comes back with the inputs.
        return (self.bias + self.input_offset * sums).astype(np.uint32).view(np.int32)

    @property
    def table_bytes(self) -> int:
        """Weights, bias, multipliers and shifts, without padding."""
        return self.weights.size + 12 * self.output.channels

    @property
    def exact_type(self) -> np.dtype[np.floating]:
        """The float type in which every partial sum of the forward pass is an exact integer."""
        return np.dtype(np.float32 if self.bound < 1 << 24 else np.float64)

    def offset_inputs(self, features: NDArray[np.int8]) -> NDArray[np.floating]:
        """Inputs plus their offset, exact in floats."""
        inputs: NDArray[np.floating] = features.astype(self.exact_type)
        inputs += self.input_offset
        return inputs

    def finish(self, sums: NDArray[np.floating]) -> NDArray[np.int8]:
        """Sums without bias [..., channels] to outputs."""
        values = sums.astype(np.int64) + self.bias
        return to_int8(
            multiply(values, self.multiplier, self.shift),
            self.output_offset,
            self.activation_min,
            self.activation_max,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class ElementwiseOperator(LoweredOperator):
    """An operator each of whose outputs depends on the inputs in the same place only.

    Attributes:
        output_offset: the output's zero point.
        multiplier, shift: see `requantize.Multiplier`.
        activation_min, activation_max: the clamp.
    """

    output_offset: int
    multiplier: int
    shift: int
    activation_min: int = INT8_MIN
    activation_max: int = INT8_MAX

    @property
    def macs(self) -> int:
        """None."""
        return 0

    @property
    def lead(self) -> int:
        """0: an element is read before it is written."""
        return 0

    def finish(self, values: NDArray[np.int64]) -> NDArray[np.int8]:
        """Integers to outputs."""
        return to_int8(
            multiply(values, self.multiplier, self.shift),
            self.output_offset,
            self.activation_min,
            self.activation_max,
        )
