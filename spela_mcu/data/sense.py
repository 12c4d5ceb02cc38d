"""Samples by a front end: raw readings, and the features that become the network's inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import INPUT_MAX, InputScaling, Split
from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.errors import UserError
from spela_mcu.front_end.make import make_front_end
from spela_mcu.front_end.plan import FrontEndPlan, measured_scales
from spela_mcu.front_end.raw import to_raw
from spela_mcu.front_end.rows import features, scaled
from spela_mcu.notice import Notice
from spela_mcu.spec.data import Data
from spela_mcu.spec.front_end import FrontEnd
from spela_mcu.spec.model import ModelSpec

CLIPPED_SHARE = 0.01
"""Readings of which more are clipped are warned of."""


@dataclass(frozen=True, eq=False)
class Sensed:
    """Windows and what a front end makes of them, before it is scaled.

    Attributes:
        readings: raw ones of which the samples are, in the chip's type [n, readings, axes].
        features: int32 [n, rows, channels].
    """

    readings: NDArray[Any]
    features: NDArray[np.int32]

    def split(
        self, plan: FrontEndPlan, y: NDArray[np.int64], rows: NDArray[np.int64] | None = None
    ) -> Split:
        """These samples, or some of them, scaled; y are the labels of all."""
        found = self.features if rows is None else self.features[rows]
        x = scaled(plan, found).astype(np.float32) / np.float32(INPUT_MAX)
        if rows is None:
            return Split(x, y, readings=self.readings)
        return Split(x, y[rows], readings=self.readings[rows])


def front_end_of(spec: ModelSpec, raw: RawData) -> FrontEndPlan | None:
    """The front end of a model, its scales not measured yet; None if it has none.

    Raises:
        UserError: samples are no windows of readings, or do not suit it.
    """
    section = spec.front_end
    if section is None:
        return None
    shape = raw.samples.x.shape
    if len(shape) not in (2, 3):
        raise UserError(
            f"takes windows, [readings, axes], but a sample has shape {list(shape[1:])}",
            mend="have the data source return raw readings, or remove front_end",
            key="front_end",
        )
    axes = _axes(spec.data, 1 if len(shape) == 2 else shape[2])
    window = shape[1]
    return make_front_end(
        section,
        axes,
        window,
        step=section.step or getattr(spec.data, "step", None) or window,
        rate=section.rate or getattr(spec.data, "rate", None),
    )


def _axes(data: Data, count: int) -> tuple[str, ...]:
    named: tuple[str, ...] | None = getattr(data, "axes", None)
    if named is not None and len(named) == count:
        return named
    return tuple(f"a{index}" for index in range(count))


def sense(plan: FrontEndPlan, section: FrontEnd, part: RawPart) -> Sensed:
    """What the front end makes of windows."""
    windows = part.x[..., None] if part.x.ndim == 2 else part.x
    raw = to_raw(windows, plan.readings, section.full_scale).values
    return Sensed(raw[:, : plan.needed].astype(plan.readings), features(plan, raw))


def with_scales(plan: FrontEndPlan, section: FrontEnd, train: NDArray[np.int32]) -> FrontEndPlan:
    """The front end with its scales, stated or measured on the training part's features."""
    if plan.scales:
        return plan
    scale = section.scale
    return replace(
        plan, scales=measured_scales(train.astype(np.int64), scale.per, scale.deviations)
    )


def unit_scaling(inputs: int) -> InputScaling:
    """The scaling of samples that are int8 already."""
    return InputScaling(np.zeros(inputs, np.float32), np.full(inputs, 1 / INPUT_MAX, np.float32))


def clipping(section: FrontEnd, raw: RawData, axes: tuple[str, ...]) -> tuple[Notice, ...]:
    """Notices about axes of which many readings are at the end of their range, or beyond it."""
    recordings = raw.recordings or ()
    count = np.zeros(len(axes), np.int64)
    total = 0
    where: list[str | None] = [None] * len(axes)
    for recording in recordings:
        clipped = to_raw(recording.values, section.readings, section.full_scale).clipped
        total += len(clipped)
        count += clipped.sum(axis=0)
        for axis in np.flatnonzero(clipped.any(axis=0)).tolist():
            if where[axis] is None:
                where[axis] = recording.place(int(np.argmax(clipped[:, axis])))
    if not recordings:
        windows = raw.samples.x[..., None] if raw.samples.x.ndim == 2 else raw.samples.x
        clipped = to_raw(windows, section.readings, section.full_scale).clipped
        total, count = clipped[..., 0].size, clipped.sum(axis=(0, 1))
    return tuple(
        Notice(
            f"{count[axis] / total:.1%} of the readings of {name} are at an end of "
            f"{section.readings} or beyond it"
            + (f", first in {where[axis]}" if where[axis] else ""),
            "state a larger front_end.full_scale, or set the sensor to a wider range",
        )
        for axis, name in enumerate(axes)
        if count[axis] > CLIPPED_SHARE * total
    )
