"""The yardstick: the same layers and a trained head, by backpropagation, in torch."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from spela_mcu.contenders.contender import Outcome
from spela_mcu.data.dataset import Dataset, Split
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.spec.model import ModelSpec

LEARNING_RATE = 1e-3
"""Adam's default, here and in Keras: what a user tries first."""


def backpropagated(spec: ModelSpec, dataset: Dataset, _: FloatNetwork | None) -> Outcome:
    """Dense layers of the model's widths, with biases, and a softmax head; Adam, cross entropy.

    It has the epochs, batches and patience of the float reference, and likewise keeps the weights
    of the epoch with the best validation accuracy.
    """
    dataset = dataset.behind_taps()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same bits every time
    try:
        with torch.random.fork_rng():
            torch.manual_seed(spec.training.seed)
            network = _network(spec, dataset)
            _fit(network, spec, dataset)
            return Outcome((_accuracy(network, dataset.test),))
    finally:
        torch.set_num_threads(threads)


def _network(spec: ModelSpec, dataset: Dataset) -> nn.Sequential:
    layers = spec.network.layers
    widths = [dataset.inputs, *(layer.units for layer in layers)]
    modules: list[nn.Module] = []
    for (inputs, units), layer in zip(pairwise(widths), layers, strict=True):
        leaky = layer.activation == "leaky_relu"
        modules.append(nn.Linear(inputs, units))
        modules.append(nn.LeakyReLU(layer.negative_slope) if leaky else nn.ReLU())
    return nn.Sequential(*modules, nn.Linear(widths[-1], dataset.classes))


def _fit(network: nn.Sequential, spec: ModelSpec, dataset: Dataset) -> None:
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


def _accuracy(network: nn.Sequential, split: Split) -> float:
    with torch.inference_mode():
        labels = network(torch.tensor(split.x)).argmax(dim=1).numpy()
    return float(np.mean(labels == split.y))
