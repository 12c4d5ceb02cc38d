"""From what model.yaml says of a front end to its plan."""

from __future__ import annotations

import numpy as np

from spela_mcu.errors import UserError
from spela_mcu.front_end.plan import (
    FrontEndPlan,
    Row,
    ScalePlan,
    Signals,
    SpectrumPlan,
    StatisticsPlan,
    scale_plan,
)
from spela_mcu.front_end.tables import make_bands, mel
from spela_mcu.spec.front_end import SPAN_MAX, FrontEnd, LogMel, Spectrum

AXES_MAX = 16
ROWS_MAX = 65535


def make_front_end(
    section: FrontEnd, axes: tuple[str, ...], window: int, *, step: int, rate: float | None
) -> FrontEndPlan:
    """The plan of a front end, without measured scales.

    Args:
        section: what model.yaml says.
        axes: the names of a reading's values.
        window: raw readings of a sample.
        step: raw readings from one sample to the next.
        rate: raw readings a second, if it is known.

    Raises:
        UserError: what it says does not fit the window.
    """
    if len(axes) > AXES_MAX:
        raise _fault(
            f"a reading has {len(axes)} values, {AXES_MAX} at most are possible",
            "use fewer axes",
            "readings",
        )
    averaged = section.decimate
    for name, length in (("window", window), ("step", step)):
        if length % averaged:
            raise _fault(
                f"averages {averaged} readings, but the {name} of {length} is no multiple of it",
                f"let decimate divide both window and step, or make the {name} "
                f"{max(length // averaged, 1) * averaged}",
                "decimate",
            )
    length, stride = window // averaged, step // averaged
    row, span, hop = _row(section, length, rate)
    if span > min(length, SPAN_MAX):
        raise _fault(
            f"a row takes {span} readings{' after averaging' if averaged > 1 else ''}, but there "
            f"are {length} in a window",
            f"make it at most {min(length, SPAN_MAX)}, or the window longer",
            _key(section),
        )
    rows = (length - span) // hop + 1
    if rows == 1:
        hop = min(stride, span)
    elif stride < rows * hop and stride % hop:
        raise _fault(
            f"rows are {hop} readings apart, but samples {stride}, so they share no rows",
            f"make the step a multiple of {hop * averaged}",
            _key(section),
        )
    backlog = section.backlog or hop
    plan = FrontEndPlan(
        readings=section.readings,
        shift=section.shift,
        averaged=averaged,
        axes=axes,
        rate=rate,
        window=window,
        step=step,
        span=span,
        hop=hop,
        rows=rows,
        backlog=backlog,
        row=row,
        scales=_stated_scales(section),
    )
    if plan.capacity >= 1 << 15 or plan.inputs > ROWS_MAX:
        raise _fault(f"a sample would have {plan.inputs} values", "make fewer rows", _key(section))
    return plan


def _stated_scales(section: FrontEnd) -> tuple[ScalePlan, ...]:
    ends = section.scale.range
    if ends is None:
        return ()
    return (scale_plan((ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2),)


def _row(section: FrontEnd, length: int, rate: float | None) -> tuple[Row, int, int]:
    """What a row holds, its span and its hop."""
    if section.statistics is not None:
        span = section.statistics.length or length
        return StatisticsPlan(section.statistics.of), span, _hop(section.statistics.hop, span)
    if section.spectrum is not None:
        one = section.spectrum
        return _spectrum(section, one, one.points, rate), one.points, _hop(one.hop, one.points)
    if section.log_mel is not None:
        sound = section.log_mel
        after = _rate(rate, "log_mel") / section.decimate
        span, hop = round(sound.frame_ms * after / 1000), round(sound.hop_ms * after / 1000)
        points = max(32, 1 << (span - 1).bit_length())
        if points > 1024 or hop < 1:
            raise _fault(
                f"a frame of {sound.frame_ms:g} ms has {span} readings at {after:g} Hz; 1024 at "
                "most are possible",
                "make frames shorter, or average readings (decimate)",
                "log_mel.frame_ms",
            )
        return _spectrum(section, sound, points, rate), span, min(hop, span)
    return Signals(), 1, 1


def _hop(stated: int | None, span: int) -> int:
    return min(stated or span, span)


def _spectrum(
    section: FrontEnd, features: Spectrum | LogMel, points: int, rate: float | None
) -> SpectrumPlan:
    on_mel = isinstance(features, LogMel)
    name = "log_mel" if on_mel else "spectrum"
    bands, low, high = features.bands, features.low, features.high
    after = _rate(rate, name) / section.decimate
    top = high if high is not None else after / 2
    if not low < top <= after / 2:
        raise _fault(
            f"bands from {low:g} to {top:g} Hz, but readings tell frequencies from 0 to "
            f"{after / 2:g} Hz",
            "choose low and high within that",
            f"{name}.low" if high is None else f"{name}.high",
        )
    made = make_bands(points, bands, after, low, top, on_mel=on_mel)
    counts = np.diff(made.first)
    empty = np.flatnonzero(counts[:-1] + counts[1:] == 0)
    if len(empty):
        raise _fault(
            f"band {empty[0]} of {bands} has no bin: these are {after / points:g} Hz apart",
            "take fewer bands, more points, or a wider range",
            f"{name}.bands",
        )
    ends = mel(np.array([low, top])) if on_mel else np.array([low, top])
    peaks = np.linspace(ends[0], ends[1], bands + 2)[1:-1]
    if on_mel:
        peaks = 700.0 * np.expm1(peaks / 1127.0)
    return SpectrumPlan(points, made, tuple(peaks.tolist()))


def _rate(rate: float | None, name: str) -> float:
    if rate is None:
        raise _fault(
            "frequencies are known only with the rate of readings",
            "state front_end.rate, in readings a second",
            name,
        )
    return rate


def _key(section: FrontEnd) -> str:
    found = [name for name in ("statistics", "spectrum", "log_mel") if getattr(section, name)]
    return found[0] if found else "decimate"


def _fault(reason: str, mend: str, key: str) -> UserError:
    return UserError(reason, mend=mend, key=f"front_end.{key}")
