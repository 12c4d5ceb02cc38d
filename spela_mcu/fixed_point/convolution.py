"""A convolution in integers: from its input map to the next one, and to its exit's scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import Activation, Int64, shift_right_rounded
from spela_mcu.fixed_point.layer import ConvolutionPlan, LayerPlan
from spela_mcu.fixed_point.learning import Output
from spela_mcu.fixed_point.maps import cell_sums, patches, pool


@dataclass(frozen=True)
class Block:
    """Values with one exponent: what they stand for is values * 2^shift.

    Attributes:
        values: int64 in [-128, 127].
        shift: 0 or more.
    """

    values: Int64
    shift: int


def block(exact: Int64) -> Block:
    """Numbers of one sign or both to int8 with the least exponent that holds all."""
    shift = max(0, int(np.abs(exact).max()).bit_length() - 7)
    return Block(np.minimum(shift_right_rounded(exact, shift), 127), shift)


@dataclass(frozen=True)
class Map:
    """A convolution's map for one sample.

    Attributes:
        patches: int64 [positions, patch], what the filters saw.
        places: int64 [pooled positions, filters], the position that each maximum comes from.
        block: its values are [pooled positions, filters]; they are the next layer's inputs.
    """

    patches: Int64
    places: NDArray[np.int64]
    block: Block

    @property
    def values(self) -> Int64:
        """The map as the next layer takes it, [pooled]."""
        return self.block.values.reshape(-1)


@dataclass(frozen=True)
class Reading:
    """What a read-out makes of a map.

    Attributes:
        cells: its inputs, [cells * filters].
        output: its activation, which is linear, and its scores.
    """

    cells: Block
    output: Output


def convolve(plan: ConvolutionPlan, weights: Int64, values: Int64) -> Map:
    """The map for an input map.

    Args:
        plan: the convolution.
        weights: [filters, patch]; sums are made of what answers.
        values: int64 [rows * columns * channels] in [-128, 127].
    """
    window = plan.window
    seen = patches(window, values.reshape(window.map))
    sums = seen @ plan.answering(weights).T  # |sum| <= patch * 2^14 <= 2^30
    outputs = np.minimum(shift_right_rounded(np.maximum(sums, 0), plan.sum_shift), 32767)
    maxima, places = pool(window, outputs)
    return Map(seen, places, block(maxima))


def read_out(layer: LayerPlan, weights: Int64, map: Map) -> Reading:
    """The exit's scores for a map.

    Args:
        layer: the read-out of a convolution.
        weights: [units, cells * filters].
        map: what `convolve` made.
    """
    assert layer.convolution is not None
    cells = block(cell_sums(layer.convolution.window, map.block.values))
    sums = weights @ cells.values
    own = block(sums)
    activation = Activation(sums, own.values, own.shift, int(own.values @ own.values))
    return Reading(cells, Output(activation, layer.exit.embedding @ own.values))
