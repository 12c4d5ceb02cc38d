"""What a front end makes of readings, as a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from spela_mcu.data.dataset import INPUT_MAX, Dataset
from spela_mcu.front_end.plan import FrontEndPlan

CLASSES = 4
"""Classes shown, at most: the first ones."""

READINGS_DRAWN = 2000
"""Points of a line, at most."""


def paint_samples(figure: Figure, dataset: Dataset, plan: FrontEndPlan) -> None:
    """A window of each of some classes: its readings above, the sample that becomes of it below."""
    part = dataset.test
    assert part.readings is not None
    labels = np.unique(part.y)[:CLASSES]
    grid = figure.subplots(2, len(labels), squeeze=False)
    peak = max(1, int(np.abs(part.readings.astype(np.int64)).max()))
    for (above, below), label in zip(grid.T, labels.tolist(), strict=True):
        first = int(np.argmax(part.y == label))
        readings = part.readings[first]
        every = -(-len(readings) // READINGS_DRAWN)
        time = np.arange(0, len(readings), every) / (plan.rate or 1)
        for axis, name in enumerate(plan.axes):
            above.plot(time, readings[::every, axis], linewidth=0.6, label=name)
        above.set_title(dataset.class_names[label], fontsize=9)
        above.set_ylim(-peak, peak)
        above.set_xlabel("reading" if plan.rate is None else "s", fontsize=8)
        below.imshow(
            part.samples[first].reshape(plan.rows, plan.channels).T,
            aspect="auto",
            origin="lower",
            cmap="viridis",
            vmin=-INPUT_MAX,
            vmax=INPUT_MAX,
            interpolation="nearest",
        )
        below.grid(visible=False)
        below.set_xlabel("row", fontsize=8)
        for axes in (above, below):
            axes.tick_params(labelsize=7)
            if label != labels[0]:
                axes.tick_params(labelleft=False)
    grid[0, 0].set_ylabel("reading", fontsize=8)
    grid[1, 0].set_ylabel("feature", fontsize=8)
    if len(plan.axes) > 1:
        grid[0, 0].legend(fontsize=6, loc="upper left", ncols=2)
