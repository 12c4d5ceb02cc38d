"""Tables with few columns, for `source: python`: samples [n, inputs] and labels [n]."""

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

Table = tuple[NDArray[np.float64], NDArray[np.int64]]


def degrees() -> Table:
    """20, 30 and 40 degrees, 200 readings each with a deviation of 1.5: one input."""
    labels = np.arange(600) % 3
    readings = 20 + 10 * labels + np.random.default_rng(0).normal(0, 1.5, 600)
    return readings[:, np.newaxis], labels


def rings() -> Table:
    """Three rings around the origin of a plane."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 3
    radius, angle = 1 + labels + rng.normal(0, 0.15, 600), rng.uniform(0, 2 * np.pi, 600)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), labels


def petals() -> Table:
    """Length and width of iris petals."""
    x, y = datasets.load_iris(return_X_y=True)
    return x[:, 2:], y


def iris() -> Table:
    """All four columns of iris."""
    return datasets.load_iris(return_X_y=True)  # type: ignore[no-any-return]


def wine(columns: int = 13) -> Table:
    """Wine, its first columns or all."""
    x, y = datasets.load_wine(return_X_y=True)
    return x[:, :columns], y


def wine_6() -> Table:
    """The first 6 of wine's columns."""
    return wine(6)


def wine_9() -> Table:
    """The first 9 of wine's columns."""
    return wine(9)


def cancer(columns: int = 30) -> Table:
    """Breast cancer, its first columns or all."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return x[:, :columns], y


def cancer_6() -> Table:
    """The first 6 of breast cancer's columns."""
    return cancer(6)


def cancer_10() -> Table:
    """The first 10 of breast cancer's columns: the means."""
    return cancer(10)
