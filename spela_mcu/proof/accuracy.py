"""The device's accuracy, compared with float networks and with guessing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import Dataset
from spela_mcu.errors import UserError
from spela_mcu.pipeline import Prepared, learning_stream
from spela_mcu.proof.paired import (
    LEVEL,
    PairedCounts,
    Verdict,
    samples_needed,
    score_interval,
    verdict,
)

Accuracies = tuple[float, ...]
"""Share of samples classified correctly, 0 to 1, per exit."""

FLOAT_RUNS = 4
"""Float networks to compare with: enough to see how runs differ, few enough to wait for."""

FAR_POINTS = 5.0
"""A device shown to be further than this below the fully trained float network gets a warning."""


@dataclass(frozen=True)
class Shortfall:
    """How far the device is below another classifier at the last exit, in points.

    Attributes:
        points: as measured; negative: the device is above.
        low, high: bounds of the true difference, each wrong with a probability of 5 %.
    """

    points: float
    low: float
    high: float

    @classmethod
    def of(cls, counts: PairedCounts) -> Shortfall:
        """From counts whose first classifier is the other one and whose second is the device."""
        low, high = score_interval(counts)
        return cls(100 * counts.difference, 100 * low, 100 * high)


@dataclass(frozen=True)
class FloatComparison:
    """The device against float networks that start and learn like it (docs/evaluation.md).

    Attributes:
        accuracy: mean of the float networks, per exit.
        samples: number of test samples, the same for all.
        tolerance_points: how far the device may be below them.
        runs: number of float networks.
        spread_points: standard deviation of their accuracy at the last exit.
        design_effect: by what factor their accuracies vary more than if each sample were answered
            independently, at least 1; the counts are divided by it.
        shortfall: of the device below their mean.
        verdict: whether the shortfall is shown to be within the tolerance.
        samples_needed: how many test samples like these would decide it; None where no practical
            number would, because the runs differ too much or the shortfall is too close to the
            tolerance.
    """

    accuracy: Accuracies
    samples: int
    tolerance_points: float
    runs: int
    spread_points: float
    design_effect: float
    shortfall: Shortfall
    verdict: Verdict
    samples_needed: int | None

    @property
    def heading(self) -> str:
        """The verdict in words."""
        return {
            "within": "accuracy within tolerance",
            "below": "accuracy below tolerance",
            "undecided": f"accuracy not decidable with {self.samples} samples",
        }[self.verdict]

    @property
    def detail(self) -> str:
        """What the verdict rests on, and what would decide it."""
        points = self.shortfall.points
        side = "below" if points >= 0 else "above"
        text = (
            f"{abs(points):.2f} points {side} float, learned alike (mean of {self.runs}); 90 % "
            f"interval {self.shortfall.low:.2f} to {self.shortfall.high:.2f} below, tolerance "
            f"{self.tolerance_points:g}"
        )
        if self.verdict != "undecided":
            return text
        if self.samples_needed is not None:
            return f"{text}; about {self.samples_needed:,} samples like these would decide it"
        if self.design_effect > 1:
            return (
                f"{text}; more samples alone would not decide it: float runs that learned as much "
                f"differ among themselves (standard deviation {self.spread_points:.2f} points)"
            )
        return f"{text}; it is too near to the tolerance for any number of samples to decide"


@dataclass(frozen=True)
class MajorityComparison:
    """The device against always guessing the commonest class of the training part.

    Attributes:
        name: that class.
        share: share of the test samples in that class, 0 to 1: the accuracy of guessing.
        balanced: the device's balanced accuracy at the last exit: the mean over the classes of the
            share of each that is classified correctly.
        better: whether the device is shown to be better (exact binomial test, one-sided, 5 %).
    """

    name: str
    share: float
    balanced: float
    better: bool


@dataclass(frozen=True)
class TrainedComparison:
    """The device against the fully trained float network.

    Attributes:
        accuracy: of the float network per exit.
        shortfall: of the device.
    """

    accuracy: Accuracies
    shortfall: Shortfall

    @property
    def far(self) -> bool:
        """Whether the device is shown to be more than FAR_POINTS below."""
        return self.shortfall.low > FAR_POINTS


def compare_with_float(
    prepared: Prepared, steps: int, device_labels: NDArray[np.int64]
) -> FloatComparison:
    """Lets float networks start and learn like the device, and compares on the same samples.

    Args:
        prepared: the model; its test part starts with the samples that the device inferred.
        steps: learning steps that the device made.
        device_labels: the device's answers, int64 [exits, n].
    """
    test = prepared.test_samples(device_labels.shape[1])
    device_right = device_labels[-1] == test.y
    runs = np.stack(
        [
            _float_twin_labels(prepared, steps, test.x, run) == test.y
            for run in range(FLOAT_RUNS if steps else 1)
        ]
    )  # [runs, exits, n]
    last = runs[:, -1]
    effect = DesignEffect.of(last)
    counts = paired_counts(last, device_right)
    worth = counts.of(effect.independent(counts.samples))
    tolerance = prepared.spec.verify.tolerance_points / 100
    return FloatComparison(
        accuracy=tuple(runs.mean(axis=(0, 2)).tolist()),
        samples=len(device_right),
        tolerance_points=prepared.spec.verify.tolerance_points,
        runs=len(runs),
        spread_points=100 * float(last.mean(axis=1).std(ddof=1)) if len(runs) > 1 else 0.0,
        design_effect=counts.samples / worth.samples,
        shortfall=Shortfall.of(worth),
        verdict=verdict(worth, tolerance),
        samples_needed=samples_needed(counts, tolerance, effect.independent),
    )


def paired_counts(runs: NDArray[np.bool_], device: NDArray[np.bool_]) -> PairedCounts:
    """What only other [runs, n] or only device [n] gets right, as the mean over the runs.

    It is the table of the device against a run drawn anew for each sample: its interval is wider
    than that of the runs' mean, by the variance that a single run adds.
    """
    return PairedCounts(
        samples=len(device),
        only_first=float(np.count_nonzero(runs & ~device) / len(runs)),
        only_second=float(np.count_nonzero(~runs & device) / len(runs)),
    )


@dataclass(frozen=True)
class DesignEffect:
    """How much the runs' accuracies vary beyond what independent answers would.

    Attributes:
        excess: the part of the variance of a run's accuracy that more samples do not lower, in
            units of the variance of one sample's answer between runs.
    """

    excess: float

    @classmethod
    def of(cls, runs: NDArray[np.bool_]) -> DesignEffect:
        """From which samples the runs answered correctly, [runs, n]."""
        if len(runs) < 2:
            return cls(0.0)
        of_one = float(runs.var(axis=0, ddof=1).mean())
        observed = float(runs.mean(axis=1).var(ddof=1))
        return cls(max(observed / of_one - 1 / runs.shape[1], 0.0) if of_one else 0.0)

    def independent(self, samples: float) -> float:
        """How many independent samples this many samples are worth."""
        return samples / (1 + self.excess * samples)


def compare_with_majority(
    prepared: Prepared, device_labels: NDArray[np.int64]
) -> MajorityComparison:
    """Compares the last exit's answers [exits, n] with a guess that looks at no sample."""
    from scipy.stats import binomtest

    dataset = prepared.dataset
    test = prepared.test_samples(device_labels.shape[1])
    right = device_labels[-1] == test.y
    share = majority_share(dataset, test.y)
    hits, n = int(np.count_nonzero(right)), len(right)
    return MajorityComparison(
        name=dataset.class_names[commonest_class(dataset)],
        share=share,
        balanced=balanced_accuracy(device_labels[-1], test.y),
        better=bool(binomtest(hits, n, share, alternative="greater").pvalue <= LEVEL),
    )


def commonest_class(dataset: Dataset) -> int:
    """The class with the most samples in the training part; on a tie, the lowest."""
    return int(np.bincount(dataset.train.y).argmax())


def majority_share(dataset: Dataset, labels: NDArray[np.int64]) -> float:
    """Share of labels [n] that always guessing the commonest class gets right, 0 to 1."""
    return float(np.mean(labels == commonest_class(dataset)))


def balanced_accuracy(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """The mean over the classes of the share of each that answers [n] get right, 0 to 1."""
    right = answers == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def compare_with_trained(
    prepared: Prepared, device_labels: NDArray[np.int64]
) -> TrainedComparison | None:
    """Compares with the fully trained float network; None if it has not been trained."""
    trained = prepared.trained_in_full()
    if trained is None:
        return None
    test = prepared.test_samples(device_labels.shape[1])
    right = trained.predict(test.x) == test.y
    device_right = device_labels[-1] == test.y
    return TrainedComparison(
        accuracy=accuracies(right),
        shortfall=Shortfall.of(paired_counts(right[-1:], device_right)),
    )


def _float_twin_labels(
    prepared: Prepared, steps: int, samples: NDArray[np.float32], run: int
) -> NDArray[np.int64]:
    """A float twin's answers after learning; run 0 learns in the device's own order."""
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
    """Turns the overflow of a float network into an error about its learning rate.

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


def accuracies(right: NDArray[np.bool_]) -> Accuracies:
    """Share of correct answers [exits, n], per exit."""
    return tuple(float(share) for share in right.mean(axis=1))


def tested_after(tested: int, passes: int, trained: int) -> str:
    """What an accuracy was measured on and after how much learning, in words.

    Args:
        tested: test samples.
        passes: over the training part.
        trained: samples of the training part.
    """
    word = "pass" if passes == 1 else "passes"
    return f"tested on {tested:,} samples after {passes:,} {word} over {trained:,} training samples"
