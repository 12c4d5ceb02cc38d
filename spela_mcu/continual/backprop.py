"""Backpropagation on a stream, with the samples that SPELA rehearses: in torch, in float."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spela_mcu.contenders.backprop import fit, network_of
from spela_mcu.continual.chip import with_spare_classes
from spela_mcu.continual.learner import StreamOutcome, follow
from spela_mcu.continual.stream import Stream
from spela_mcu.continual.yardsticks import Reservoir
from spela_mcu.data.dataset import INPUT_MAX, Split
from spela_mcu.fixed_point.layout import padded
from spela_mcu.fixed_point.plan import sizing_plan
from spela_mcu.spec.model import ModelSpec

RATES = 0.0003, 0.001, 0.003, 0.01
"""Adam's, once the first experience is over: the one that is best at the end counts.

Which that is depends on the inputs: 0.01 on 64 features, a thirtieth of it on 784 pixels.
"""

AT_ONCE = 8
"""Samples rehearsed in one step between experiences."""


class Masked(nn.Module):
    """A network whose classes cannot be answered, and are not learned against, before they come."""

    active: Tensor

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("active", torch.zeros(classes, dtype=torch.bool))

    def add(self, labels: NDArray[np.int64]) -> None:
        """Makes classes active."""
        self.active[torch.tensor(labels)] = True

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]."""
        logits: Tensor = self.network(x)
        return logits.masked_fill(~self.active, -torch.inf)


class BackpropLearner:
    """Dense layers and a softmax head, which learn by Adam."""

    def __init__(self, spec: ModelSpec, stream: Stream, steps: int, rate: float) -> None:
        known = stream.start
        plan = sizing_plan(with_spare_classes(spec, stream), known.inputs, known.classes)
        assert plan.continual is not None
        room = plan.continual.memory_bytes(1, plan.inputs)  # as many bytes as SPELA has
        self._capacity, self._ratio = room // padded(plan.inputs), plan.continual.ratio
        self._steps = steps if self._capacity else 0
        self._memory = Reservoir(self._capacity, spec.network.seed)
        network = network_of(spec, known.inputs, stream.classes)
        self._network = Masked(network, stream.classes)
        self._optimizer = torch.optim.Adam(self._network.parameters(), rate)

    @property
    def bytes(self) -> None:
        """It is no program for a chip."""
        return

    def start(self, spec: ModelSpec, stream: Stream) -> None:
        """Trains on the first experience, as the contender of `compare` is trained."""
        train = stream.start.train
        self._network.add(np.arange(stream.start.classes))
        fit(self._network, spec, stream.start)
        self._keep(train)

    def at(self, rate: float) -> BackpropLearner:
        """A copy, which goes on at another rate."""
        copy = deepcopy(self)
        for group in copy._optimizer.param_groups:
            group["lr"] = rate
        return copy

    def learn(self, samples: Split) -> None:
        """A step for each sample, with as many of the memory as SPELA rehearses; then these."""
        self._network.add(np.unique(samples.y))
        for sample, label in zip(samples.inputs, samples.y.tolist(), strict=True):
            x, y = sample[np.newaxis], np.array([label])
            if len(self._memory) and self._ratio:
                kept = self._memory.draw(self._ratio)
                x, y = np.concatenate([x, kept[0]]), np.concatenate([y, kept[1]])
            self._step(x, y)
            if self._capacity:
                self._memory.add(sample, label)
        for _ in range(self._steps // AT_ONCE):
            self._step(*self._memory.draw(AT_ONCE))

    def predict(self, samples: Split) -> NDArray[np.int64]:
        """Labels [n]."""
        with torch.inference_mode():
            labels: NDArray[np.int64] = self._network(_values(samples.inputs)).argmax(1).numpy()
        return labels

    def _keep(self, samples: Split) -> None:
        if self._capacity:
            for sample, label in zip(samples.inputs, samples.y.tolist(), strict=True):
                self._memory.add(sample, label)

    def _step(self, x: NDArray[np.int8], y: NDArray[np.int64]) -> None:
        self._optimizer.zero_grad()
        loss: Tensor = nn.functional.cross_entropy(self._network(_values(x)), torch.tensor(y))
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()


def _values(inputs: NDArray[np.int8]) -> Tensor:
    return torch.tensor(inputs.astype(np.float32) / INPUT_MAX)


def backpropagated(spec: ModelSpec, stream: Stream, steps: int) -> StreamOutcome:
    """The layers and a trained head, by backpropagation; the same samples kept and rehearsed.

    Of the outcomes with each of RATES it is the one that is best at the end, on the test samples:
    in backpropagation's favour.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same bits every time
    try:
        with torch.random.fork_rng():
            torch.manual_seed(spec.network.seed)
            untrained = BackpropLearner(spec, stream, steps, RATES[0])
            started = BackpropLearner(spec, stream, steps, RATES[0])
            started.start(spec, stream)
        outcomes = [follow(stream, started.at(rate), untrained) for rate in RATES]
    finally:
        torch.set_num_threads(threads)
    return max(outcomes, key=lambda outcome: outcome.matrix.final)
