"""Stochastic rounding with a random number for every weight, to compare the shared dither with.

The product draws one number per input, shared by all units of a layer (docs/arithmetic.md, section
5). This variant exists only for that comparison.
"""

from __future__ import annotations

import numpy as np

from spela_mcu.fixed_point.arithmetic import Int64
from spela_mcu.fixed_point.learning import Output, multipliers
from spela_mcu.fixed_point.network import IntegerNetwork


class IndependentDitherNetwork(IntegerNetwork):
    """An `IntegerNetwork`, except for step 7 of learning: `d[j][i]` instead of `d[i]`.

    The numbers come from numpy's PCG64, so that neighbouring weights share nothing.
    """

    generator: np.random.Generator

    def reset(self) -> None:
        """Forgets everything learned."""
        super().reset()
        self.generator = np.random.default_rng(self.plan.dither_seed)

    def _learn_layer(self, index: int, inputs: Int64, output: Output, label: int) -> None:
        layer, state = self.plan.layers[index], self.layers[index]
        rate_shift = layer.learner.rate_shift + 2 * state.halvings + self._rate_halvings()
        factors = multipliers(self.plan, layer, output, label, rate_shift)
        if factors is None:
            return
        rows, columns = np.flatnonzero(factors.values), np.flatnonzero(inputs)
        where = np.ix_(rows, columns)
        steps = np.multiply.outer(factors.values[rows], inputs[columns])
        bits = layer.learner.update_shift
        steps += self.generator.integers(0, 1 << bits, steps.shape, np.uint32)
        moved = state.weights[where] + (steps >> bits)
        state.weights[where] = np.clip(moved, layer.weight_min, layer.weight_max)
        state.scan(self.plan.matrices[index], 1, decays=False)
