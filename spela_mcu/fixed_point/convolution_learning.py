"""One convolution's learning step: from scores to new weights of its read-out and its filters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import Int64, shift_right_rounded
from spela_mcu.fixed_point.convolution import Map, Reading
from spela_mcu.fixed_point.layer import ConvolutionPlan, LayerPlan, MatrixPlan
from spela_mcu.fixed_point.learning import (
    MULTIPLIER_MAX,
    MULTIPLIER_MIN,
    Direction,
    UpdateCount,
    scaled,
)
from spela_mcu.fixed_point.maps import cells

ERROR_BITS = 16
"""An error of a cell is at most this wide, so that its product with a rate fits int32."""

SUM_BITS = 30
"""A filter's summed update is at most this wide."""


@dataclass(frozen=True)
class Factors:
    """By what a step multiplies its inputs.

    Attributes:
        readout: int64 [units], of the cells.
        filters: int64 [cells, filters], of the patches at the maxima of the cell's positions.
        readout_clipped, filters_clipped: number of them that did not fit and were clipped.
    """

    readout: Int64
    filters: Int64
    readout_clipped: int
    filters_clipped: int


def factor_limit(positions: int) -> int:
    """The greatest factor of a patch with which the sum over all positions stays in `SUM_BITS`."""
    return min(MULTIPLIER_MAX, (1 << (SUM_BITS - 7 - (positions - 1).bit_length())) - 1)


def factors(
    layer: LayerPlan,
    map: Map,
    reading: Reading,
    towards: Direction,
    weights: Int64,
    *,
    readout_rate_shift: int,
    filters_rate_shift: int,
) -> Factors:
    """What both matrices learn from a sample.

    Args:
        layer: the read-out.
        map: of its convolution.
        reading: what it made of the map.
        towards: where its projection should turn.
        weights: its own [units, cells * filters], before they learn.
        readout_rate_shift: the rate's current shift, halvings of weights and rate included.
        filters_rate_shift: the same of the filters.
    """
    convolution = layer.convolution
    assert convolution is not None
    above = 27 + reading.output.activation.shift - towards.inverse.exponent
    own = scaled(towards.tangent * towards.rate(layer.learner), above + readout_rate_shift)
    errors = cell_errors(layer, map, reading, towards, weights)
    steps = errors.values * towards.rate(convolution.learner)
    below = scaled(steps, errors.shift + filters_rate_shift)
    most = factor_limit(convolution.window.pooled.positions)
    of_readout = np.clip(own, MULTIPLIER_MIN, MULTIPLIER_MAX)
    of_filters = np.clip(below, -most, most)
    return Factors(
        of_readout,
        of_filters.reshape(-1, convolution.units),
        int(np.count_nonzero(of_readout != own)),
        int(np.count_nonzero(of_filters != below)),
    )


@dataclass(frozen=True)
class CellErrors:
    """How the read-out's inputs should change.

    Attributes:
        values: int64 [cells * filters], |.| <= 2^`ERROR_BITS`.
        shift: of their product with the rate, but for the rate's own.
    """

    values: Int64
    shift: int


def cell_errors(
    layer: LayerPlan, map: Map, reading: Reading, towards: Direction, weights: Int64
) -> CellErrors:
    """The error of the cells; see `factors`."""
    assert layer.convolution is not None
    error = weights.T @ towards.tangent  # |.| < 2^30: at most 64 units
    narrowed = max(0, int(np.abs(error).max()).bit_length() - ERROR_BITS)
    above = 27 + reading.output.activation.shift - towards.inverse.exponent
    above += reading.cells.shift + map.block.shift + layer.convolution.sum_shift - narrowed
    return CellErrors(shift_right_rounded(error, narrowed), above)


def filter_sums(plan: ConvolutionPlan, map: Map, factors_: Int64) -> Int64:
    """The filters' exact update [filters, patch], a sum over the positions of maxima above zero.

    Args:
        plan: the convolution.
        map: its map.
        factors_: [cells, filters].
    """
    share: NDArray[np.float64] = np.zeros((plan.units, len(map.patches)))
    own = factors_[cells(plan.window)] * (map.block.values > 0)
    filters = np.broadcast_to(np.arange(plan.units), own.shape)
    share[filters, map.places] = own  # blocks do not overlap: each place is met once
    # through float64: exact, since every partial sum is below 2^53
    return (share @ map.patches.astype(np.float64)).astype(np.int64)


def apply_sums(matrix: MatrixPlan, weights: Int64, sums: Int64, noise: Int64) -> UpdateCount:
    """Adds the rounded sums of an update to `weights` [filters, patch] in place, saturating.

    Args:
        matrix: range and update shift.
        weights: of the filters.
        sums: `filter_sums`.
        noise: dither [patch], shared by all filters.
    """
    steps = (sums + noise) >> matrix.learner.update_shift
    moved = weights + steps
    weights[...] = np.clip(moved, matrix.weight_min, matrix.weight_max)
    changed = sums != 0
    return UpdateCount(
        made=int(np.count_nonzero(changed)),
        to_zero=int(np.count_nonzero(changed & (steps == 0))),
        saturated=int(np.count_nonzero(moved != weights)),
    )
