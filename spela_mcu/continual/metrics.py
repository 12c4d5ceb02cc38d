"""Figures of continual learning, from accuracies measured after each experience.

R[i, j] is the accuracy on the test samples of experience j after learning experiences 0 to i, and
T the number of experiences. *Average accuracy* and the two *transfers* are those of Lopez-Paz and
Ranzato, *Gradient Episodic Memory for Continual Learning* (NeurIPS 2017, arXiv 1706.08840);
*forgetting* is that of Chaudhry et al., *Riemannian Walk for Incremental Learning* (ECCV 2018,
arXiv 1801.10112).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Accuracies = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AccuracyMatrix:
    """What a learner knew after each experience of a stream.

    Attributes:
        rows: R, float64 [T, T], 0 to 1; a row of nan was not measured, which is so for all but the
            last of a learner that learns everything at once.
        untrained: accuracy on each experience before anything was learned, [T].
        tested: test samples of each experience, int64 [T].
        new_classes: each experience brings classes of its own, which nobody can answer before.
    """

    rows: Accuracies
    untrained: Accuracies
    tested: NDArray[np.int64]
    new_classes: bool

    @property
    def seen(self) -> Accuracies:
        """After each experience, the accuracy on all test samples of those learned so far, [T]."""
        return np.array(
            [
                np.average(row[: index + 1], weights=self.tested[: index + 1])
                for index, row in enumerate(self.rows)
            ]
        )

    @property
    def final(self) -> float:
        """Accuracy on all test samples at the end."""
        return float(self.seen[-1])

    @property
    def average(self) -> float:
        """Mean over the experiences of the accuracy at the end: ACC = sum_j R[T-1, j] / T."""
        return float(self.rows[-1].mean())

    @property
    def forgetting(self) -> float | None:
        """How much was lost since it was known best.

        Mean over j < T-1 of max R[l, j] - R[T-1, j], the maximum over all l < T-1. None for a
        single experience, or if only the end is known.
        """
        if not self._is_complete:
            return None
        earlier = self.rows[:-1, :-1]
        return float((earlier.max(axis=0) - self.rows[-1, :-1]).mean())

    @property
    def backward_transfer(self) -> float | None:
        """What later learning did to earlier: BWT, mean over j < T-1 of R[T-1, j] - R[j, j]."""
        if not self._is_complete:
            return None
        return float((self.rows[-1] - np.diagonal(self.rows))[:-1].mean())

    @property
    def forward_transfer(self) -> float | None:
        """What earlier learning did for later: FWT, mean over j > 0 of R[j-1, j] - untrained[j].

        None also where experiences bring new classes: before they do, no answer can be right.
        """
        if not self._is_complete or self.new_classes:
            return None
        ahead = np.diagonal(self.rows, offset=1)
        return float((ahead - self.untrained[1:]).mean())

    @property
    def first_lost(self) -> float | None:
        """What the first experience lost: R[0, 0] - R[T-1, 0]; None if only the end is known."""
        return None if np.isnan(self.rows[0, 0]) else float(self.rows[0, 0] - self.rows[-1, 0])

    @property
    def later(self) -> float | None:
        """Accuracy at the end on all test samples of later experiences; None without any."""
        if len(self.rows) < 2:
            return None
        return float(np.average(self.rows[-1, 1:], weights=self.tested[1:]))

    @property
    def _is_complete(self) -> bool:
        return len(self.rows) > 1 and not np.isnan(self.rows).any()
