"""The interface that both implementations of the arithmetic, numpy and C, offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spela_mcu.data.arguments import class_label, class_labels, int8_sample, int8_samples
from spela_mcu.fixed_point.exit_answer import ExitAnswer
from spela_mcu.fixed_point.plan import FixedPointPlan


class Classifier(ABC):
    """A network in integers that infers and learns sample by sample.

    Samples are 8-bit whole numbers, [inputs] (one) or [n, inputs] (many), and labels whole numbers
    from 0; both as any array, list or DataFrame. What does not fit raises a ValueError, and nothing
    is learned.

    Attributes:
        plan: the network's formats.
    """

    plan: FixedPointPlan

    @abstractmethod
    def _infer(self, sample: NDArray[np.int8]) -> tuple[ExitAnswer, ...]:
        """Every exit's answer for a checked sample."""

    @abstractmethod
    def _predict_exits(self, samples: NDArray[np.int8]) -> NDArray[np.int64]:
        """The labels [exits, n] for checked samples."""

    @abstractmethod
    def _learn(self, sample: NDArray[np.int8], label: int) -> int:
        """Learns a checked sample; returns the last exit's answer from before."""

    @abstractmethod
    def flush(self) -> None:
        """Applies all pending updates; inference does so by itself."""

    @abstractmethod
    def reset(self) -> None:
        """Forgets everything learned."""

    @abstractmethod
    def digest(self) -> int:
        """CRC-32 of the learned state (docs/arithmetic.md, section 7)."""

    def infer(self, sample: ArrayLike) -> tuple[ExitAnswer, ...]:
        """Every exit's answer for one sample [inputs]."""
        return self._infer(int8_sample(sample, self.plan.inputs))

    def predict(self, samples: ArrayLike, exit: int = -1) -> NDArray[np.int64]:
        """The labels [n] that an exit (the last by default) gives to samples [n, inputs]."""
        labels: NDArray[np.int64] = self.predict_exits(samples)[exit]
        return labels

    def predict_exits(self, samples: ArrayLike) -> NDArray[np.int64]:
        """The labels [exits, n] that every exit gives to samples [n, inputs]."""
        return self._predict_exits(int8_samples(samples, self.plan.inputs))

    def score(self, samples: ArrayLike, labels: ArrayLike) -> float:
        """Share of samples [n, inputs] that the last exit classifies as labels [n]; n > 0."""
        values, wanted = self._checked(samples, labels)
        if len(values) == 0:
            raise ValueError("there are no samples")
        return float(np.mean(self._predict_exits(values)[-1] == wanted))

    def learn(self, sample: ArrayLike, label: int) -> int:
        """Learns one sample [inputs]; returns the last exit's answer from before."""
        values = int8_sample(sample, self.plan.inputs)
        return self._learn(values, class_label(label, self.plan.classes))

    def partial_fit(self, samples: ArrayLike, labels: ArrayLike) -> Self:
        """Learns samples [n, inputs] with labels [n], once each, in the order given."""
        values, wanted = self._checked(samples, labels)
        for sample, label in zip(values, wanted.tolist(), strict=True):
            self._learn(sample, label)
        return self

    def fit(self, samples: ArrayLike, labels: ArrayLike, epochs: int = 1, seed: int = 0) -> Self:
        """Starts afresh and learns all samples `epochs` times, shuffled by `seed`."""
        values, wanted = self._checked(samples, labels)
        self.reset()
        generator = np.random.default_rng(seed)
        for _ in range(epochs):
            order = generator.permutation(len(wanted))
            self.partial_fit(values[order], wanted[order])
        return self

    def _checked(
        self, samples: ArrayLike, labels: ArrayLike
    ) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        values = int8_samples(samples, self.plan.inputs)
        return values, class_labels(labels, self.plan.classes, len(values))
