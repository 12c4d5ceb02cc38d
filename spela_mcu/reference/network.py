"""The float reference: a SPELA network that learns in one forward pass, layer by layer.

Method: *Learning Using a Single Forward Pass*, arXiv 2402.09769; see docs/algorithm.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import leaky_relu

from spela_mcu.data.arguments import class_labels, real_samples
from spela_mcu.fixed_point.geometry import windows
from spela_mcu.fixed_point.maps import Window
from spela_mcu.reference.filters import FloatFilters, FloatMap
from spela_mcu.reference.local_loss import Direction, Loss, ascent, direction
from spela_mcu.spec.network import Convolution, Dense, Network, answering_units

ROWS_AT_ONCE = 4096
"""Samples per forward pass: bounds the memory for activations; the result does not depend on it."""


@contextmanager
def reproducible() -> Iterator[None]:
    """Makes torch give the same bits for the same inputs on this machine.

    It uses one thread: the order of a parallel sum depends on how many threads are free, and layers
    of a microcontroller's size are faster on one anyway. When other processes keep the cores busy,
    as parallel tests do, waiting for a second thread costs 8 ms per batch.
    (`torch.use_deterministic_algorithms` would add nothing on a CPU but a second or more for
    importing torch's compiler.)
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """A layer with its class embeddings, which make it an exit: dense, or a convolution's read-out.

    Attributes:
        weight: float32 [units, inputs]; learning changes it in place.
        embedding: float32 [classes, units], one unit vector per class; never changes.
        negative_slope: slope of the activation below zero; 0.0 is ReLU, 1.0, a read-out's, none.
        filters: the convolution whose map is read out; the map is then the next layer's input.
        is_tap: it reads inputs of its own and hands nothing on; the layer behind taps as well has
            inputs of its own. Taps are the first layers of a network.

    Both must have the same type; float64 works as well (the test against autograd needs it).
    """

    weight: NDArray[np.float32]
    embedding: NDArray[np.float32]
    negative_slope: float = 0.0
    filters: FloatFilters | None = None
    is_tap: bool = False

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.embedding.ndim != 2:
            raise ValueError("weight and embedding must be matrices")
        if self.embedding.shape[1] != self.weight.shape[0]:
            raise ValueError(
                f"embedding is {self.embedding.shape[1]} wide, the layer {self.weight.shape[0]}"
            )
        if self.weight.dtype != self.embedding.dtype:
            raise ValueError("weight and embedding must have the same type")
        if self.filters is not None:
            if self.filters.weight.dtype != self.weight.dtype or self.negative_slope != 1.0:
                raise ValueError("a read-out is linear and has its filters' type")
            if self.filters.window.cell_inputs != self.weight.shape[1]:
                raise ValueError("a read-out must have as many inputs as its cells have values")

    @property
    def inputs(self) -> int:
        """Values that the layer takes: of a convolution, its input map's."""
        return self.weight.shape[1] if self.filters is None else self.filters.window.map.size

    @property
    def outputs(self) -> int:
        """Values that the layer hands on: of a convolution, its map's."""
        return self.weight.shape[0] if self.filters is None else self.filters.window.pooled.size


class Learned(NamedTuple):
    """The outcome of a learning step.

    Attributes:
        predictions: int64 [exits, n], each exit's class **before** the update: over a stream
            this is an honest, test-then-learn record of accuracy.
        updated: bool [exits, n], whether the sample changed the layer (the margin loss leaves
            out samples whose margin is met).
    """

    predictions: NDArray[np.int64]
    updated: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A stack of layers, each of which predicts and learns by itself.

    Attributes:
        layers: first to last; layer k+1 has as many inputs as layer k hands on.
        loss: the local loss of every layer.
        margin: theta of the margin loss; the other losses do not use it.
        normalize_inputs: divide each layer's input by its length, as the paper does. This
            changes nothing but float rounding (docs/algorithm.md).
        bias: the first layer has one more input than a sample: 1, full scale.
    """

    layers: tuple[FloatLayer, ...]
    loss: Loss = "margin"
    margin: float = 0.3
    normalize_inputs: bool = False
    bias: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a network needs at least one layer")
        if self.inputs < 1:
            raise ValueError("a sample has an input beside the bias")
        for below, above in zip(self.layers, self.layers[1:], strict=False):
            if not below.is_tap and above.inputs != below.outputs:
                raise ValueError("each layer must have as many inputs as the one before hands on")
            if above.is_tap and not below.is_tap:
                raise ValueError("taps are the first layers")
        if self.layers[-1].is_tap:
            raise ValueError("a layer follows the taps")
        if len({layer.embedding.shape[0] for layer in self.layers}) != 1:
            raise ValueError("all layers must have embeddings for the same classes")

    @classmethod
    def untrained(
        cls,
        network: Network,
        inputs: int,
        classes: int,
        embeddings: Sequence[NDArray[np.float64]],
        taps: Sequence[int] = (),
    ) -> FloatNetwork:
        """Seeded random weights, uniform in +-sqrt(6 / inputs of the layer) (He et al. 2015).

        Args:
            network: the section of model.yaml; its seed determines the weights.
            inputs: width of a sample.
            classes: number of classes.
            embeddings: one [classes, units] array per layer.
            taps: how many of a sample's first inputs each tap reads.

        Raises:
            ValueError: the embeddings do not fit the layers.
        """
        stated = (*network.layers[:1] * len(taps), *network.layers)
        shapes = [(classes, answering_units(layer)) for layer in stated]
        if [embedding.shape for embedding in embeddings] != shapes:
            raise ValueError(f"embeddings must have the shapes {shapes}")
        generator = torch.Generator().manual_seed(network.seed)

        def drawn(units: int, inputs: int) -> NDArray[np.float32]:
            uniform = torch.rand(units, inputs, generator=generator)
            return ((uniform * 2.0 - 1.0) * math.sqrt(6.0 / inputs)).numpy()

        layers = []
        bias = network.has_bias(inputs)
        inputs += bias
        geometry = iter(windows(network))
        for size, embedding in zip(taps, embeddings, strict=False):
            first = network.layers[0]
            assert isinstance(first, Dense)  # behind a backbone there are no convolutions
            weight, vectors = drawn(first.units, size), embedding.astype(np.float32)
            layers.append(FloatLayer(weight, vectors, _slope(first), is_tap=True))
            inputs -= size
        for layer, embedding in zip(network.layers, embeddings[len(taps) :], strict=True):
            vectors = embedding.astype(np.float32)
            if isinstance(layer, Convolution):
                window = next(geometry)
                filters = FloatFilters(drawn(window.filters, window.patch), window)
                weight = drawn(layer.readout, window.cell_inputs)
                layers.append(FloatLayer(weight, vectors, 1.0, filters))
            else:
                layers.append(FloatLayer(drawn(layer.units, inputs), vectors, _slope(layer)))
            inputs = layers[-1].outputs
        return cls(tuple(layers), network.loss, network.margin, network.normalize_inputs, bias)

    @property
    def inputs(self) -> int:
        """Width of one sample."""
        return sum(self._slices) - self.bias

    @property
    def _slices(self) -> list[int]:
        """How many of the network's inputs each tap, and the layer behind the last, reads."""
        taps = sum(layer.is_tap for layer in self.layers)
        return [layer.inputs for layer in self.layers[: taps + 1]]

    @property
    def matrices(self) -> list[NDArray[np.float32]]:
        """All weights, in the order of the integer network's: filters before their read-out."""
        pairs = [(layer.filters, layer.weight) for layer in self.layers]
        return [
            matrix
            for filters, weight in pairs
            for matrix in ([] if filters is None else [filters.weight]) + [weight]
        ]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.layers[0].embedding.shape[0])

    def has_form_of(self, other: FloatNetwork) -> bool:
        """Whether it differs from another network at most in weights and loss."""
        return len(self.layers) == len(other.layers) and all(
            one.weight.shape == its.weight.shape
            and one.negative_slope == its.negative_slope
            and one.is_tap == its.is_tap
            and _window(one) == _window(its)
            and np.array_equal(one.embedding, its.embedding)
            for one, its in zip(self.layers, other.layers, strict=True)
        )

    def copy(self) -> FloatNetwork:
        """A network with weights of its own; the embeddings, which never change, are shared."""

        # torch aligns to its vector width, numpy may not; and the order of a sum, hence its last
        # bit, may depend on alignment.
        def aligned(weight: NDArray[np.float32]) -> NDArray[np.float32]:
            return torch.tensor(weight).numpy()

        layers = []
        for layer in self.layers:
            filters = layer.filters
            if filters is not None:
                filters = replace(filters, weight=aligned(filters.weight))
            layers.append(replace(layer, weight=aligned(layer.weight), filters=filters))
        return replace(self, layers=tuple(layers))

    def forward(self, x: ArrayLike) -> list[NDArray[np.float32]]:
        """Each exit's cosines [n, classes] for samples x [n, inputs]; 0 where |h| = 0.

        Raises:
            ValueError: x is not [n, inputs].
            FloatingPointError: x is not finite, or weights or activations left the range of
                float32; so no cosine could be trusted.
        """
        with reproducible():
            chunks = [
                [at.cosines for at in self._passes(rows)]
                for rows in torch.split(self._samples(x), ROWS_AT_ONCE)
            ]
            exits = [torch.cat(chunk).numpy() for chunk in zip(*chunks, strict=True)]
        if not all(np.isfinite(cosines).all() for cosines in exits):
            raise FloatingPointError("a cosine is not a number")
        return exits

    def predict(self, x: ArrayLike) -> NDArray[np.int64]:
        """Each exit's class for samples x [n, inputs]: int64 [exits, n]; on a tie, the first."""
        return np.stack([cosines.argmax(axis=1) for cosines in self.forward(x)])

    def accuracy(self, x: ArrayLike, y: ArrayLike) -> tuple[float, ...]:
        """Each exit's share of correct predictions, 0 to 1.

        Raises:
            ValueError: there are no samples, or labels do not fit them.
        """
        predictions = self.predict(x)
        labels = self._labels(y, predictions.shape[1]).numpy()
        return tuple(float(share) for share in (predictions == labels).mean(axis=1))

    def learn(self, x: ArrayLike, y: ArrayLike, learning_rate: float) -> Learned:
        """One update of every layer, in one forward pass, from a batch x [n, inputs], y [n].

        The update is the mean over the batch (samples that do not update count as zero), so
        that n = 1 is the rule the chip applies and a batch is a step down the mean local loss.
        Each layer passes on the activation it had before its update. Weights change in place.

        Raises:
            ValueError: x is not [n, inputs], or a label is not 0 .. classes-1.
        """
        with reproducible():
            samples = self._samples(x)
            labels = self._labels(y, len(samples))
            return _learned([self._step(samples, labels, learning_rate)])

    def learn_online(
        self,
        x: ArrayLike,
        y: ArrayLike,
        learning_rates: ArrayLike,
    ) -> Learned:
        """Learns a stream sample by sample, as the chip does: `learn` on each row in turn.

        Args:
            x: [n, inputs], in the order of the stream.
            y: labels [n].
            learning_rates: [n], the learning rate of each step.

        Raises:
            ValueError: as `learn`, or the number of learning rates is not n; nothing was learned.
        """
        rates = np.asarray(learning_rates, dtype=np.float64)
        with reproducible():
            samples = self._samples(x)
            labels = self._labels(y, len(samples))
            if rates.shape != (len(samples),):
                raise ValueError(f"{len(samples)} steps need learning rates [{len(samples)}]")
            stream = zip(
                torch.split(samples, 1), torch.split(labels, 1), rates.tolist(), strict=True
            )
            return _learned([self._step(sample, label, rate) for sample, label, rate in stream])

    def _samples(self, x: ArrayLike) -> Tensor:
        """Samples as the first layer's inputs, the constant of a bias last."""
        samples = real_samples(x, self.inputs).astype(self.layers[0].weight.dtype)
        samples = np.pad(samples, ((0, 0), (0, int(self.bias))), constant_values=1)
        return torch.tensor(samples)  # a copy, for torch's alignment (see `copy`)

    def _labels(self, y: ArrayLike, samples: int) -> Tensor:
        return torch.tensor(class_labels(y, self.classes, samples))

    def _passes(self, x: Tensor) -> Iterator[_LayerPass]:
        """One forward pass, layer by layer.

        The activation passed on is computed before the layer is yielded, so the caller may update
        the layer's weights.
        """
        parts = torch.split(x, self._slices, dim=1)
        for index, layer in enumerate(self.layers):
            x = parts[index] if index < len(parts) else x
            weight = torch.from_numpy(layer.weight)
            embedding = torch.from_numpy(layer.embedding)
            inputs = direction(x).unit if self.normalize_inputs else x
            convolved = None
            if layer.filters is not None:
                convolved = layer.filters, layer.filters.map(inputs)
                inputs = layer.filters.cells(convolved[1])
            z = inputs @ weight.T
            x = z.relu() if layer.negative_slope == 0.0 else leaky_relu(z, layer.negative_slope)
            h = direction(x)
            x = x if convolved is None else convolved[1].onward
            cosines = h.unit @ embedding.T
            yield _LayerPass(layer, weight, embedding, inputs, convolved, z, h, cosines)

    def _step(self, x: Tensor, y: Tensor, learning_rate: float) -> list[tuple[Tensor, Tensor]]:
        """Learns one batch; each exit's predictions [n], and which samples updated it [n]."""
        exits = []
        for at in self._passes(x):
            delta, updated = ascent(
                at.z,
                at.h,
                at.cosines,
                y,
                at.embedding,
                loss=self.loss,
                margin=self.margin,
                negative_slope=at.layer.negative_slope,
            )
            if updated.any():
                rate = learning_rate / len(y)
                if at.convolved is not None:
                    filters, map = at.convolved
                    filters.learn(map, delta @ at.weight, rate)
                at.weight.addmm_(delta.T, at.inputs, alpha=rate)
            exits.append((at.cosines.argmax(dim=1), updated))
        return exits


class _LayerPass(NamedTuple):
    """What one layer computed in a forward pass over n samples."""

    layer: FloatLayer
    weight: Tensor  # [units, inputs], shares memory with layer.weight
    embedding: Tensor  # [classes, units]
    inputs: Tensor  # [n, inputs] of `weight`; of a dense layer, normalised if the network says so
    convolved: tuple[FloatFilters, FloatMap] | None
    z: Tensor  # [n, units]
    h: Direction
    cosines: Tensor  # [n, classes]


def _learned(steps: list[list[tuple[Tensor, Tensor]]]) -> Learned:
    """Joins the results of several steps, each a list of exits, along the samples."""
    exits = list(zip(*steps, strict=True))
    predictions = torch.stack([torch.cat([step[0] for step in exit_]) for exit_ in exits])
    updated = torch.stack([torch.cat([step[1] for step in exit_]) for exit_ in exits])
    return Learned(predictions.numpy(), updated.numpy())


def _slope(layer: Dense) -> float:
    return 0.0 if layer.activation == "relu" else layer.negative_slope


def _window(layer: FloatLayer) -> Window | None:
    return None if layer.filters is None else layer.filters.window
