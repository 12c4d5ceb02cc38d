"""numpy's front end against a third reading of docs/front-end.md."""

import front_end_by_the_book as book
import numpy as np
import pytest
from test_front_end import noise, plan_of

from spela_mcu.front_end.plan import scale_plan
from spela_mcu.front_end.raw import to_raw
from spela_mcu.front_end.rows import samples

KEYS = {
    "signals": {"decimate": 3, "readings": "int8", "window": 30, "step": 30},
    "shifted": {"readings": "int32", "shift": 11, "window": 20, "step": 20},
    "statistics": {"statistics": {"length": 11, "hop": 7}, "window": 40, "step": 40},
    "spectrum": {"spectrum": {"points": 64, "hop": 32, "bands": 9, "low": 4.0}, "window": 100,
                 "step": 100},
    "log_mel": {"log_mel": {"bands": 12, "frame_ms": 11, "hop_ms": 7}, "rate": 9000, "window": 300,
                "step": 300, "axes": 1},
}  # fmt: skip


def of_axis(plan, keys, x):
    """The features of an axis's signals of a row."""
    if "statistics" in keys:
        return book.statistics(x, plan.row.of)
    if "spectrum" in keys or "log_mel" in keys:
        stated = keys.get("spectrum") or {"low": 125.0, **keys["log_mel"]}
        ends = stated["low"], plan.rate / 2
        mel = "log_mel" in keys
        return book.spectrum(x, plan.row.points, stated["bands"], ends, plan.rate, on_mel=mel)
    return x


@pytest.mark.parametrize("kind", KEYS)
def test_samples(kind):
    keys = KEYS[kind]
    plan = plan_of(**keys)
    windows = noise(plan, 5, 6)
    for window, sample in zip(windows.tolist(), samples(plan, windows), strict=True):
        axes = book.signals(window, plan.readings, plan.shift, plan.averaged)
        wanted = []
        for row in range(plan.rows):
            at = row * plan.hop
            features = [f for x in axes for f in of_axis(plan, keys, x[at : at + plan.span])]
            wanted += [
                book.scaled(feature, scale.offset, scale.factor, scale.shift)
                for feature, scale in zip(features, plan.scales, strict=True)
            ]
        assert sample.tolist() == wanted


def test_raw_values():
    rng = np.random.default_rng(6)
    for kind in ("int8", "uint8", "int16", "int32"):
        values = rng.normal(0, 3, 200)
        wanted = [book.raw(value, kind, 4.0) for value in values.tolist()]
        assert to_raw(values, kind, 4.0).values.tolist() == wanted


def test_scales():
    rng = np.random.default_rng(7)
    for width in [0, 1e-9, 1, 127, 1 << 17, *(2 ** rng.uniform(0, 17, 200))]:
        middle = float(rng.uniform(-1000, 1000))
        made = scale_plan(middle, float(width))
        assert (made.offset, made.factor, made.shift) == book.scale(middle, float(width))
