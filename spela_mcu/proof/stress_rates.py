"""Learning rates at which some of the first multipliers do not fit their range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import Activation, activate, inverse_norm
from spela_mcu.fixed_point.convolution import Map, Reading
from spela_mcu.fixed_point.convolution_learning import cell_errors, factor_limit
from spela_mcu.fixed_point.layer import LayerPlan, LearnerPlan
from spela_mcu.fixed_point.learning import direction
from spela_mcu.fixed_point.network import IntegerNetwork, first_inputs

MANTISSA = 0xB504
"""Of every rate: 2^15.5."""


def clipping_learners(
    network: IntegerNetwork, samples: NDArray[np.int8], clipping: int
) -> list[LearnerPlan]:
    """One for each matrix of a network.

    Args:
        network: before it learns.
        samples: that it may learn, int8 [n, inputs].
        clipping: by how many bits the greatest multipliers exceed their range.
    """
    values, learners = first_inputs(network.plan, samples), []
    for index, layer in enumerate(network.plan.layers):
        if layer.convolution is None:
            weights = network.layers[network.plan.matrix_index(index)].weights
            outputs = [activate(sums, layer.leak_shift) for sums in values @ weights.T]
            values = np.stack([output.values for output in outputs])
        else:
            pairs = [network.convolve(index, sample) for sample in values]
            outputs = [reading.output.activation for _, reading in pairs]
            values = np.stack([map.values for map, _ in pairs])
            learners.append(_of_filters(network, index, pairs, clipping))
        learners.append(_of_units(layer, outputs, clipping))
    return learners


def _of_units(layer: LayerPlan, outputs: Sequence[Activation], clipping: int) -> LearnerPlan:
    """Of a dense layer, or of a read-out."""
    usual = _median(
        [one.shift - inverse_norm(one.squared_norm).exponent for one in outputs if one.squared_norm]
    )
    # |tangent * rate| is about 2^28 / sqrt(units); its shift is 27 + rate_shift + usual
    bits = 28 - np.log2(layer.units) / 2 - 15 - clipping
    shift = int(np.floor(bits - 27 - usual))
    return replace(layer.learner, rate_mantissa=MANTISSA, rate_shift=shift)


def _of_filters(
    network: IntegerNetwork, index: int, pairs: Sequence[tuple[Map, Reading]], clipping: int
) -> LearnerPlan:
    """Of a convolution's filters."""
    plan, layer = network.plan, network.plan.layers[index]
    weights = network.layers[plan.matrix_index(index)].weights
    assert layer.convolution is not None
    shifts: list[int] = []
    for number, (map, reading) in enumerate(pairs):
        towards = direction(plan, layer, reading.output, number % plan.classes)
        if towards is not None:
            shifts.append(cell_errors(layer, map, reading, towards, weights).shift)
    # |error * rate| is at most about 2^29, of most cells some bits less; its shift is the rate's
    # and the usual one
    most = np.log2(factor_limit(layer.convolution.window.pooled.positions))
    shift = int(np.floor(27 - most - clipping - _median(shifts)))
    return replace(layer.convolution.learner, rate_mantissa=MANTISSA, rate_shift=shift)


def _median(values: Sequence[int]) -> float:
    return float(np.median(values or [0]))
