"""Silent layers: they have no activation for a sample, and so neither answer nor learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import activate
from spela_mcu.fixed_point.network import IntegerNetwork, exact_product, first_inputs

WARNING_SHARE = 0.01
"""A layer that is silent for more samples than this share of them is worth a warning."""


@dataclass(frozen=True)
class LayerSilence:
    """How much of a layer is silent, that is, has activation 0.

    Attributes:
        units: the layer's width.
        dead_units: units that are silent for every sample.
        silent_share: share of the samples for which all units are silent.
    """

    units: int
    dead_units: int
    silent_share: float


def silence(network: IntegerNetwork, samples: NDArray[np.int8]) -> tuple[LayerSilence, ...]:
    """How much of each layer is silent for samples int8 [n, inputs], n > 0."""
    values = first = first_inputs(network.plan, samples)
    found = []
    for index, (layer, state) in enumerate(zip(network.plan.layers, network.layers, strict=True)):
        sums = exact_product(network.plan.read(index, first, values), state.weights.T)
        values = np.stack([activate(row, layer.leak_shift).values for row in sums])
        speaks = values != 0
        found.append(
            LayerSilence(
                units=layer.units,
                dead_units=int(np.count_nonzero(~speaks.any(axis=0))),
                silent_share=float(np.mean(~speaks.any(axis=1))),
            )
        )
    return tuple(found)


def silence_warnings(layers: tuple[LayerSilence, ...]) -> tuple[str, ...]:
    """One sentence for each layer that is silent for more than a few samples."""
    return tuple(
        f"layer {index} has no activation for {layer.silent_share:.0%} of the test samples, and "
        f"{layer.dead_units} of its {layer.units} units have none for any: it cannot tell them "
        "apart, and learns nothing from them. More units, or activation: leaky_relu with "
        "negative_slope: 0.125, mend it"
        for index, layer in enumerate(layers)
        if layer.silent_share > WARNING_SHARE
    )
