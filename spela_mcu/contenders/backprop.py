"""The yardstick: the same layers and a trained head, by backpropagation, in torch."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from spela_mcu.contenders.contender import Outcome
from spela_mcu.data.dataset import Dataset, Split
from spela_mcu.fixed_point.geometry import windows
from spela_mcu.fixed_point.maps import Window
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Dense

LEARNING_RATE = 1e-3
"""Adam's default, here and in Keras: what a user tries first."""


def backpropagated(spec: ModelSpec, dataset: Dataset, _: FloatNetwork | None) -> Outcome:
    """The model's layers, with biases, and a softmax head instead of exits; Adam, cross entropy.

    It has the epochs, batches and patience of the float reference, and likewise keeps the weights
    of the epoch with the best validation accuracy.
    """
    dataset = dataset.behind_taps()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same bits every time
    try:
        with torch.random.fork_rng():
            torch.manual_seed(spec.training.seed)
            network = network_of(spec, dataset.inputs, dataset.classes)
            fit(network, spec, dataset)
            return Outcome((_accuracy(network, dataset.test),))
    finally:
        torch.set_num_threads(threads)


def network_of(spec: ModelSpec, inputs: int, classes: int) -> nn.Sequential:
    """The model's layers, with biases, and a head that gives logits."""
    modules: list[nn.Module] = []
    maps = windows(spec.network)
    for window in maps:
        modules += _convolution(window, is_first=not modules)
        inputs = window.pooled.size
    if maps:
        modules.append(nn.Flatten())
    for layer in spec.network.layers[len(maps) :]:
        assert isinstance(layer, Dense)
        leaky = layer.activation == "leaky_relu"
        modules.append(nn.Linear(inputs, layer.units))
        modules.append(nn.LeakyReLU(layer.negative_slope) if leaky else nn.ReLU())
        inputs = layer.units
    return nn.Sequential(*modules, nn.Linear(inputs, classes))


class _ToMap(nn.Module):
    """Samples [n, inputs] as maps [n, channels, rows, columns]."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self._map = tuple(window.map)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *self._map).permute(0, 3, 1, 2)


def _convolution(window: Window, *, is_first: bool) -> list[nn.Module]:
    rows, columns = window.kernel
    modules: list[nn.Module] = [_ToMap(window)] if is_first else []
    return [
        *modules,
        nn.Conv2d(
            window.map.channels,
            window.filters,
            (rows, columns),
            stride=window.stride,
            padding=((rows - 1) // 2, (columns - 1) // 2),
        ),
        nn.ReLU(),
        nn.MaxPool2d(tuple(window.pool)),
    ]


def fit(network: nn.Module, spec: ModelSpec, dataset: Dataset) -> None:
    """Trains a network that gives logits, and leaves it at its best epoch."""
    training, train = spec.training, dataset.train
    x, y = torch.tensor(train.x), torch.tensor(train.y)
    rng = np.random.default_rng(training.seed)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    best, best_epoch, best_weights = -1.0, 0, copy.deepcopy(network.state_dict())
    for epoch in range(training.epochs):
        order = torch.tensor(rng.permutation(len(train)))
        for rows in torch.split(order, training.batch_size):
            optimizer.zero_grad()
            loss: Tensor = nn.functional.cross_entropy(network(x[rows]), y[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        accuracy = _accuracy(network, dataset.validation)
        if accuracy > best:
            best, best_epoch = accuracy, epoch
            best_weights = copy.deepcopy(network.state_dict())
        if epoch - best_epoch >= training.patience:
            break
    network.load_state_dict(best_weights)


def _accuracy(network: nn.Module, split: Split) -> float:
    with torch.inference_mode():
        labels = network(torch.tensor(split.x)).argmax(dim=1).numpy()
    return float(np.mean(labels == split.y))
