"""The integer reference of a front end: from raw readings to samples (docs/front-end.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spela_mcu.front_end.plan import FrontEndPlan, ScalePlan, Signals, SpectrumPlan
from spela_mcu.front_end.raw import signals
from spela_mcu.front_end.spectrum import band_powers, mean
from spela_mcu.spec.front_end import STATISTICS, Statistic

Int64 = NDArray[np.int64]

WINDOWS_AT_ONCE = 64
"""Bounds the memory; the result does not depend on it."""


def features(plan: FrontEndPlan, raw: NDArray[np.int32]) -> NDArray[np.int32]:
    """The features of windows, before they are scaled [n, rows, channels].

    Args:
        plan: the front end.
        raw: raw readings [n, window, axes].
    """
    found = np.empty((len(raw), plan.rows, plan.channels), np.int32)
    for at in range(0, len(raw), WINDOWS_AT_ONCE):
        found[at : at + WINDOWS_AT_ONCE] = _features(plan, raw[at : at + WINDOWS_AT_ONCE])
    return found


def scaled(plan: FrontEndPlan, found: NDArray[np.int32]) -> NDArray[np.int8]:
    """Features [n, rows, channels] as samples [n, inputs]."""
    return apply_scales(found.astype(np.int64), plan.scales).reshape(len(found), -1)


def samples(plan: FrontEndPlan, raw: NDArray[np.int32]) -> NDArray[np.int8]:
    """The samples [n, inputs] of windows of raw readings [n, window, axes]."""
    return scaled(plan, features(plan, raw))


def apply_scales(values: Int64, scales: tuple[ScalePlan, ...]) -> NDArray[np.int8]:
    """Features [..., channels] to inputs."""
    offset, factor, shift = (
        np.array([getattr(one, name) for one in scales], np.int64)
        for name in ("offset", "factor", "shift")
    )
    rounded: Int64 = ((values - offset) * factor + ((1 << shift) >> 1)) >> shift
    return rounded.clip(-127, 127).astype(np.int8)


def averages(plan: FrontEndPlan, raw: NDArray[np.int32]) -> Int64:
    """What goes into the ring [n, window / averaged, axes]."""
    values = signals(raw, plan.readings, plan.shift).astype(np.int64)
    if plan.averaged == 1:
        return values
    count = values.shape[1] // plan.averaged
    groups = values[:, : count * plan.averaged].reshape(
        len(values), count, plan.averaged, values.shape[2]
    )
    return mean(groups.sum(axis=2), plan.averaged)


def _features(plan: FrontEndPlan, raw: NDArray[np.int32]) -> Int64:
    values = averages(plan, raw)
    frames = np.lib.stride_tricks.sliding_window_view(values, plan.span, axis=1)
    return row_features(plan, frames[:, : (plan.rows - 1) * plan.hop + 1 : plan.hop])


def row_features(plan: FrontEndPlan, frames: Int64) -> Int64:
    """The features of rows [..., channels], from their signals [..., axes, span]."""
    match plan.row:
        case Signals():
            return frames[..., 0]
        case SpectrumPlan(points=points, bands=bands):
            found = band_powers(frames, points, bands)
        case _:
            found = _statistics(frames, plan.row.of)
    return found.reshape(*frames.shape[:-2], plan.channels)


def _statistics(frames: Int64, wanted: tuple[Statistic, ...]) -> Int64:
    """Figures of frames [..., span]: [..., statistics]."""
    span = frames.shape[-1]
    middle = mean(frames.sum(axis=-1), span)
    above = frames >= middle[..., None]
    figures = {
        "mean": middle,
        "deviation": mean(np.abs(frames - middle[..., None]).sum(axis=-1), span),
        "minimum": frames.min(axis=-1),
        "maximum": frames.max(axis=-1),
        "crossings": np.count_nonzero(above[..., 1:] != above[..., :-1], axis=-1),
    }
    return np.stack([figures[name] for name in STATISTICS if name in wanted], axis=-1)
