"""The same network learned by backpropagation, for comparison."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from spela_mcu.data.dataset import Dataset
from spela_mcu.reference.network import reproducible

BATCH = 50
LEARNING_RATE, MOMENTUM = 0.05, 0.9
"""Stochastic gradient descent as it is commonly set up; the rate falls to 0 along a cosine."""


def backprop_accuracy(dataset: Dataset, widths: list[int], epochs: int, seed: int) -> float:
    """Share of the test part that a ReLU network with a softmax readout classifies correctly.

    Args:
        dataset: its train part is learned.
        widths: of the hidden layers.
        epochs: passes over the training samples.
        seed: of weights and order.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    sizes = [dataset.inputs, *widths]
    layers: list[nn.Module] = []
    for inputs, units in pairwise(sizes):
        layers += [nn.Linear(inputs, units), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(sizes[-1], dataset.classes))
    x, y = torch.tensor(dataset.train.x), torch.tensor(dataset.train.y)
    batches = -(-len(y) // BATCH)
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    for _ in range(epochs):
        for rows in torch.randperm(len(y), generator=generator).split(BATCH):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    with reproducible():
        right = network(torch.tensor(dataset.test.x)).argmax(dim=1).numpy() == dataset.test.y
    return float(right.mean())
