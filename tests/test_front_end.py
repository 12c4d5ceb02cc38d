"""The front end: numpy, the chip's C on this machine, and the tables between them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spela_mcu.front_end.make import make_front_end
from spela_mcu.front_end.plan import FrontEndPlan, measured_scales
from spela_mcu.front_end.raw import limits
from spela_mcu.front_end.rows import features, samples
from spela_mcu.host.front_end import HostFrontEnd
from spela_mcu.spec.front_end import FrontEnd

SIGNALS: dict[str, Any] = {"decimate": 4}
STATISTICS: dict[str, Any] = {"statistics": {"length": 20, "hop": 10}}
SPECTRUM: dict[str, Any] = {"spectrum": {"points": 32, "hop": 20, "bands": 5}}


def plan_of(
    axes: int = 3, window: int = 80, step: int = 40, rate: float = 100, **keys: Any
) -> FrontEndPlan:
    """A plan whose scales are measured on noise."""
    section = FrontEnd.model_validate(keys)
    names = tuple("abcdefghijklmnop"[:axes])
    plan = make_front_end(section, names, window, step=step, rate=rate)
    if plan.scales:
        return plan
    return replace(plan, scales=measured_scales(features(plan, noise(plan, 1, 20)), "channel", 3))


def noise(plan: FrontEndPlan, seed: int, windows: int) -> NDArray[np.int32]:
    """Readings [windows, window, axes] of many magnitudes, ends of the range among them."""
    rng = np.random.default_rng(seed)
    low, high = limits(plan.readings)
    size = (windows, plan.window, len(plan.axes))
    spread = (high - low) / 2 ** rng.uniform(0, 15, (windows, 1, len(plan.axes)))
    middle = rng.uniform(low, high, (windows, 1, len(plan.axes)))
    values = np.where(rng.random(size) < 0.01, rng.choice([low, high], size), 0)
    values = np.where(values == 0, middle + rng.normal(0, 1, size) * spread, values)
    values[0] = high  # a constant at the end of the range
    if windows > 1:
        values[1] = low
        values[1, 1::2] = high  # the loudest of all
    return np.clip(np.rint(values), low, high).astype(np.int32)


def streamed(chip: HostFrontEnd, readings: NDArray[np.int32]) -> list[NDArray[np.int8]]:
    """The samples that a chip makes of a stream [readings, axes]."""
    found = []
    for reading in readings:
        assert chip.push(reading)
        if chip.ready():
            found.append(chip.take())
    return found


@pytest.mark.parametrize("readings", ["int8", "uint8", "int16", "int32"])
@pytest.mark.parametrize(
    "keys",
    [
        SIGNALS,
        {"scale": {"per": "all"}},
        STATISTICS,
        {"statistics": {"of": ["deviation", "crossings"]}, "decimate": 2},
        SPECTRUM,
        {"spectrum": {"points": 64, "hop": 8, "bands": 12, "low": 3, "high": 40}},
        {"decimate": 2, "scale": {"range": [-20000, 100000]}},
    ],
    ids=str,
)
def test_the_chips_c_makes_the_samples_that_numpy_makes(
    readings: str, keys: dict[str, Any]
) -> None:
    """Of single windows, and of every window of a stream."""
    shift = {"shift": 13} if readings == "int32" else {}
    plan = plan_of(readings=readings, **shift, **keys)
    chip = HostFrontEnd(plan)
    raw = noise(plan, 2, 6)
    for window, sample in zip(raw, samples(plan, raw), strict=True):
        chip.restart()
        (made,) = streamed(chip, window)
        assert np.array_equal(made, sample)
    stream = raw.reshape(-1, raw.shape[-1])
    starts = range(0, len(stream) - plan.window + 1, plan.step)
    wanted = samples(plan, np.stack([stream[at : at + plan.window] for at in starts]))
    chip.restart()
    assert np.array_equal(streamed(chip, stream)[: len(wanted)], wanted)
    assert len(np.unique(wanted)) >= 2


@pytest.mark.parametrize("points", [32, 64, 128, 256, 512, 1024])
def test_spectra_of_all_sizes(points: int) -> None:
    plan = plan_of(1, points, points, spectrum={"points": points, "bands": 10})
    chip, raw = HostFrontEnd(plan), noise(plan, 3, 40)
    stream = raw.reshape(-1, 1)
    assert np.array_equal(streamed(chip, stream), samples(plan, raw))


def test_log_mel_reuses_frames() -> None:
    """Windows overlap by half, and each frame is computed once."""
    plan = plan_of(1, 4000, 1600, rate=16000, log_mel={"bands": 20, "hop_ms": 25})
    assert (plan.rows, plan.kept) == (10, 6)
    stream = noise(replace(plan, window=16000), 4, 3).reshape(-1, 1)
    starts = range(0, len(stream) - plan.window + 1, plan.step)
    wanted = samples(plan, np.stack([stream[at : at + plan.window] for at in starts]))
    assert np.array_equal(streamed(HostFrontEnd(plan), stream), wanted)


def test_no_sample_spans_a_gap() -> None:
    """A full ring takes nothing until what it holds is used up; then a new sample begins."""
    plan = plan_of(2, 40, 20, statistics={"length": 10, "hop": 5}, backlog=7)
    chip, stream = HostFrontEnd(plan), noise(plan, 8, 9).reshape(-1, 2)
    taken = [chip.push(reading) for reading in stream[:40]]
    assert taken == [True] * 17 + [False] * 23
    assert chip.lost == 23
    assert not chip.ready()  # two rows: what is left of the ring makes no third
    made = streamed(chip, stream[40:80])
    assert np.array_equal(made[0], samples(plan, stream[np.newaxis, 40:80])[0])
    # a complete sample that nobody takes in time is still whole
    for reading in stream[80:100]:
        assert chip.push(reading) or chip.lost > 23
        last = chip.ready()
    assert last
    while chip.push(stream[100]):
        pass
    assert np.array_equal(chip.take(), samples(plan, stream[np.newaxis, 60:100])[0])
    assert not chip.ready()
    made = streamed(chip, stream[101:141])
    assert np.array_equal(made[0], samples(plan, stream[np.newaxis, 101:141])[0])


@pytest.mark.parametrize("step", [16, 40, 52, 97])
def test_steps_of_any_length(step: int) -> None:
    """Windows that overlap, touch, or leave readings out between them."""
    plan = plan_of(1, 40, step, statistics={"length": 16, "hop": 8, "of": ["mean", "minimum"]})
    stream = noise(replace(plan, window=600), 9, 1).reshape(-1, 1)
    starts = range(0, len(stream) - plan.window + 1, plan.step)
    wanted = samples(plan, np.stack([stream[at : at + plan.window] for at in starts]))
    assert np.array_equal(streamed(HostFrontEnd(plan), stream)[: len(wanted)], wanted)
