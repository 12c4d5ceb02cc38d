"""What the integer format does to learning, counted."""

from __future__ import annotations

from dataclasses import dataclass

from spela_mcu.fixed_point.learning import UpdateCount


@dataclass
class QuantizationCounts:
    """Counts of the integer format's effects on a layer's learning, since the start."""

    layer_updates: int = 0
    applications: int = 0
    flushed: int = 0
    updates_made: int = 0
    updates_rounded_to_zero: int = 0
    updates_saturated: int = 0
    multipliers_clipped: int = 0
    silent: int = 0

    def count_applied(self, done: UpdateCount, count: int, batch: int) -> None:
        """Counts an application of `count` updates, of at most `batch`."""
        self.applications += 1
        self.flushed += count < batch
        self.updates_made += done.made
        self.updates_rounded_to_zero += done.to_zero
        self.updates_saturated += done.saturated


@dataclass(frozen=True)
class LayerQuantization:
    """The integer format's effect on one layer, for reports.

    Attributes:
        updates: times the layer learned.
        applications: times that pending updates were summed, rounded and applied.
        flushed: of these, before there were as many as the batch.
        rounded_to_zero: share of single weights' updates, summed, that rounding made zero.
        saturated: share of them that reached the end of the weights' range.
        multipliers_clipped: update multipliers that did not fit 16 bits.
        halvings: times the layer's weights were halved.
        weights_at_end: share of the weights that are at an end of the range now.
        silent: samples at which the layer had no activation, and so could not learn.
    """

    updates: int
    applications: int
    flushed: int
    rounded_to_zero: float
    saturated: float
    multipliers_clipped: int
    halvings: int
    weights_at_end: float
    silent: int
