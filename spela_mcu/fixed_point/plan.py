"""Every decision of the fixed-point network: formats, shifts, rates and bounds, but no weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import frexp, log2, sqrt
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from spela_mcu.embedding import class_embeddings
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.arithmetic import ONE_Q14
from spela_mcu.fixed_point.continual import LIMIT_STEP, ContinualPlan, UnknownPlan
from spela_mcu.fixed_point.geometry import convolution_window, input_map
from spela_mcu.fixed_point.layer import (
    LAYER_READOUT,
    LAYER_TAP,
    ConvolutionPlan,
    ExitPlan,
    LayerPlan,
    LearnerPlan,
    MatrixPlan,
    weight_range,
)
from spela_mcu.fixed_point.layout import RESIDUAL_BITS, padded
from spela_mcu.spec.learning import Format
from spela_mcu.spec.limits import MAX_INPUTS
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Convolution, Dense, answering_units

if TYPE_CHECKING:
    from spela_mcu.fixed_point.front import FrontPlan
    from spela_mcu.front_end.plan import FrontEndPlan

SUM_BITS = 30
"""Weighted sums stay within +-2^30, so that rounding them cannot overflow int32."""

EMBEDDING_SHIFT_MAX = 14
RATE_SHIFT_LIMIT = 64

Matrix = TypeVar("Matrix", bound=MatrixPlan)


@dataclass(frozen=True)
class FixedPointPlan:
    """The whole network's decisions.

    Attributes:
        weights: format of filters, and of all other matrices but read-outs, which are int8. With
            int12, which is of filters alone, these are int8 as well.
        margin: theta, Q1.14.
        halve_rate_every: samples between two halvings of the rate; 0 for none.
        rate_halvings: how many; the rate is held for as many intervals before them.
        dither_seed: first state of the generator of stochastic rounding.
        weight_decay: halving a layer's weights does not adjust its integer rate.
        bias: the first layer's last input is not the sample's but the constant `INPUT_MAX`.
        batch: updates of a layer that are summed before the sum is rounded.
        front_end: makes a sample of raw readings; None: nothing does.
        front: makes the first layer's inputs of a sample; None: the sample is these.
        continual: classes come and go, and may be rehearsed; None: they stay as they are.
    """

    layers: tuple[LayerPlan, ...]
    classes: int
    weights: Format
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
    front_end: FrontEndPlan | None = None
    continual: ContinualPlan | None = None

    @property
    def keeps_means(self) -> bool:
        """Whether what is rehearsed are means of classes."""
        return self.continual is not None and self.continual.keeps_means

    def in_ram(self) -> FixedPointPlan:
        """The plan with all that is rehearsed in RAM, which changes no bit."""
        if self.continual is None or not self.continual.in_flash:
            return self
        return replace(self, continual=replace(self.continual, in_flash=False))

    def inferring(self) -> FixedPointPlan:
        """The plan of a network that only infers: classes stay as they are, and no weight learns.

        Of 12 bits it has the upper eight, which is what answers. A spare class is never answered,
        and so has no part in what an active one computes.
        """
        if self.weights == "int12":
            return self.with_weights("int8").inferring()
        if self.continual is None:
            return self
        known = self.continual.known
        layers = tuple(
            replace(layer, exit=replace(layer.exit, embedding=layer.exit.embedding[:known]))
            for layer in self.layers
        )
        return replace(self, layers=layers, classes=known, continual=None)

    def with_weights(self, weights: Format) -> FixedPointPlan:
        """The plan with weights of another format, but with the rates that it has."""
        layers = []
        for layer in self.layers:
            if layer.convolution is None:
                layers.append(_with_format(layer, dense_format(weights)))
            else:
                filters = _with_format(layer.convolution, weights)
                layers.append(replace(layer, convolution=filters))
        return replace(self, layers=tuple(layers), weights=weights)

    @property
    def taps(self) -> int:
        """How many layers are taps; they are the first."""
        return sum(layer.is_tap for layer in self.layers)

    @property
    def slices(self) -> tuple[slice, ...]:
        """Which inputs each tap, and the layer behind the last, reads: one after the other."""
        first, found = 0, []
        for layer in self.layers[: self.taps + 1]:
            found.append(slice(first, first + layer.layer_inputs))
            first += layer.layer_inputs
        return tuple(found)

    def read(
        self, index: int, first: NDArray[np.int64], handed_on: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """A layer's inputs [..., inputs]: of the network's own, or what the one before hands on."""
        return first[..., self.slices[index]] if index <= self.taps else handed_on

    @property
    def inputs(self) -> int:
        """Inputs of the network, without the constant of a bias."""
        return sum(layer.layer_inputs for layer in self.layers[: self.taps + 1]) - self.bias

    @property
    def has_convolutions(self) -> bool:
        """Whether some of the layers are convolutions."""
        return any(layer.convolution is not None for layer in self.layers)

    @property
    def matrices(self) -> tuple[MatrixPlan, ...]:
        """All matrices of weights in the order of the learned state."""
        return tuple(matrix for layer in self.layers for matrix in layer.matrices)

    def matrix_index(self, layer: int) -> int:
        """Where a layer's own matrix is among all; its filters, if it has some, are just before."""
        return layer + sum(one.convolution is not None for one in self.layers[: layer + 1])

    def with_learners(self, learners: Iterable[LearnerPlan]) -> FixedPointPlan:
        """The plan with other rates, one for each matrix."""
        left, layers = iter(learners), []
        for layer in self.layers:
            filters = layer.convolution
            if filters is not None:
                filters = replace(filters, learner=next(left))
            layers.append(replace(layer, convolution=filters, learner=next(left)))
        return replace(self, layers=tuple(layers))

    @property
    def sample_inputs(self) -> int:
        """Number of values of a sample, as a device takes it."""
        return self.inputs if self.front is None else self.front.backbone.sample.shape.size

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference at the last exit, without those of a backbone."""
        return sum(layer.forward_macs for layer in self.layers) + self.layers[-1].exit_macs

    @property
    def infer_macs(self) -> int:
        """Multiply-accumulates of one inference at the last exit."""
        return self.macs + (0 if self.front is None else self.front.backbone.macs)


def _floor_log2(value: float) -> int:
    """The log of the greatest power of two <= `value` > 0: exact, unlike a float logarithm."""
    return frexp(value)[1] - 1


def weight_bits(format: Format, inputs: int) -> int:
    """Bits of a weight such that |sum| <= 2^30 for any int8 inputs."""
    if format != "int16":  # sums are of eight bits: there is room for any number of inputs
        return 8 + RESIDUAL_BITS[format]
    return min(16, ((1 << (SUM_BITS - 7)) // inputs).bit_length())


def dense_format(weights: Format) -> Format:
    """Format of dense layers in a network whose filters have another."""
    return "int8" if weights == "int12" else weights


def scale_embeddings(embeddings: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
    """Unit vectors [classes, units] to int8 by the greatest power of two that fits; its log."""
    largest = float(np.abs(embeddings).max())
    shift = min(EMBEDDING_SHIFT_MAX, _floor_log2(127.49 / largest))
    scaled = np.rint(embeddings * 2.0**shift).astype(np.int64)
    # The bounds of docs/arithmetic.md, section 5, rest on this length; rounding adds far less.
    if (scaled**2).sum(axis=1).max() > (1.05 * 2**shift) ** 2:
        raise ValueError("embeddings must be unit vectors")
    return scaled, shift


def _with_format(matrix: Matrix, format: Format) -> Matrix:
    bits = weight_bits(format, matrix.inputs)
    scale = matrix.weight_scale * 2.0 ** (bits - matrix.weight_bits)
    return replace(matrix, format=format, weight_bits=bits, weight_scale=scale)


def derived_seed(seed: int, purpose: int) -> int:
    """A 32-bit generator state for one purpose (layer index, or -1 for the dither)."""
    return int(np.random.SeedSequence([seed, purpose + 1]).generate_state(1)[0])


def exit_units(spec: ModelSpec) -> list[int]:
    """How many units of each layer answer.

    Taps, which have as many as the first layer that is stated, come before it.
    """
    units = [answering_units(layer) for layer in spec.network.layers]
    return units[:1] * len(spec.network.exits_at) + units


def matrix_places(spec: ModelSpec) -> list[int]:
    """Where the matrix of each layer's answering units is among all; filters are just before."""
    count = len(spec.network.exits_at)
    places = list(range(count))
    for layer in spec.network.layers:
        count += 1 + isinstance(layer, Convolution)
        places.append(count - 1)
    return places


def float_embeddings(spec: ModelSpec, classes: int) -> list[NDArray[np.float64]]:
    """Each layer's class embeddings [classes, units], float64: float and integer share them.

    Those of spare classes are placed with them, and left out here.
    """
    return [every[:classes] for every in placed_embeddings(spec, classes)]


def placed_embeddings(spec: ModelSpec, classes: int) -> list[NDArray[np.float64]]:
    """Each layer's embeddings of `classes` and of the spare classes behind them, float64."""
    count = classes + spec.network.spare_classes
    return [
        class_embeddings(
            spec.network.embedding,
            count,
            units,
            derived_seed(spec.network.seed, place),
        )
        for units, place in zip(exit_units(spec), matrix_places(spec), strict=True)
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
    taps: Sequence[int] = (),
) -> FixedPointPlan:
    """Decides formats and rates.

    Args:
        spec: the model.
        inputs: width of a sample.
        classes: number of classes, without the spare ones.
        trained: float weights [units, inputs] of each layer to start from; None to draw them.
            Untrained weights fill the whole integer range and stand for U(+-sqrt(6 / inputs)).
        taps: how many of a sample's first inputs each tap reads.

    Raises:
        UserError: the learning rate cannot be expressed, or a bias is one input too many.
    """
    return _plan(spec, inputs, placed_embeddings(spec, classes), trained, taps)


def sizing_plan(
    spec: ModelSpec, inputs: int, classes: int, taps: Sequence[int] = ()
) -> FixedPointPlan:
    """The plan with placeholder class embeddings: for sizes, which do not depend on them.

    Finding those of many classes takes seconds.

    Raises:
        UserError: the learning rate cannot be expressed.
    """
    count = classes + spec.network.spare_classes
    alike = [np.eye(1, units).repeat(count, axis=0) for units in exit_units(spec)]
    return _plan(spec, inputs, alike, None, taps)


def _plan(
    spec: ModelSpec,
    inputs: int,
    embeddings: list[NDArray[np.float64]],
    trained: list[NDArray[np.float32]] | None,
    taps: Sequence[int],
) -> FixedPointPlan:
    layers: list[LayerPlan] = []
    classes = len(embeddings[0]) - spec.network.spare_classes
    continual = _continual(spec, classes, inputs, len(embeddings))
    bias = spec.network.has_bias(inputs)
    inputs += bias
    if inputs > MAX_INPUTS:
        raise UserError(
            f"with a bias a sample has at most {MAX_INPUTS - 1} inputs",
            key="network.bias",
            mend="set it to false; so many inputs need none",
        )
    weights = iter(trained) if trained is not None else None
    places, of_filters = matrix_places(spec), spec.fixed_point.weights
    of_dense = dense_format(of_filters)
    map = None
    for size, place, embedding in zip(taps, places, embeddings, strict=False):
        first = spec.network.layers[0]
        assert isinstance(first, Dense)  # behind a backbone there are no convolutions
        own = _matrix(spec, of_dense, size, first.units, place=place, trained=weights)
        exit_ = ExitPlan(*scale_embeddings(embedding))
        layers.append(LayerPlan(*own, _leak_shift(first), exit_, LAYER_TAP))
        inputs -= size
    stated = zip(spec.network.layers, places[len(taps) :], embeddings[len(taps) :], strict=True)
    for layer, place, embedding in stated:
        exit_ = ExitPlan(*scale_embeddings(embedding))
        if isinstance(layer, Convolution):
            map = map or input_map(spec.network)
            window = convolution_window(map, layer, f"network.layers[{len(layers)}]")
            sizes = window.patch, window.filters
            positions = window.pooled.positions
            filters = _matrix(
                spec, of_filters, *sizes, place=place - 1, trained=weights, positions=positions
            )
            sizes = window.cell_inputs, layer.readout
            own = _matrix(spec, "int8", *sizes, place=place, trained=weights)
            convolution = ConvolutionPlan(*filters, window)
            layers.append(LayerPlan(*own, 0, exit_, LAYER_READOUT, convolution))
            map, inputs = window.pooled, window.pooled.size
        else:
            own = _matrix(spec, of_dense, inputs, layer.units, place=place, trained=weights)
            layers.append(LayerPlan(*own, _leak_shift(layer), exit_))
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
        continual=continual,
    )


def _continual(spec: ModelSpec, classes: int, inputs: int, exits: int) -> ContinualPlan | None:
    rehearsal, spare = spec.learning.rehearsal, spec.network.spare_classes
    unknown = _unknown(spec, exits)
    if rehearsal is None and spare == 0 and unknown is None:
        return None
    if rehearsal is None:
        return ContinualPlan(classes, unknown=unknown)
    if rehearsal.keep == "means":
        return ContinualPlan(classes, 1, rehearsal.ratio, "means", unknown=unknown)
    capacity = rehearsal.samples
    if capacity is None:
        assert rehearsal.bytes is not None
        room = (classes + spare) * padded(inputs)
        capacity = rehearsal.bytes // room
        if capacity == 0:
            raise UserError(
                f"a sample of each of {classes + spare} classes takes {room} bytes, and there are "
                f"{rehearsal.bytes}",
                key="learning.rehearsal",
                mend=f"set bytes to {room} or more, or learn without rehearsal",
            )
    in_flash = rehearsal.memory == "flash"
    return ContinualPlan(classes, capacity, rehearsal.ratio, unknown=unknown, in_flash=in_flash)


def _unknown(spec: ModelSpec, exits: int) -> UnknownPlan | None:
    """Limits that follow what is taught; what they start from is found by calibration."""
    if spec.exits.unknown_by is None:
        return None
    rise = round(spec.exits.unknown_share * LIMIT_STEP)
    return UnknownPlan(spec.exits.unknown_by, (1,) * exits, rise)


def _matrix(
    spec: ModelSpec,
    format: Format,
    inputs: int,
    units: int,
    *,
    place: int,
    trained: Iterator[NDArray[np.float32]] | None,
    positions: int | None = None,
) -> tuple[int, int, Format, int, float, int, LearnerPlan]:
    """The fields of a `MatrixPlan`.

    Args:
        spec: rate and seed.
        format: of its weights.
        inputs: of a unit.
        units: of the matrix.
        place: of the matrix among all.
        trained: the next are its weights.
        positions: over which an update of filters is summed; None: it is of another layer.
    """
    bits = weight_bits(format, inputs)
    if positions is None:
        update_shift = 16 if format == "int8" else 8
    else:  # the more factors add up, the finer they must be
        update_shift = 24 - bits + ((positions - 1).bit_length() >> 1)
    if trained is None:
        scale = (1 << (bits - 1)) / sqrt(6 / inputs)
    else:
        largest = max(float(np.abs(next(trained)).max()), 1e-30)
        scale = weight_range(format, bits)[1] / largest
    # dw_int = rate * scale^2 * u x / |sum|: scale once for the weight, once because the
    # sums grow with the weights, but for the bits that these leave out; 2^update_shift is
    # dropped after the dither is added.
    mantissa, shift = _integer_rate(
        spec.learning.first_rate * (scale * scale) * 2.0 ** (update_shift - RESIDUAL_BITS[format]),
        "learning.learning_rate",
    )
    learner = LearnerPlan(mantissa, shift, update_shift)
    return inputs, units, format, bits, scale, derived_seed(spec.network.seed, place), learner


def _leak_shift(layer: Dense) -> int:
    return 0 if layer.activation == "relu" else -int(log2(layer.negative_slope))
