"""What SPELA's learning of a stream is measured against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spela_mcu.continual.chip import learned_bytes, with_spare_classes
from spela_mcu.continual.learner import StreamOutcome, follow
from spela_mcu.continual.stream import Stream
from spela_mcu.data.dataset import Split
from spela_mcu.fixed_point.plan import sizing_plan
from spela_mcu.spec.model import ModelSpec

NEIGHBOURS = 3


class ClassMeans:
    """The class with the nearest mean (Mensink et al., IEEE TPAMI 35, 2013); no sample is kept."""

    def __init__(self, classes: int, inputs: int) -> None:
        self._sums = np.zeros((classes, inputs))
        self._counts = np.zeros(classes, np.int64)

    @property
    def bytes(self) -> int:
        """32-bit sums, and a count for each class."""
        return 4 * (self._sums.size + self._counts.size)

    def learn(self, samples: Split) -> None:
        """Adds the samples to their classes' sums."""
        np.add.at(self._sums, samples.y, samples.inputs)
        np.add.at(self._counts, samples.y, 1)

    def predict(self, samples: Split) -> NDArray[np.int64]:
        """Labels [n]; class 0 before anything was learned."""
        known = np.flatnonzero(self._counts)
        if len(known) == 0:
            return np.zeros(len(samples), np.int64)
        means = self._sums[known] / self._counts[known, np.newaxis]
        # |x - m|^2 without |x|^2, which is the same for all classes
        distances = (means**2).sum(axis=1) - 2 * samples.inputs.astype(np.float64) @ means.T
        labels: NDArray[np.int64] = known[np.argmin(distances, axis=1)]
        return labels


class Reservoir:
    """Of each class, so many samples chosen fairly (Vitter's algorithm R, ACM TOMS 11, 1985)."""

    def __init__(self, capacity: int, seed: int) -> None:
        self._capacity = capacity
        self._rng = np.random.default_rng(seed)
        self._seen: dict[int, int] = {}
        self._kept: dict[int, list[NDArray[np.int8]]] = {}

    def add(self, sample: NDArray[np.int8], label: int) -> None:
        """Keeps a sample [inputs], or does not."""
        kept, seen = self._kept.setdefault(label, []), self._seen.get(label, 0)
        self._seen[label] = seen + 1
        if len(kept) < self._capacity:
            kept.append(sample)
            return
        slot = int(self._rng.integers(seen + 1))
        if slot < self._capacity:
            kept[slot] = sample

    def draw(self, count: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Samples [count, inputs] and labels [count]: first a class is drawn, then one of it."""
        classes = [label for label, kept in self._kept.items() if kept]
        labels = self._rng.choice(classes, count)
        drawn = [self._one_of(self._kept[label]) for label in labels.tolist()]
        return np.array(drawn), labels

    def _one_of(self, kept: list[NDArray[np.int8]]) -> NDArray[np.int8]:
        return kept[int(self._rng.integers(len(kept)))]

    def content(self) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """All samples [n, inputs] and their labels [n]."""
        pairs = [(sample, label) for label, kept in self._kept.items() for sample in kept]
        return np.array([one for one, _ in pairs]), np.array([label for _, label in pairs])

    def __len__(self) -> int:
        return sum(len(kept) for kept in self._kept.values())


class NearestNeighbours:
    """The commonest class among the nearest samples that are kept."""

    def __init__(self, capacity: int, classes: int, inputs: int, seed: int) -> None:
        self._reservoir = Reservoir(capacity, seed)
        self._most = capacity * classes * inputs

    @property
    def bytes(self) -> int:
        """Of the samples, if all classes have as many as they may."""
        return self._most

    def learn(self, samples: Split) -> None:
        """Keeps some of the samples."""
        for sample, label in zip(samples.inputs, samples.y.tolist(), strict=True):
            self._reservoir.add(sample, label)

    def predict(self, samples: Split) -> NDArray[np.int64]:
        """Labels [n]; class 0 before anything was learned."""
        from sklearn.neighbors import KNeighborsClassifier

        if len(self._reservoir) == 0:
            return np.zeros(len(samples), np.int64)
        x, y = self._reservoir.content()
        nearest = KNeighborsClassifier(min(NEIGHBOURS, len(y)))
        nearest.fit(x.astype(np.float32), y)
        labels: NDArray[np.int64] = nearest.predict(samples.inputs.astype(np.float32))
        return labels


def class_means(_: ModelSpec, stream: Stream, __: int) -> StreamOutcome:
    """Nearest class mean, on the inputs of the layers that learn."""
    known = stream.start
    learner = ClassMeans(stream.classes, known.inputs)
    learner.learn(known.train)
    return follow(stream, learner, ClassMeans(stream.classes, known.inputs))


def neighbours_in_same_bytes(spec: ModelSpec, stream: Stream, _: int) -> StreamOutcome:
    """Nearest neighbours among as many samples as fit where SPELA has its weights and memory."""
    known = stream.start
    plan = sizing_plan(with_spare_classes(spec, stream), known.inputs, known.classes)
    capacity = max(learned_bytes(plan) // (stream.classes * known.inputs), 1)
    size = capacity, stream.classes, known.inputs, spec.network.seed
    learner = NearestNeighbours(*size)
    learner.learn(known.train)
    return follow(stream, learner, NearestNeighbours(*size))
