"""Silent layers: they have no activation for a sample, and so neither answer nor learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import Int64, activate, exact_product
from spela_mcu.fixed_point.layer import LAYER_CONVOLUTION, LAYER_DENSE, LAYER_READOUT, LAYER_TAP
from spela_mcu.fixed_point.network import IntegerNetwork, first_inputs

_DENSE = "units", "More units, or activation: leaky_relu with negative_slope: 0.125, mend it"
_WORDS = {
    LAYER_DENSE: _DENSE,
    LAYER_TAP: _DENSE,
    LAYER_CONVOLUTION: ("filters", "More filters mend it"),
    LAYER_READOUT: ("units", "A larger readout mends it"),
}
"""What a layer consists of, and what mends its silence."""

WARNING_SHARE = 0.01
"""A layer that is silent for more samples than this share of them is worth a warning."""


@dataclass(frozen=True)
class LayerSilence:
    """How much of a layer is silent, that is, has activation 0.

    Attributes:
        kind: of the layer: LAYER_DENSE, LAYER_CONVOLUTION of filters, or LAYER_READOUT.
        units: the layer's width; a filter's activation is its map.
        dead_units: units that are silent for every sample.
        silent_share: share of the samples for which all units are silent.
    """

    units: int
    dead_units: int
    silent_share: float
    kind: int = LAYER_DENSE

    @classmethod
    def of(cls, values: Int64, kind: int) -> Self:
        """The silence in activations [n, units]."""
        speaks = values != 0
        return cls(
            units=values.shape[1],
            dead_units=int(np.count_nonzero(~speaks.any(axis=0))),
            silent_share=float(np.mean(~speaks.any(axis=1))),
            kind=kind,
        )


def silence(network: IntegerNetwork, samples: NDArray[np.int8]) -> tuple[LayerSilence, ...]:
    """How much of each layer is silent for samples int8 [n, inputs], n > 0.

    As the chip numbers layers: a convolution's filters, and then its read-out.
    """
    values = first = first_inputs(network.plan, samples)
    found = []
    for index, layer in enumerate(network.plan.layers):
        values = network.plan.read(index, first, values)
        if layer.convolution is None:
            weights = network.layers[network.plan.matrix_index(index)].weights
            sums = exact_product(values, weights.T)
            values = np.stack([activate(row, layer.leak_shift).values for row in sums])
            found.append(LayerSilence.of(values, layer.kind))
        else:
            pairs = [network.convolve(index, sample) for sample in values]
            heights = np.stack([map.block.values.max(axis=0) for map, _ in pairs])
            projections = np.stack([one.output.activation.values for _, one in pairs])
            found.append(LayerSilence.of(heights, layer.convolution.kind))
            found.append(LayerSilence.of(projections, layer.kind))
            values = np.stack([map.values for map, _ in pairs])
    return tuple(found)


def silence_warnings(layers: tuple[LayerSilence, ...]) -> tuple[str, ...]:
    """One sentence for each layer that is silent for more than a few samples.

    Of a convolution's two, the read-out's is told only where its filters are not to blame.
    """
    found = []
    for index, layer in enumerate(layers):
        below = layers[index - 1] if layer.kind == LAYER_READOUT else None
        blamed = below is not None and below.silent_share == layer.silent_share
        if layer.silent_share <= WARNING_SHARE or blamed:
            continue
        what, mend = _WORDS[layer.kind]
        found.append(
            f"layer {index} has no activation for {layer.silent_share:.0%} of the test samples, "
            f"and {layer.dead_units} of its {layer.units} {what} have none for any: it cannot "
            f"tell them apart, and learns nothing from them. {mend}"
        )
    return tuple(found)
