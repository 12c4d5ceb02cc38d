"""The convolutional network of SPELA's authors by their notebook, in float with torch.

Borthakur et al., *Learning Using a Single Forward Pass*, TMLR 2025; the notebook is
CNN/CNN_SPELA_CIFAR_10.ipynb of github.com/BorthakurAyonIITG/SPELA-TMLR-2025. Pictures are enlarged
to 64 by 64. Two layers of 128 filters of 5 by 5, not padded, with a bias, batch normalisation,
leaky ReLU and maxima of 2 by 2, learn together: each channel has a projection of its own, of its
whole map to 100 values, and vectors of its own, 2 to 9 of them, among which the classes are shared
out at random. A layer answers by the mean of its channels' cosines. Then a dense layer learns on
the last maps, which stay as they are: it is the network's answer, and what the paper gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.learning import part_of, prepared
from experiments.tasks import Task
from spela_mcu.data.dataset import Dataset, Split
from spela_mcu.embedding import drawn_embeddings

SIDE, CHANNELS, KERNEL, UNITS = 64, 128, 5, 100
LAYERS, BATCH, RATE = 2, 64, 0.1
FEWEST_VECTORS, MOST_VECTORS = 2, 9


class PaperConvolution(nn.Module):
    """A convolution with the projections of its channels.

    It is normalised by the batch at hand, in tests too: the notebook never leaves training mode.
    """

    def __init__(self, channels: int, positions: int, targets: Tensor) -> None:
        """Draws the weights.

        Args:
            channels: of the input map.
            positions: of the pooled map.
            targets: the vector of each class for each channel, [CHANNELS, classes, UNITS].
        """
        super().__init__()
        self.filters = nn.Conv2d(channels, CHANNELS, KERNEL)
        self.norm = nn.BatchNorm2d(CHANNELS, track_running_stats=False)
        self.projections = nn.Parameter(torch.normal(0.0, 1.0, (CHANNELS, positions, UNITS)))
        self.targets = targets
        self.optimizer = torch.optim.Adam(self.parameters(), lr=RATE)

    def map(self, x: Tensor) -> Tensor:
        """The pooled map [n, CHANNELS, rows, columns]."""
        active = functional.leaky_relu(self.norm(self.filters(x)), 0.0001)
        return functional.max_pool2d(active, 2)

    def projected(self, map: Tensor) -> Tensor:
        """Unit vectors [CHANNELS, n, UNITS]."""
        values = map.flatten(2).transpose(0, 1) @ self.projections
        return functional.normalize(values, dim=2)

    def learn(self, x: Tensor, y: Tensor) -> Tensor:
        """One step towards the classes' vectors; the map of before it, for the next layer."""
        map = self.map(x)
        cosines = (self.projected(map) * self.targets[:, y]).sum(dim=2)
        self.optimizer.zero_grad()
        ((1 - cosines) ** 2).mean().backward()
        self.optimizer.step()
        return map.detach()

    def answers(self, map: Tensor) -> Tensor:
        """The classes [n] of the greatest mean cosine over the channels."""
        cosines = self.projected(map) @ self.targets.transpose(1, 2)
        return cosines.mean(dim=0).argmax(dim=1)


class PaperHead(nn.Module):
    """The dense layer behind the convolutions: log(2 - cosine)."""

    def __init__(self, inputs: int, embedding: Tensor) -> None:
        """Draws the weights; the embedding is [classes, units]."""
        super().__init__()
        self.dense = nn.Linear(inputs, embedding.shape[1])
        nn.init.kaiming_normal_(self.dense.weight, mode="fan_in")
        self.slope = nn.Parameter(torch.tensor(0.001))
        self.embedding = embedding
        self.optimizer = torch.optim.Adam(self.parameters(), lr=RATE)

    def cosines(self, map: Tensor) -> Tensor:
        """[n, classes]."""
        z = self.dense(functional.normalize(map.flatten(1), dim=1))
        h = torch.where(z > 0, z, self.slope * z)
        return functional.normalize(h, dim=1) @ self.embedding.T

    def learn(self, map: Tensor, y: Tensor) -> None:
        """One step."""
        own = self.cosines(map).gather(1, y[:, None])
        self.optimizer.zero_grad()
        torch.log(2 - own).mean().backward()
        self.optimizer.step()


@dataclass(frozen=True)
class PaperNetwork:
    """Both parts."""

    convolutions: tuple[PaperConvolution, ...]
    head: PaperHead

    @classmethod
    def untrained(cls, channels: int, classes: int, seed: int) -> PaperNetwork:
        """With random weights, for samples of so many channels."""
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        groups = [_groups(rng, classes) for _ in range(CHANNELS)]  # the same in both layers
        side, layers = SIDE, []
        for _ in range(LAYERS):
            side = (side - KERNEL + 1) // 2
            vectors = [_simplex(rng, group.max() + 1, UNITS)[group] for group in groups]
            layers.append(PaperConvolution(channels, side * side, torch.stack(vectors)))
            channels = CHANNELS
        embedding = _simplex(rng, classes, classes)
        return cls(tuple(layers), PaperHead(channels * side * side, embedding))

    def learn_convolutions(self, x: Tensor, y: Tensor) -> None:
        """One step of each, from the same samples."""
        for layer in self.convolutions:
            x = layer.learn(x, y)

    def learn_head(self, x: Tensor, y: Tensor) -> None:
        """One step of the dense layer."""
        with torch.no_grad():
            for layer in self.convolutions:
                x = layer.map(x)
        self.head.learn(x, y)

    def right(self, x: Tensor, y: Tensor) -> Tensor:
        """How many answers of every exit are right."""
        found = []
        with torch.no_grad():
            for layer in self.convolutions:
                x = layer.map(x)
                found.append(layer.answers(x))
            found.append(self.head.cosines(x).argmax(dim=1))
        return (torch.stack(found) == y).sum(dim=1)


def paper_rule(task: Task) -> dict[str, float]:
    """Has the network learn, and tests it: % right of both layers and of the dense one.

    Options: `epochs`, of the convolutions and of the dense layer (the notebook's: 15 and 10);
    `share` of the training samples; `tested`, of the test samples.
    """
    _, dataset = prepared(task)
    options: dict[str, Any] = task.options
    train = part_of(dataset.train, options.get("share"), task.seed)
    test = part_of(dataset.test, options.get("tested"), task.seed)
    network = PaperNetwork.untrained(dataset.input_shape[2], dataset.classes, task.seed)
    order = np.random.default_rng(task.seed)
    convolved, answered = options["epochs"]
    for _ in range(convolved):
        for x, y in _batches(dataset, _shuffled(train, order)):
            network.learn_convolutions(x, y)
    for _ in range(answered):
        for x, y in _batches(dataset, _shuffled(train, order)):
            network.learn_head(x, y)
    right = sum(network.right(x, y) for x, y in _batches(dataset, _shuffled(test, order)))
    assert isinstance(right, Tensor)
    shares = (100 * right / len(test)).tolist()
    return dict(zip(["exit 0", "exit 1", "last exit"], shares, strict=True))


def _groups(rng: np.random.Generator, classes: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which of a channel's vectors each class has; every vector has one."""
    count = rng.integers(FEWEST_VECTORS, min(MOST_VECTORS, classes) + 1)
    return rng.permutation(
        np.concatenate([np.arange(count), rng.integers(0, count, classes - count)])
    )


def _simplex(rng: np.random.Generator, count: int, units: int) -> Tensor:
    return torch.tensor(drawn_embeddings("simplex", count, units, rng), dtype=torch.float32)


def _shuffled(split: Split, rng: np.random.Generator) -> Split:
    rows = rng.permutation(len(split))
    return Split(split.x[rows], split.y[rows])


def _batches(dataset: Dataset, split: Split) -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures of values from 0 to 1, enlarged, and their labels."""
    zero = dataset.scaling.offset * dataset.scaling.scale  # a raw 0 is at -zero
    for start in range(0, len(split), BATCH):
        values = torch.tensor(split.x[start : start + BATCH] + zero)
        pictures = values.reshape(-1, *dataset.input_shape).permute(0, 3, 1, 2)
        enlarged = functional.interpolate(pictures, (SIDE, SIDE), mode="bilinear")
        yield enlarged, torch.tensor(split.y[start : start + BATCH])
