"""What an exit on a feature map reads: the mean of each channel."""

from __future__ import annotations

from dataclasses import dataclass

from spela_mcu.backbone.graph import Shape
from spela_mcu.backbone.pool import AveragePool
from spela_mcu.backbone.requantize import INT8_MAX, INT8_MIN
from spela_mcu.backbone.window import Pair, Window

MOST_POSITIONS = 1 << 16
"""Of a map that is averaged: SPELA_TAPS_MAX."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Tap(AveragePool):
    """An AVERAGE_POOL_2D over the whole map, in the map's own scale; nothing later reads it.

    Attributes:
        zero_point: the map's.
    """

    zero_point: int


def tap_of(shape: Shape, zero_point: int) -> Tap:
    """The tap of a map."""
    return Tap(
        input=shape,
        output=Shape(1, 1, shape.channels),
        window=Window(Pair(shape.height, shape.width), Pair(1, 1), Pair(1, 1), Pair(0, 0)),
        activation_min=INT8_MIN,
        activation_max=INT8_MAX,
        zero_point=zero_point,
    )
