"""A convolution in integers: from its input map to the next one, and to its exit's scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import Int64, shift_right_rounded
from spela_mcu.fixed_point.maps import Window, cell_sums, patches, pool
from spela_mcu.fixed_point.plan import ExitPlan, MatrixPlan

MAP_BITS = 15
"""Outputs before pooling are at most this wide, so that a map of them takes two bytes a value."""


@dataclass(frozen=True, eq=False)
class ConvolutionPlan:
    """A convolution: its filters make a map, its read-out answers for it.

    Attributes:
        window: its geometry.
        filters: whose inputs are a patch.
        readout: whose inputs are the cells' sums.
        exit: class embeddings of the read-out's units.
    """

    window: Window
    filters: MatrixPlan
    readout: MatrixPlan
    exit: ExitPlan

    @property
    def sum_shift(self) -> int:
        """By which a filter's sum is shifted, so that the greatest possible fits `MAP_BITS`."""
        return max(0, (self.window.patch << 14).bit_length() - MAP_BITS)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the map, without the exit."""
        used = self.window.pooled.positions * self.window.pool.area
        return used * self.filters.macs

    @property
    def exit_macs(self) -> int:
        """Multiply-accumulates of the exit."""
        return self.readout.macs + self.exit.macs


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


@dataclass(frozen=True)
class Answer:
    """What a read-out makes of a map.

    Attributes:
        cells: its inputs, [cells * filters].
        projection: its units.
        squared_norm: of these.
        scores: int64 [classes].
    """

    cells: Block
    projection: Block
    squared_norm: int
    scores: Int64


def convolve(plan: ConvolutionPlan, filters: Int64, values: Int64) -> Map:
    """The map for an input map.

    Args:
        plan: the convolution.
        filters: weights [filters, patch].
        values: int64 [rows * columns * channels] in [-128, 127].
    """
    window = plan.window
    seen = patches(window, values.reshape(window.map))
    sums = seen @ filters.T  # |sum| <= patch * 2^14 <= 2^30
    outputs = np.minimum(shift_right_rounded(np.maximum(sums, 0), plan.sum_shift), 32767)
    maxima, places = pool(window, outputs)
    return Map(seen, places, block(maxima))


def read_out(plan: ConvolutionPlan, readout: Int64, map: Map) -> Answer:
    """The exit's scores for a map.

    Args:
        plan: the convolution.
        readout: weights [units, cells * filters].
        map: what `convolve` made.
    """
    cells = block(cell_sums(plan.window, map.block.values))
    projection = block(readout @ cells.values)
    values = projection.values
    return Answer(cells, projection, int(values @ values), plan.exit.embedding @ values)
