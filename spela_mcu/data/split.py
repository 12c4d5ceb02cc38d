"""Seeded splits that keep the share of every class, or whole groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.errors import UserError

_GROUP_SPLITS_TRIED = 100

Indices = NDArray[np.int64]


def split_stratified(
    labels: NDArray[np.int64], fraction: float, seed: int
) -> tuple[Indices, Indices]:
    """Splits samples so that each class keeps its share, with at least one sample on either side.

    scikit-learn's stratified split may leave a small class without a test sample; here each class
    is split separately.

    Args:
        labels: [n], labels 0 .. classes-1; each class has two samples or more.
        fraction: share of the second part.
        seed: of the choice.

    Returns:
        Indices of the first and of the second part, each ascending.
    """
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        chosen[rng.permutation(members)[:count]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def split_groups(
    labels: NDArray[np.int64], groups: NDArray[Any], fraction: float, seed: int, *, key: str
) -> tuple[Indices, Indices]:
    """Splits samples so that no group is on both sides.

    Of many random splits, takes the one whose class shares come nearest to the fraction.

    Args:
        labels: [n], labels 0 .. classes-1.
        groups: [n], any values.
        fraction: share of the second part.
        seed: of the choice.
        key: the key of model.yaml that states the fraction, for errors.

    Returns:
        Indices of the first and of the second part, each ascending.

    Raises:
        UserError: no such split has every class on both sides.
    """
    from sklearn.model_selection import GroupShuffleSplit

    count = len(np.unique(groups))
    totals = np.bincount(labels)
    best: tuple[float, Indices] | None = None
    second_groups = min(max(round(count * fraction), 1), count - 1)
    if second_groups > 0:
        splitter = GroupShuffleSplit(
            _GROUP_SPLITS_TRIED, test_size=second_groups, random_state=seed
        )
        for _, second in splitter.split(labels, groups=groups):
            counts = np.bincount(labels[second], minlength=len(totals))
            if np.all((counts > 0) & (counts < totals)):
                distance = float(np.abs(counts / totals - fraction).max())
                if best is None or distance < best[0]:
                    best = distance, second
    if best is None:
        raise UserError(
            f"the {count} groups cannot be split so that every class is on both sides",
            mend="return more groups, or change the fraction, or return no groups",
            key=key,
        )
    mask = np.zeros(len(labels), dtype=bool)
    mask[best[1]] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)
