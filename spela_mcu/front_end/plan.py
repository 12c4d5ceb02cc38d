"""What a front end does, in numbers: the plan that numpy and the chip follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spela_mcu.front_end.tables import Bands
from spela_mcu.spec.front_end import Readings, Statistic

FACTOR_BITS, SHIFT_MAX = 12, 30


@dataclass(frozen=True)
class Signals:
    """A row is one reading."""

    @property
    def of_axis(self) -> tuple[str, ...]:
        """The names of an axis's features."""
        return ("",)


@dataclass(frozen=True)
class StatisticsPlan:
    """A row is the figures of each axis.

    Attributes:
        of: which, in their order.
    """

    of: tuple[Statistic, ...]

    @property
    def of_axis(self) -> tuple[str, ...]:
        """The names of an axis's features."""
        return self.of


@dataclass(frozen=True, eq=False)
class SpectrumPlan:
    """A row is the band powers of each axis.

    Attributes:
        points: of the transform, at least the readings of a row.
        bands: which bins make up which.
        peaks: where each band is greatest, Hz.
    """

    points: int
    bands: Bands
    peaks: tuple[float, ...]

    @property
    def of_axis(self) -> tuple[str, ...]:
        """The names of an axis's features."""
        return tuple(f"{peak:.0f} Hz" for peak in self.peaks)


Row = Signals | StatisticsPlan | SpectrumPlan


@dataclass(frozen=True)
class ScalePlan:
    """A feature to an input: clip(rsr((feature - offset) * factor, shift), -127, 127).

    Attributes:
        offset: within +-2^17.
        factor: below 2^12; 0 for a feature that never varies.
        shift: 0 to 30.
    """

    offset: int
    factor: int
    shift: int


@dataclass(frozen=True, eq=False)
class FrontEndPlan:
    """From raw readings to a sample.

    Lengths are in readings after averaging, unless said otherwise.

    Attributes:
        readings: type of a raw value.
        shift: by which int32 ones are shifted right.
        averaged: raw readings that become one.
        axes: names of a reading's values.
        rate: raw readings a second; None if nobody said.
        window: raw readings of a sample.
        step: raw readings from one sample to the next.
        span: readings of a row.
        hop: from one row to the next, 1 to span.
        rows: of a sample.
        backlog: readings that the ring holds besides those of a row.
        row: what a row holds.
        scales: one for each channel, or one for all; none while they are not measured.
    """

    readings: Readings
    shift: int
    averaged: int
    axes: tuple[str, ...]
    rate: float | None
    window: int
    step: int
    span: int
    hop: int
    rows: int
    backlog: int
    row: Row
    scales: tuple[ScalePlan, ...] = ()

    @property
    def channels(self) -> int:
        """Features of a row."""
        return len(self.axes) * len(self.row.of_axis)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The name of each feature of a row."""
        return tuple(f"{axis} {name}".strip() for axis in self.axes for name in self.row.of_axis)

    @property
    def inputs(self) -> int:
        """Values of a sample."""
        return self.rows * self.channels

    @property
    def capacity(self) -> int:
        """Readings that the ring holds."""
        return self.span + self.backlog

    @property
    def needed(self) -> int:
        """Raw readings after which a sample is complete; the window's others go into no row."""
        return (self.span + (self.rows - 1) * self.hop) * self.averaged

    @property
    def kept(self) -> int:
        """Rows that a sample shares with the one before."""
        step = self.step // self.averaged
        return max(self.rows - step // self.hop, 0) if self.rows > 1 else 0

    @property
    def skip(self) -> int:
        """Readings between two samples that no row needs."""
        return max(self.step // self.averaged - (self.rows - self.kept) * self.hop, 0)


def scale_plan(offset: float, half_width: float) -> ScalePlan:
    """The scale that brings offset - half_width .. offset + half_width to -127 .. 127.

    Args:
        offset: within +-2^17.
        half_width: 0: the feature never varies. Less than 1 is taken as 1.
    """
    middle = int(np.rint(offset))
    if half_width == 0:
        return ScalePlan(middle, 0, 0)
    exact = 127 / max(half_width, 1.0)
    shift = min(FACTOR_BITS - 1 - int(np.floor(np.log2(exact))), SHIFT_MAX)
    factor = int(np.rint(exact * 2.0**shift))
    if factor == 1 << FACTOR_BITS:
        factor, shift = factor // 2, shift - 1
    return ScalePlan(middle, factor, shift)


def measured_scales(
    features: NDArray[np.int64], per: Literal["channel", "all"], deviations: float
) -> tuple[ScalePlan, ...]:
    """Scales that bring the mean of features to 0, and so many standard deviations to 127.

    Args:
        features: of the training part [n, rows, channels].
        per: whether each channel gets its own.
        deviations: see above.
    """
    values = features.reshape(-1, features.shape[-1] if per == "channel" else 1).astype(np.float64)
    widths = values.std(axis=0) * deviations
    return tuple(
        scale_plan(float(middle), float(width))
        for middle, width in zip(values.mean(axis=0), widths, strict=True)
    )
