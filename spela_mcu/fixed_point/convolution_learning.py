"""One convolution's learning step: from scores to new weights of its read-out and its filters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import (
    ONE_Q14,
    Int64,
    cosine,
    inverse_norm,
    shift_right_rounded,
)
from spela_mcu.fixed_point.convolution import Map, Reading
from spela_mcu.fixed_point.layer import ConvolutionPlan, LayerPlan, MatrixPlan
from spela_mcu.fixed_point.learning import (
    LARGEST_SHIFT,
    MULTIPLIER_MAX,
    MULTIPLIER_MIN,
    Output,
    UpdateCount,
    best_class,
)
from spela_mcu.fixed_point.maps import cells
from spela_mcu.fixed_point.plan import FixedPointPlan

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


@dataclass(frozen=True)
class Direction:
    """Where a read-out's projection should turn.

    Attributes:
        tangent: Q1.14 [units], across the projection.
        mantissa, exponent: the projection's reciprocal length.
    """

    tangent: Int64
    mantissa: int
    exponent: int


def coefficients(
    plan: FixedPointPlan, layer: LayerPlan, output: Output, label: int
) -> Int64 | None:
    """How much each cosine should grow, Q1.14 [classes]; None: nothing is to be learned.

    Args:
        plan: its loss.
        layer: the read-out.
        output: its answer, whose activation is not zero.
        label: the sample's class.
    """
    inverse, shift = inverse_norm(output.activation.squared_norm), layer.exit.embedding_shift
    own = cosine(int(output.scores[label]), inverse, shift)
    found = np.zeros(plan.classes, np.int64)
    found[label] = ONE_Q14
    if plan.loss == "log_cosine":
        found[label] = (1 << 28) // (2 * ONE_Q14 - own)
    elif plan.loss == "margin":
        wrong = best_class(output.scores, other_than=label)
        if own - cosine(int(output.scores[wrong]), inverse, shift) >= plan.margin:
            return None
        found[wrong] = -ONE_Q14
    return found


def direction(layer: LayerPlan, output: Output, coefficients: Int64) -> Direction:
    """The tangent of a projection that is not zero.

    Args:
        layer: the read-out.
        output: its answer.
        coefficients: Q1.14 [classes]: how much the cosine with each class should grow.
    """
    inverse = inverse_norm(output.activation.squared_norm)
    shift = layer.exit.embedding_shift
    cosines = np.array([cosine(int(score), inverse, shift) for score in output.scores])
    wanted = shift_right_rounded(coefficients @ layer.exit.embedding, shift)
    radial = int(shift_right_rounded(coefficients @ cosines, 14))
    unit = shift_right_rounded(output.activation.values * inverse.mantissa, 17 - inverse.exponent)
    return Direction(
        wanted - shift_right_rounded(radial * unit, 14), inverse.mantissa, inverse.exponent
    )


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
    projection, above = reading.output.activation.shift, 27 - towards.exponent
    own, own_clipped = _factors(
        towards.tangent,
        _rate(layer, towards),
        above + readout_rate_shift + projection,
        MULTIPLIER_MAX,
    )
    error = weights.T @ towards.tangent  # |.| < 2^30: at most 64 units
    narrowed = max(0, int(np.abs(error).max()).bit_length() - ERROR_BITS)
    scale = projection + reading.cells.shift + map.block.shift + convolution.sum_shift
    below, below_clipped = _factors(
        shift_right_rounded(error, narrowed),
        _rate(convolution, towards),
        above + filters_rate_shift + scale - narrowed,
        factor_limit(convolution.window.pooled.positions),
    )
    return Factors(own, below.reshape(-1, convolution.units), own_clipped, below_clipped)


def _rate(matrix: MatrixPlan, towards: Direction) -> int:
    return (matrix.learner.rate_mantissa * towards.mantissa) >> 18  # < 2^14


def _factors(values: Int64, rate: int, shift: int, most: int) -> tuple[Int64, int]:
    """Values times the rate, shifted and clipped; and how many were clipped."""
    total = max(shift, 0)
    exact = values * 0 if total > LARGEST_SHIFT else shift_right_rounded(values * rate, total)
    least = MULTIPLIER_MIN if most == MULTIPLIER_MAX else -most
    clipped = np.clip(exact, least, most)
    return clipped, int(np.count_nonzero(clipped != exact))


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
