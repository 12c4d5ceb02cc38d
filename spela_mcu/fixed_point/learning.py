"""One layer's learning step (docs/arithmetic.md, section 5): from scores to new weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import (
    ONE_Q14,
    Activation,
    Int64,
    InverseNorm,
    cosine,
    draw,
    inverse_norm,
    shift_right_rounded,
)
from spela_mcu.fixed_point.layer import LayerPlan, LearnerPlan, MatrixPlan
from spela_mcu.fixed_point.layout import padded
from spela_mcu.fixed_point.plan import FixedPointPlan

NO_CLASS = 0xFFFF
"""The label where no class is left to answer: SPELA_UNKNOWN."""

_LEAST = np.iinfo(np.int64).min
"""Below any score."""

MULTIPLIER_MIN, MULTIPLIER_MAX = -(1 << 15), (1 << 15) - 1
SOFTMAX_OCTAVES = 2955
"""Octaves by which the softmax of 8 times a cosine falls from 1 to 0: log2(e^8), Q8."""
SOFTMAX_LEARNED = ONE_Q14 // 64
"""Of a sample whose label is so near to certain, nothing is learned."""
LARGEST_SHIFT = 30
"""A multiplier with a greater shift is zero: the update is below any weight's resolution."""


@dataclass(frozen=True)
class Output:
    """A layer's answer to a sample before it learns.

    Attributes:
        scores: int64 [classes], embedding * activation.
    """

    activation: Activation
    scores: Int64


@dataclass(frozen=True)
class Multipliers:
    """An update's factor for each unit: dw[j, i] = round(values[j] * x[i] / 2^update_shift).

    Attributes:
        values: int64 [units], each within int16.
        clipped: number of values that did not fit and were clipped.
    """

    values: Int64
    clipped: int


def best_class(
    scores: Int64, other_than: int | None = None, active: NDArray[np.bool_] | None = None
) -> int:
    """The class with the greatest score, the lowest on a tie.

    Args:
        scores: [classes].
        other_than: is left out.
        active: the classes that count, [classes]; None: all.

    Returns:
        NO_CLASS if none is left.
    """
    masked = scores if active is None else np.where(active, scores, _LEAST)
    if other_than is not None and other_than != NO_CLASS:
        masked = masked.copy()
        masked[other_than] = _LEAST
    best = int(np.argmax(masked))
    return NO_CLASS if masked[best] == _LEAST else best


def best_classes(scores: Int64, active: NDArray[np.bool_] | None) -> Int64:
    """As `best_class`, of many samples' scores [n, classes]: [n]."""
    masked = scores if active is None else np.where(active, scores, _LEAST)
    best: Int64 = np.argmax(masked, axis=1).astype(np.int64)
    best[masked[np.arange(len(best)), best] == _LEAST] = NO_CLASS
    return best


@dataclass(frozen=True)
class Direction:
    """Where an activation that is not zero should turn.

    Attributes:
        tangent: int64 [units], Q1.14, across the activation; |.| < 2^16.1.
        inverse: the activation's reciprocal length.
        damping: by what the loss multiplies the rate, Q1.14.
    """

    tangent: Int64
    inverse: InverseNorm
    damping: int

    def rate(self, learner: LearnerPlan) -> int:
        """The rate for this activation, below 2^14."""
        rate = (learner.rate_mantissa * self.inverse.mantissa) >> 18
        return (rate * self.damping) >> 14


def direction(
    plan: FixedPointPlan,
    layer: LayerPlan,
    output: Output,
    label: int,
    *,
    active: NDArray[np.bool_] | None = None,
) -> Direction | None:
    """Where the activation should turn; None if the layer has nothing to learn from this sample.

    Args:
        plan: loss and margin.
        layer: embeddings.
        output: the layer's answer.
        label: the sample's class.
        active: the classes that count, [classes]; None: all.
    """
    activation, scores = output.activation, output.scores
    if activation.squared_norm == 0:
        return None
    inverse = inverse_norm(activation.squared_norm)
    exit_ = layer.exit
    projection = cosine(int(scores[label]), inverse, exit_.embedding_shift)
    wanted = exit_.embedding[label] << (14 - exit_.embedding_shift)
    if plan.loss == "softmax":
        cosines = np.array([cosine(int(one), inverse, exit_.embedding_shift) for one in scores])
        coefficients = -softmax(cosines, active)
        coefficients[label] += ONE_Q14
        if coefficients[label] < SOFTMAX_LEARNED:
            return None
        projection = int(shift_right_rounded(coefficients @ cosines, 14))
        wanted = shift_right_rounded(coefficients @ exit_.embedding, exit_.embedding_shift)
    elif plan.loss == "margin":
        wrong = best_class(scores, other_than=label, active=active)
        if wrong != NO_CLASS:
            projection -= cosine(int(scores[wrong]), inverse, exit_.embedding_shift)
            wanted = wanted - (exit_.embedding[wrong] << (14 - exit_.embedding_shift))
        if projection >= plan.margin:
            return None

    # u = v - <v, h/|h|> h/|h|
    unit = shift_right_rounded(activation.values * inverse.mantissa, 17 - inverse.exponent)
    tangent = wanted - shift_right_rounded(projection * unit, 14)
    damping = (1 << 28) // (2 * ONE_Q14 - projection) if plan.loss == "log_cosine" else ONE_Q14
    return Direction(tangent, inverse, damping)


def softmax(cosines: Int64, active: NDArray[np.bool_] | None = None) -> Int64:
    """The softmax of 8 times cosines [classes], both Q1.14; at most 1 in all.

    A power of two is a shift, and between two of them a parabola. It is 0 for classes that are not
    `active`.
    """
    if active is not None:
        found = np.zeros_like(cosines)
        found[active] = softmax(cosines[active])
        return found
    octaves = (cosines.max() - cosines) * SOFTMAX_OCTAVES  # Q22, below 2^27
    part = octaves >> 14 & 0xFF
    weights = (0x10000 - 172 * part + (11 * part * part >> 6)) >> (octaves >> 22)
    softened: Int64 = weights * ((1 << 30) // int(weights.sum())) >> 16
    return softened


def multipliers(
    plan: FixedPointPlan,
    layer: LayerPlan,
    output: Output,
    label: int,
    rate_shift: int,
    *,
    active: NDArray[np.bool_] | None = None,
) -> Multipliers | None:
    """The update's factors, or None if the layer has nothing to learn from this sample.

    Args:
        plan: loss and margin.
        layer: embeddings, slope and the rate's mantissa.
        output: the layer's answer.
        label: the sample's class.
        rate_shift: the rate's current shift, halvings of weights and rate included.
        active: the classes that count, [classes]; None: all.
    """
    towards = direction(plan, layer, output, label, active=active)
    if towards is None:
        return None
    activation, steps = output.activation, towards.tangent * towards.rate(layer.learner)
    shift = 27 + rate_shift + activation.shift - towards.inverse.exponent
    raw = scaled(steps, shift)
    # act'(z): 1 above zero, the slope below
    below = scaled(steps, shift, layer.leak_shift) if layer.leak_shift else raw * 0
    raw = np.where(activation.sums > 0, raw, below)
    values = np.clip(raw, MULTIPLIER_MIN, MULTIPLIER_MAX)
    return Multipliers(values, int(np.count_nonzero(values != raw)))


def scaled(product: Int64, shift: int, leak_shift: int = 0) -> Int64:
    """Steps shifted to multipliers, rounded; a shift below 0 is 0."""
    total = max(shift, 0) + leak_shift
    return product * 0 if total > LARGEST_SHIFT else shift_right_rounded(product, total)


def dither(plan: FixedPointPlan, layer: MatrixPlan, state: int) -> tuple[Int64, int]:
    """One `update_shift`-bit value per input, shared by all units; and the generator's next state.

    Rounding to nearest is a constant dither of one half, which draws nothing.
    """
    bits = layer.learner.update_shift
    if plan.rounding == "nearest":
        return np.full(layer.inputs, 1 << (bits - 1), np.int64), state
    states, state = draw(state, padded(layer.inputs))
    return (states[: layer.inputs] >> np.uint32(32 - bits)).astype(np.int64), state


@dataclass(frozen=True)
class UpdateCount:
    """What rounding and saturation did in one update of a layer.

    Attributes:
        made: products m x other than zero.
        to_zero: those whose rounded update was zero.
        saturated: weights that reached the end of their range and were clipped.
    """

    made: int
    to_zero: int
    saturated: int


@dataclass(frozen=True, eq=False)
class PendingUpdate:
    """An update of a layer that is not applied yet: dw[j, i] = factors[j] * inputs[i].

    Attributes:
        inputs: int64 [inputs] in [-128, 127].
        factors: int64 [units], each within int16.
    """

    inputs: Int64
    factors: Int64

    def to_bytes(self) -> bytes:
        """As the digest of the learned state takes it."""
        return self.inputs.astype(np.int8).tobytes() + self.factors.astype("<i2").tobytes()


def apply(
    layer: MatrixPlan, weights: Int64, pending: list[PendingUpdate], noise: Int64
) -> UpdateCount:
    """Adds the rounded sum of updates to `weights` [units, inputs] in place, saturating.

    Only weights with a nonzero factor and a nonzero input change: for the others the update is
    noise >> shift = 0.
    """
    inputs = np.stack([one.inputs for one in pending])
    factors = np.stack([one.factors for one in pending])
    rows, columns = np.flatnonzero(factors.any(axis=0)), np.flatnonzero(inputs.any(axis=0))
    where: Any = rows  # whole rows are copied faster, as long as most of their content is needed
    made = len(rows) * len(columns)
    if 2 * len(columns) < inputs.shape[1]:
        where = np.ix_(rows, columns)
        inputs, noise = inputs[:, columns], noise[columns]
    # int32 holds |sum + noise| < 2^28 + 2^16
    steps = _sums(factors[:, rows], inputs)
    steps += noise.astype(np.int32)
    steps >>= layer.learner.update_shift
    moved = weights[where] + steps
    clipped = np.clip(moved, layer.weight_min, layer.weight_max)
    weights[where] = clipped
    return UpdateCount(
        made=made,
        to_zero=made - int(np.count_nonzero(steps)),
        saturated=int(np.count_nonzero(moved != clipped)),
    )


def _sums(factors: Int64, inputs: Int64) -> NDArray[np.int32]:
    """`factors`.T @ `inputs`, exactly: [units, inputs] from [pending, units], [pending, inputs]."""
    if len(factors) == 1:
        product: NDArray[np.int32] = np.multiply.outer(
            factors[0].astype(np.int32), inputs[0].astype(np.int32)
        )
        return product
    # float32 would not do: sums have up to 29 bits
    sums: NDArray[np.float64] = factors.astype(np.float64).T @ inputs.astype(np.float64)
    return sums.astype(np.int32)
