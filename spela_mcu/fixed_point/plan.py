"""Every decision of the fixed-point network: formats, shifts, rates and bounds, but no weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import frexp, log2, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spela_mcu.embedding import class_embeddings
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.arithmetic import ONE_Q14
from spela_mcu.spec.model import MAX_INPUTS, Layer, ModelSpec

if TYPE_CHECKING:
    from spela_mcu.fixed_point.front import FrontPlan

SUM_BITS = 30
"""Weighted sums stay within +-2^30, so that rounding them cannot overflow int32."""

EMBEDDING_SHIFT_MAX = 14
RATE_SHIFT_LIMIT = 64


LAYER_DENSE = 0
"""The one kind of layer so far, as numbered in spela.h."""


@dataclass(frozen=True, eq=False)
class ExitPlan:
    """How a layer's activation becomes an answer.

    Attributes:
        embedding: int64 [classes, units], class embeddings scaled by 2^embedding_shift to int8.
        exit_margin: margin from which early exit answers here, Q1.14; 0: never, except at the last
            exit.
        reject_cosine: cosine below which early exit's answer here is unknown, Q1.14; 0: never.
    """

    embedding: NDArray[np.int64]
    embedding_shift: int
    exit_margin: int = 0
    reject_cosine: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates for the scores of one activation."""
        return self.embedding.size


@dataclass(frozen=True)
class LearnerPlan:
    """How far a layer's weights go at each step.

    Attributes:
        rate_mantissa, rate_shift: the learning rate in integer units, mantissa * 2^-shift,
            mantissa in [2^15, 2^16).
        update_shift: fraction bits dropped from an update: 16 for int8 weights, 8 for int16.
    """

    rate_mantissa: int
    rate_shift: int
    update_shift: int


@dataclass(frozen=True, eq=False)
class MatrixPlan:
    """A matrix of weights that learns, [units, inputs].

    Attributes:
        weight_bits: weights lie in [-2^(bits-1), 2^(bits-1) - 1].
        weight_scale: integer weight = real weight * weight_scale, before any halving.
        seed: state from which untrained weights are drawn.
    """

    inputs: int
    units: int
    weight_bits: int
    weight_scale: float
    seed: int
    learner: LearnerPlan

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one activation."""
        return self.inputs * self.units

    @property
    def weight_min(self) -> int:
        """The least weight."""
        return -(1 << (self.weight_bits - 1))

    @property
    def weight_max(self) -> int:
        """The greatest weight."""
        return (1 << (self.weight_bits - 1)) - 1


@dataclass(frozen=True, eq=False)
class LayerPlan(MatrixPlan):
    """A dense layer: how it turns its inputs into an activation, how it answers, how it learns.

    Attributes:
        leak_shift: 0 for relu, s for a negative slope of 2^-s.
    """

    leak_shift: int
    exit: ExitPlan
    kind: int = LAYER_DENSE

    def with_thresholds(
        self, *, exit_margin: int | None = None, reject_cosine: int | None = None
    ) -> LayerPlan:
        """The layer with other thresholds at its exit; None: unchanged."""
        changed = replace(
            self.exit,
            exit_margin=self.exit.exit_margin if exit_margin is None else exit_margin,
            reject_cosine=self.exit.reject_cosine if reject_cosine is None else reject_cosine,
        )
        return replace(self, exit=changed)


@dataclass(frozen=True)
class FixedPointPlan:
    """The whole network's decisions.

    Attributes:
        margin: theta, Q1.14.
        halve_rate_every: samples between two halvings of the rate; 0 for none.
        rate_halvings: how many; the rate is held for as many intervals before them.
        dither_seed: first state of the generator of stochastic rounding.
        weight_decay: halving a layer's weights does not adjust its integer rate.
        bias: the first layer's last input is not the sample's but the constant `INPUT_MAX`.
        batch: updates of a layer that are summed before the sum is rounded.
        front: makes the first layer's inputs of a sample; None: the sample is these.
    """

    layers: tuple[LayerPlan, ...]
    classes: int
    weights: str
    rounding: str
    loss: str
    margin: int
    halve_rate_every: int
    rate_halvings: int
    dither_seed: int
    bias: bool = False
    weight_decay: bool = False
    batch: int = 1
    front: FrontPlan | None = None

    @property
    def inputs(self) -> int:
        """Inputs of the first layer, without the constant of a bias."""
        return self.layers[0].inputs - self.bias

    @property
    def sample_inputs(self) -> int:
        """Number of values of a sample, as a device takes it."""
        return self.inputs if self.front is None else self.front.backbone.sample.shape.size

    @property
    def weight_type(self) -> type[np.int8] | type[np.int16]:
        """How a weight lies in memory."""
        return np.int8 if self.weights == "int8" else np.int16

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference at the last exit, without those of a backbone."""
        return sum(layer.macs for layer in self.layers) + self.layers[-1].exit.macs

    @property
    def infer_macs(self) -> int:
        """Multiply-accumulates of one inference at the last exit."""
        return self.macs + (0 if self.front is None else self.front.backbone.macs)


def _floor_log2(value: float) -> int:
    """The log of the greatest power of two <= `value` > 0: exact, unlike a float logarithm."""
    return frexp(value)[1] - 1


def weight_bits(weights: str, inputs: int) -> int:
    """Bits of a weight such that |sum| <= 2^30 for any int8 inputs."""
    widest = 8 if weights == "int8" else 16
    return min(widest, ((1 << (SUM_BITS - 7)) // inputs).bit_length())


def scale_embeddings(embeddings: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
    """Unit vectors [classes, units] to int8 by the greatest power of two that fits; its log."""
    largest = float(np.abs(embeddings).max())
    shift = min(EMBEDDING_SHIFT_MAX, _floor_log2(127.49 / largest))
    scaled = np.rint(embeddings * 2.0**shift).astype(np.int64)
    # The bounds of docs/arithmetic.md, section 5, rest on this length; rounding adds far less.
    if (scaled**2).sum(axis=1).max() > (1.05 * 2**shift) ** 2:
        raise ValueError("embeddings must be unit vectors")
    return scaled, shift


def derived_seed(seed: int, purpose: int) -> int:
    """A 32-bit generator state for one purpose (layer index, or -1 for the dither)."""
    return int(np.random.SeedSequence([seed, purpose + 1]).generate_state(1)[0])


def float_embeddings(spec: ModelSpec, classes: int) -> list[NDArray[np.float64]]:
    """Each layer's class embeddings [classes, units], float64: float and integer share them."""
    return [
        class_embeddings(
            spec.network.embedding, classes, layer.units, derived_seed(spec.network.seed, index)
        )
        for index, layer in enumerate(spec.network.layers)
    ]


def _integer_rate(rate: float, key: str) -> tuple[int, int]:
    shift = 15 - _floor_log2(rate)
    mantissa = round(rate * 2.0**shift)
    if mantissa == 1 << 16:
        mantissa, shift = 1 << 15, shift - 1
    if abs(shift) > RATE_SHIFT_LIMIT:
        raise UserError(
            "the learning rate is out of the chip's range",
            key=key,
            mend="choose a rate between 1e-6 and 10",
        )
    return mantissa, shift


def make_plan(
    spec: ModelSpec,
    inputs: int,
    classes: int,
    trained: list[NDArray[np.float32]] | None = None,
) -> FixedPointPlan:
    """Decides formats and rates.

    Args:
        spec: the model.
        inputs: width of a sample.
        classes: number of classes.
        trained: float weights [units, inputs] of each layer to start from; None to draw them.
            Untrained weights fill the whole integer range and stand for U(+-sqrt(6 / inputs)).

    Raises:
        UserError: the learning rate cannot be expressed, or a bias is one input too many.
    """
    return _plan(spec, inputs, float_embeddings(spec, classes), trained)


def sizing_plan(spec: ModelSpec, inputs: int, classes: int) -> FixedPointPlan:
    """The plan with placeholder class embeddings: for sizes, which do not depend on them.

    Finding those of many classes takes seconds.

    Raises:
        UserError: the learning rate cannot be expressed.
    """
    alike = [np.eye(1, layer.units).repeat(classes, axis=0) for layer in spec.network.layers]
    return _plan(spec, inputs, alike, None)


def _plan(
    spec: ModelSpec,
    inputs: int,
    embeddings: list[NDArray[np.float64]],
    trained: list[NDArray[np.float32]] | None,
) -> FixedPointPlan:
    update_shift = 16 if spec.fixed_point.weights == "int8" else 8
    layers = []
    bias = spec.network.has_bias(inputs)
    inputs += bias
    if inputs > MAX_INPUTS:
        raise UserError(
            f"with a bias a sample has at most {MAX_INPUTS - 1} inputs",
            key="network.bias",
            mend="set it to false; so many inputs need none",
        )
    for index, layer in enumerate(spec.network.layers):
        bits = weight_bits(spec.fixed_point.weights, inputs)
        if trained is None:
            scale = (1 << (bits - 1)) / sqrt(6 / inputs)
        else:
            scale = ((1 << (bits - 1)) - 1) / max(float(np.abs(trained[index]).max()), 1e-30)
        # dw_int = rate * scale^2 * u x / |sum|: scale once for the weight, once because the
        # sums grow with the weights; 2^update_shift is dropped after the dither is added.
        mantissa, shift = _integer_rate(
            spec.learning.first_rate * (scale * scale) * 2.0**update_shift,
            "learning.learning_rate",
        )
        layers.append(
            LayerPlan(
                inputs=inputs,
                units=layer.units,
                weight_bits=bits,
                weight_scale=scale,
                leak_shift=_leak_shift(layer),
                seed=derived_seed(spec.network.seed, index),
                exit=ExitPlan(*scale_embeddings(embeddings[index])),
                learner=LearnerPlan(mantissa, shift, update_shift),
            )
        )
        inputs = layer.units
    return FixedPointPlan(
        layers=tuple(layers),
        classes=len(embeddings[0]),
        weights=spec.fixed_point.weights,
        rounding=spec.fixed_point.rounding,
        loss=spec.network.loss,
        margin=min(round(spec.network.margin * ONE_Q14), 32767),
        halve_rate_every=spec.learning.interval,
        rate_halvings=spec.learning.rate_halvings,
        dither_seed=derived_seed(spec.network.seed, -1),
        bias=bias,
        weight_decay=spec.learning.weight_decay,
        batch=spec.learning.batch,
    )


def _leak_shift(layer: Layer) -> int:
    return 0 if layer.activation == "relu" else -int(log2(layer.negative_slope))
