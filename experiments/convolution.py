"""Float rules by which convolutions may learn, side by side, with torch on the host.

All learn the same network from the same weights: 3x3 filters, ReLU, maxima of blocks. In every rule
but `backprop` a convolution learns from its own exit alone, nothing flows between layers, and no
weight has a bias. What the chip computes is `projection` with the margin loss, in integers
(docs/arithmetic-convolution.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from experiments.learning import by_exit, part_of, prepared
from experiments.tasks import Task
from spela_mcu.data.dataset import Split
from spela_mcu.embedding import drawn_embeddings

Rule = Literal["backprop", "projection", "none", "linear", "whole"]
"""How a map becomes scores: a linear read-out of the last map alone; a learned projection of its
cells' sums, fixed embeddings; these without a projection; a learned linear read-out of the cells;
or, as in the paper, a learned projection of the whole map to 100 values."""

WHOLE_UNITS = 100
HALVINGS = 6
"""The rate is held for half of the steps, and halved so often in the other half."""


@dataclass
class Stage:
    """A convolution and its exit.

    Attributes:
        filters: [filters, channels, 3, 3].
        readout: [units or classes, inputs]; None where the exit has none that learns.
        embedding: [classes, units]; None: the read-out's units are the scores.
        pool: side of the blocks.
    """

    filters: Tensor
    readout: Tensor | None
    embedding: Tensor | None
    pool: int

    def map(self, x: Tensor) -> Tensor:
        """The pooled map [n, filters, rows, columns]."""
        sums = functional.conv2d(x, self.filters, padding=self.filters.shape[-1] // 2)
        return functional.max_pool2d(functional.relu(sums), self.pool)


@dataclass
class ConvolutionalNetwork:
    """Convolutions that learn by one of the rules.

    Attributes:
        rule: see `Rule`.
        loss: margin, softmax (over cosines times `sharpness`) or log_cosine; linear read-outs take
            the softmax of their scores.
        grid: cells a side over which an exit sums a map.
    """

    rule: Rule
    loss: Literal["margin", "softmax", "log_cosine"]
    grid: int
    margin: float
    sharpness: float = 8.0
    stages: list[Stage] = field(default_factory=list)

    @property
    def weights(self) -> list[Tensor]:
        """All that is learned."""
        found = [stage.filters for stage in self.stages]
        return found + [s.readout for s in self.stages if s.readout is not None]

    def cells(self, map: Tensor) -> Tensor:
        """Sums over the cells [n, filters * cells]; the cell of row y is y * grid // rows.

        They are divided by a cell's mean size, which matters to linear read-outs alone: the others
        do not depend on the scale of their inputs.
        """
        positions = map.shape[2] * map.shape[3]
        for axis in (2, 3):
            size = map.shape[axis]
            count = min(self.grid, size)
            place = torch.arange(size) * count // size
            shape = [*map.shape]
            shape[axis] = count
            map = map.new_zeros(shape).index_add(axis, place, map)
        return map.flatten(1) * (map.shape[2] * map.shape[3] / positions)

    def answer(self, stage: Stage, map: Tensor) -> Tensor:
        """An exit's scores: cosines, or a linear read-out's sums."""
        values = map.flatten(1) if self.rule == "whole" else self.cells(map)
        if stage.readout is not None:
            values = values @ stage.readout.T
        if stage.embedding is None:
            return values
        return functional.normalize(values, dim=1) @ stage.embedding.T

    def forward(self, x: Tensor) -> list[Tensor]:
        """Scores of every exit [n, classes]."""
        scores = []
        for stage in self.stages:
            x = stage.map(x if self.rule == "backprop" else x.detach())
            if self.rule != "backprop" or stage is self.stages[-1]:
                scores.append(self.answer(stage, x))
        return scores

    def local_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """One exit's loss, the mean over samples."""
        if self.rule in ("backprop", "linear"):
            return functional.cross_entropy(scores, labels)
        if self.loss == "softmax":
            return functional.cross_entropy(self.sharpness * scores, labels)
        own = scores.gather(1, labels[:, None])
        if self.loss == "log_cosine":
            return torch.log(2 - own).mean()
        others = scores.scatter(1, labels[:, None], -torch.inf).amax(dim=1, keepdim=True)
        return functional.relu(self.margin - (own - others)).mean()


def untrained(
    network: ConvolutionalNetwork,
    shape: tuple[int, int, int],
    classes: int,
    layers: list[tuple[int, int]],
    *,
    units: int,
    seed: int,
) -> ConvolutionalNetwork:
    """The network with stages of random weights, uniform in +-sqrt(6 / inputs).

    Args:
        network: what it is to be, without stages.
        shape: rows, columns and channels of a sample.
        classes: their number.
        layers: filters and pool of each convolution.
        units: of a projection.
        seed: of weights and embeddings.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rows, columns, channels = shape

    def drawn(*size: int) -> Tensor:
        bound = float(np.sqrt(6 / np.prod(size[1:])))
        return ((2 * torch.rand(*size) - 1) * bound).requires_grad_()

    for filters, pool in layers:
        rows, columns = rows // pool, columns // pool
        cells = min(network.grid, rows) * min(network.grid, columns) * filters
        width = {"projection": units, "whole": WHOLE_UNITS, "none": cells}.get(network.rule)
        inputs = rows * columns * filters if network.rule == "whole" else cells
        answers = network.rule != "backprop" or len(network.stages) == len(layers) - 1
        embedding = None
        if width is not None:
            vectors = drawn_embeddings("simplex", classes, width, rng)
            embedding = torch.tensor(vectors, dtype=torch.float32)
        learned = answers and network.rule != "none"
        readout = drawn(width or classes, inputs) if learned else None
        network.stages.append(Stage(drawn(filters, channels, 3, 3), readout, embedding, pool))
        channels = filters
    return network


def learn(
    network: ConvolutionalNetwork,
    split: Split,
    shape: tuple[int, int, int],
    *,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
    mirror: bool = False,
) -> None:
    """Plain stochastic gradient descent, each exit on its own loss.

    Pictures are mirrored after their mean was subtracted, which is all but symmetric.
    """
    x, y = _pictures(split.x, shape), torch.tensor(split.y)
    rng = torch.Generator().manual_seed(seed)
    steps = epochs * (len(y) // batch)
    done = 0
    for _ in range(epochs):
        order = torch.randperm(len(y), generator=rng)
        for rows in torch.split(order[: len(y) // batch * batch], batch):
            seen = x[rows]
            if mirror:
                turned = torch.rand(batch, generator=rng) < 0.5
                seen[turned] = seen[turned].flip(3)
            losses = [network.local_loss(one, y[rows]) for one in network.forward(seen)]
            weights = network.weights
            slopes = torch.autograd.grad(torch.stack(losses).sum(), weights)
            halvings = max(0, int((2 * done / steps - 1) * HALVINGS + 1))
            with torch.no_grad():
                for weight, slope in zip(weights, slopes, strict=True):
                    weight.sub_(rate * 2.0**-halvings * slope)
            done += 1


def shares(
    network: ConvolutionalNetwork, split: Split, shape: tuple[int, int, int]
) -> dict[str, float]:
    """% of correct answers of every exit."""
    answers: list[NDArray[np.int64]] = []
    with torch.no_grad():
        for start in range(0, len(split), 1000):
            scores = network.forward(_pictures(split.x[start : start + 1000], shape))
            answers.append(np.stack([one.argmax(dim=1).numpy() for one in scores]))
    return by_exit(np.concatenate(answers, axis=1), split.y)


def compare_rules(task: Task) -> dict[str, float]:
    """Has a network of convolutions learn by a rule, and tests it.

    Options: `rule`; `loss`; `rate`; `layers`, a list of [filters, pool]; `epochs`; `batch`; `share`
    of the training samples, and `tested` of the test samples; `units` of the projection (16);
    `grid` (4); `mirror`: half of the pictures, others each time, are mirrored left to right.
    """
    spec, dataset = prepared(task)
    options: dict[str, Any] = task.options
    rows, columns, *channels = dataset.input_shape
    shape = (rows, columns, channels[0] if channels else 1)
    network = untrained(
        ConvolutionalNetwork(
            options["rule"],
            options.get("loss", "margin"),
            options.get("grid", 4),
            spec.network.margin,
        ),
        shape,
        dataset.classes,
        [(filters, pool) for filters, pool in options["layers"]],
        units=options.get("units", 16),
        seed=task.seed,
    )
    learn(
        network,
        part_of(dataset.train, options.get("share"), task.seed),
        shape,
        epochs=options["epochs"],
        batch=options["batch"],
        rate=options["rate"],
        seed=task.seed,
        mirror=options.get("mirror", False),
    )
    return shares(network, part_of(dataset.test, options.get("tested"), task.seed), shape)


def _pictures(x: NDArray[np.float32], shape: tuple[int, int, int]) -> Tensor:
    return torch.tensor(x).reshape(-1, *shape).permute(0, 3, 1, 2)
