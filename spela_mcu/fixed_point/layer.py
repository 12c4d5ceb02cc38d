"""One layer's decisions: its matrices of weights, how it answers, how it learns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import Int64, shift_right_rounded
from spela_mcu.fixed_point.layout import RESIDUAL_BITS
from spela_mcu.fixed_point.maps import Window
from spela_mcu.spec.learning import Format

LAYER_DENSE, LAYER_CONVOLUTION, LAYER_READOUT, LAYER_TAP = 0, 1, 2, 3
"""Kinds of layers, as numbered in spela.h, where a convolution's filters are a layer by itself."""

MAP_BITS = 15
"""Outputs before pooling are at most this wide, so that a map of them takes two bytes a value."""


@dataclass(frozen=True, eq=False)
class ExitPlan:
    """How a layer's activation becomes an answer.

    Attributes:
        embedding: int64 [classes, units], class embeddings scaled by 2^embedding_shift to int8.
        exit_margin: margin from which early exit answers here, Q1.14; 0: never, except at the last
            exit.
        reject_cosine: cosine below which early exit's answer here is unknown, Q1.14; 0: never.
    """

    embedding: NDArray[np.int64]
    embedding_shift: int
    exit_margin: int = 0
    reject_cosine: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates for the scores of one activation."""
        return self.embedding.size


@dataclass(frozen=True)
class LearnerPlan:
    """How far a layer's weights go at each step.

    Attributes:
        rate_mantissa, rate_shift: the learning rate in integer units, mantissa * 2^-shift,
            mantissa in [2^15, 2^16).
        update_shift: fraction bits dropped from an update: 16 for int8 weights, 8 for int16, and
            for filters as many as their bits and their map leave room for.
    """

    rate_mantissa: int
    rate_shift: int
    update_shift: int


def weight_range(format: Format, bits: int) -> tuple[int, int]:
    """The least weight and the greatest: of int12, those whose upper bits fit int8 when rounded."""
    half, below = 1 << (bits - 1), 1 << RESIDUAL_BITS[format] >> 1
    return -half - below, half - 1 - below


@dataclass(frozen=True, eq=False)
class MatrixPlan:
    """A matrix of weights that learns, [units, inputs].

    Attributes:
        format: how a weight lies in memory.
        weight_bits: weights have 2^bits values, from `weight_min` to `weight_max`.
        weight_scale: integer weight = real weight * weight_scale, before any halving.
        seed: state from which untrained weights are drawn.
    """

    inputs: int
    units: int
    format: Format
    weight_bits: int
    weight_scale: float
    seed: int
    learner: LearnerPlan

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one activation."""
        return self.inputs * self.units

    @property
    def weight_min(self) -> int:
        """The least weight."""
        return weight_range(self.format, self.weight_bits)[0]

    @property
    def weight_max(self) -> int:
        """The greatest weight."""
        return weight_range(self.format, self.weight_bits)[1]

    @property
    def answering_bits(self) -> int:
        """Bits of a weight in a sum."""
        return self.weight_bits - RESIDUAL_BITS[self.format]

    def answering(self, weights: Int64) -> Int64:
        """What sums are made of: the weights [units, inputs], or their upper bits, rounded."""
        return shift_right_rounded(weights, RESIDUAL_BITS[self.format])

    def at_ends(self, weights: Int64) -> NDArray[np.bool_]:
        """Which weights are, in a sum, at an end of their range."""
        end, answering = 1 << (self.answering_bits - 1), self.answering(weights)
        found: NDArray[np.bool_] = (answering == -end) | (answering == end - 1)
        return found


@dataclass(frozen=True, eq=False)
class ConvolutionPlan(MatrixPlan):
    """A convolution's filters: a matrix whose inputs are a patch.

    Attributes:
        window: its geometry.
    """

    window: Window
    kind: int = LAYER_CONVOLUTION

    @property
    def sum_shift(self) -> int:
        """By which a filter's sum is shifted, so that the greatest possible fits `MAP_BITS`."""
        most = self.window.patch << (7 + self.answering_bits - 1)
        return max(0, most.bit_length() - MAP_BITS)

    @property
    def map_macs(self) -> int:
        """Multiply-accumulates of the map."""
        return self.window.pooled.positions * self.window.pool.area * self.macs


@dataclass(frozen=True, eq=False)
class LayerPlan(MatrixPlan):
    """A layer that answers: dense, a convolution with its read-out, or a tap.

    A tap is a dense layer that reads inputs of its own and hands nothing on.

    Attributes:
        leak_shift: 0 for relu, s for a negative slope of 2^-s.
        convolution: the filters whose map the layer reads out; it then has no activation function,
            and the next layer's inputs are that map.
    """

    leak_shift: int
    exit: ExitPlan
    kind: int = LAYER_DENSE
    convolution: ConvolutionPlan | None = None

    @property
    def is_tap(self) -> bool:
        """Whether the next layer does not read its activation."""
        return self.kind == LAYER_TAP

    @property
    def layer_inputs(self) -> int:
        """Values that the layer takes: of a convolution, its input map's."""
        return self.inputs if self.convolution is None else self.convolution.window.map.size

    @property
    def forward_macs(self) -> int:
        """Multiply-accumulates that the next layer needs: of a convolution, its map's."""
        if self.is_tap:
            return 0
        return self.macs if self.convolution is None else self.convolution.map_macs

    @property
    def exit_macs(self) -> int:
        """Multiply-accumulates that its answer takes besides."""
        return self.exit.macs + self.macs * (self.is_tap or self.convolution is not None)

    @property
    def width(self) -> int:
        """Units of a dense layer, or filters of a convolution."""
        return self.units if self.convolution is None else self.convolution.units

    @property
    def outputs(self) -> int:
        """Values that the layer hands on: of a convolution, its map's."""
        return self.units if self.convolution is None else self.convolution.window.pooled.size

    @property
    def matrices(self) -> tuple[MatrixPlan, ...]:
        """Its filters, if it has some, and its own matrix."""
        return (self,) if self.convolution is None else (self.convolution, self)

    def with_thresholds(
        self, *, exit_margin: int | None = None, reject_cosine: int | None = None
    ) -> LayerPlan:
        """The layer with other thresholds at its exit; None: unchanged."""
        changed = replace(
            self.exit,
            exit_margin=self.exit.exit_margin if exit_margin is None else exit_margin,
            reject_cosine=self.exit.reject_cosine if reject_cosine is None else reject_cosine,
        )
        return replace(self, exit=changed)
