"""Noisy clusters, for `source: python`: synthetic tasks that a wide enough network learns fully."""

import numpy as np
from numpy.typing import NDArray


def clusters(inputs: int, classes: int, deviation: float) -> tuple[NDArray[np.float64], ...]:
    """Samples [2000, inputs] around random centres of length sqrt(inputs), and labels [2000]."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(classes, inputs))
    labels = np.arange(2000) % classes
    return centres[labels] + deviation * rng.normal(size=(2000, inputs)), labels


def two() -> tuple[NDArray[np.float64], ...]:
    """Two classes, eight inputs."""
    return clusters(8, 2, 0.5)


def three() -> tuple[NDArray[np.float64], ...]:
    """Three classes, eight inputs."""
    return clusters(8, 3, 0.5)


def five() -> tuple[NDArray[np.float64], ...]:
    """Five classes, thirteen inputs."""
    return clusters(13, 5, 0.35)
