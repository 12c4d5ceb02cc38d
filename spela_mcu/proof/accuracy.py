"""Device against float: how much accuracy learning in integers costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spela_mcu.errors import UserError
from spela_mcu.pipeline import Prepared, learning_stream

Accuracies = tuple[float, ...]
"""Share of samples classified rightly, 0 to 1, per exit."""

FLOAT_RUNS = 4
"""Float networks beside the device: enough for a mean and a spread, few enough to wait for."""

STANDARD_ERRORS = 2.0
"""A difference beyond two standard errors counts as distinguishable from chance."""


@dataclass(frozen=True)
class FloatComparison:
    """The device's accuracy against float's, at the last exit.

    Learning is a noisy path: two float networks that learn the same samples in different orders
    differ by a point or more while they learn fast. So the device stands beside several.

    Attributes:
        accuracy: of float networks that start and learn like the device, per exit, their mean.
        spread_points: standard deviation of their last exits.
        shortfall_points: how far the device stands below their mean (negative: above).
        resolution_points: what one run on this many samples can tell apart: two standard errors,
            of the float runs or of the samples that only one of device and float classifies
            rightly, whichever is greater.
        within_tolerance: shortfall <= tolerance + resolution.
    """

    accuracy: Accuracies
    spread_points: float
    shortfall_points: float
    resolution_points: float
    within_tolerance: bool


def compare_with_float(
    prepared: Prepared, steps: int, device_labels: NDArray[np.int64]
) -> FloatComparison:
    """Lets float networks start and learn like the device, and compares on the same samples.

    Args:
        prepared: the model; its test part starts with the samples inferred.
        steps: learning steps that the device made.
        device_labels: what the device said, int64 [exits, n].
    """
    test, _ = prepared.test_samples(device_labels.shape[1])
    device_right = device_labels == test.y
    runs = [
        _float_twin_labels(prepared, steps, test.x, run) == test.y
        for run in range(FLOAT_RUNS if steps else 1)
    ]
    shares = np.array([accuracies(right) for right in runs])
    shortfall = 100 * float(shares[:, -1].mean() - device_right[-1].mean())
    spread = 100 * float(shares[:, -1].std(ddof=1)) if len(runs) > 1 else 0.0
    sampling = 100 * _paired_standard_error(runs[0][-1], device_right[-1])
    resolution = STANDARD_ERRORS * max(spread, sampling)
    return FloatComparison(
        accuracy=tuple(shares.mean(axis=0).tolist()),
        spread_points=spread,
        shortfall_points=shortfall,
        resolution_points=resolution,
        within_tolerance=shortfall <= prepared.spec.verify.tolerance_points + resolution,
    )


def _float_twin_labels(
    prepared: Prepared, steps: int, samples: NDArray[np.float32], run: int
) -> NDArray[np.int64]:
    """What a float twin says after learning; run 0 learns in the device's own order."""
    from spela_mcu.reference.training import online_learning_rates

    twin, train = prepared.float_twin(), prepared.dataset.train
    with overflow_told(prepared.path):
        if steps:
            order = learning_stream(len(train), steps, prepared.spec.network.seed + run)
            rates = online_learning_rates(prepared.spec.learning, steps)
            twin.learn_online(train.x[order], train.y[order], rates)
        return twin.predict(samples)


@contextmanager
def overflow_told(model: Path) -> Iterator[None]:
    """A float network that overflows within has too great a learning rate, which is told.

    Raises:
        UserError: it overflows.
    """
    try:
        yield
    except FloatingPointError as error:
        raise UserError(
            f"the float network overflows: {error}",
            key="learning.learning_rate",
            mend="choose a smaller learning rate",
            file=model,
        ) from error


def _paired_standard_error(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Standard error of the difference of two shares on the same samples (McNemar 1947)."""
    only_one, only_other = np.count_nonzero(one & ~other), np.count_nonzero(other & ~one)
    n = len(one)
    return sqrt(max(only_one + only_other - (only_one - only_other) ** 2 / n, 0.0)) / n


def accuracies(right: NDArray[np.bool_]) -> Accuracies:
    """Shares of right answers [exits, n], per exit."""
    return tuple(float(share) for share in right.mean(axis=1))
