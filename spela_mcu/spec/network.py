"""What a model.yaml may say of the network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from spela_mcu.spec.limits import MAX_CLASSES, MAX_INPUTS, UINT32_MAX
from spela_mcu.spec.rules import impossible
from spela_mcu.spec.section import Section, tuple_from_list

MAX_UNITS = 4096
MAX_READOUT = 64
MAX_LAYERS = 16
MAX_TAPS = 2

NARROW_INPUTS = 8
"""Samples of fewer inputs get a bias unless model.yaml says otherwise (docs/accuracy.md)."""

FEATURES = "features"
"""The cut that needs no name: a backbone's classifier is left out."""

Loss = Literal["margin", "softmax", "cosine", "log_cosine"]
LOSSES: tuple[Loss, ...] = get_args(Loss)
"""The local losses. spela.h numbers them as SPELA_LOSS_<NAME>."""


class Dense(Section):
    """A dense layer; it is an exit as well, since it predicts by itself."""

    # Not in dumps, so that digests of models of dense layers alone are what they always were.
    kind: Literal["dense"] = Field("dense", exclude=True, description="what the layer is")
    units: int = Field(ge=2, le=MAX_UNITS, description="width of the layer")
    activation: Literal["relu", "leaky_relu"] = Field("relu", description="what follows W x")
    negative_slope: float = Field(
        0.0078125, description="slope of leaky_relu below zero: a power of two, 2^-10 to 2^-1"
    )

    @field_validator("negative_slope")
    @classmethod
    def _power_of_two(cls, slope: float) -> float:
        if slope not in {2.0**-shift for shift in range(1, 11)}:
            shift = min(10, max(1, round(-math.log2(slope)))) if slope > 0 else 10
            raise impossible(
                f"must be a power of two from 2^-10 to 2^-1 (the chip shifts), got {slope:g}",
                f"the nearest is {2.0**-shift:.10g} (2^-{shift})",
            )
        return slope


class Convolution(Section):
    """A convolution with a read-out of its own, which makes it an exit. Before all dense layers."""

    kind: Literal["convolution"] = Field(description="what the layer is")
    filters: int = Field(ge=2, le=MAX_UNITS, description="channels of its map")
    kernel: Literal[1, 3, 5, 7] = Field(3, description="side of what a filter sees at once")
    stride: int = Field(1, ge=1, le=4, description="from one position to the next")
    pool: int = Field(2, ge=1, le=4, description="side of the blocks that leave their maximum")
    grid: int = Field(
        4, ge=1, le=8, description="cells a side over which the read-out sums the map, at most"
    )
    readout: int = Field(16, ge=2, le=MAX_READOUT, description="units of the read-out")


def _kind(layer: object) -> object:
    """What a layer is: dense unless it says otherwise."""
    if isinstance(layer, dict):
        kind = layer.get("kind", "dense")
        return kind if isinstance(kind, str) else str(kind)
    return getattr(layer, "kind", "dense")


Layer = Annotated[
    Annotated[Dense, Tag("dense")] | Annotated[Convolution, Tag("convolution")],
    Discriminator(_kind),
]


def answering_units(layer: Layer) -> int:
    """How many units of a layer answer: all of a dense layer's, a convolution's read-out's."""
    return layer.readout if isinstance(layer, Convolution) else layer.units


class Network(Section):
    """The SPELA network (arXiv 2402.09769)."""

    input_shape: tuple[int, ...] | None = Field(
        None, description="shape of one sample, for example [8, 8]; taken from the data when absent"
    )
    backbone: Path | None = Field(
        None,
        strict=False,
        description="an int8 .tflite that runs in front of the layers and is never changed; its "
        "features are their inputs",
    )
    cut: str = Field(
        FEATURES,
        min_length=1,
        description="which of the backbone's tensors holds the features, by name; features: what "
        "goes into its last FULLY_CONNECTED",
    )
    exits_at: tuple[str, ...] = Field(
        (),
        description=f"{MAX_TAPS} or fewer of the backbone's tensors before the cut that have an "
        "exit each, by name: a layer on the means of their channels, as wide as the first one",
    )
    classes: tuple[str, ...] | None = Field(
        None, description="class names in label order; taken from the data when absent"
    )
    spare_classes: int = Field(
        0,
        ge=0,
        le=MAX_CLASSES - 2,
        description="classes without samples, for a device to be taught: their embeddings are "
        "placed with the others'",
    )
    layers: tuple[Layer, ...] = Field(
        min_length=1,
        max_length=MAX_LAYERS,
        description="from input to last exit: dense layers, or convolutions and then dense layers",
    )
    loss: Loss = Field("margin", description="local loss of every layer")
    margin: float = Field(0.3, ge=2**-14, le=2, description="theta of the margin loss")
    embedding: Literal["simplex", "orthogonal", "random"] = Field(
        "simplex", description="the fixed unit vectors, one per class and layer"
    )
    bias: bool | None = Field(
        None,
        description="a constant input beside a sample's, learned like any other; when absent, true "
        f"for fewer than {NARROW_INPUTS} inputs of a dense layer",
    )
    normalize_inputs: bool = Field(
        False,
        description="normalise each layer's input in the float reference, as the paper does",
    )
    seed: int = Field(0, ge=0, le=UINT32_MAX, description="seed of weights and embeddings")

    @property
    def has_convolutions(self) -> bool:
        """Whether some of the layers are convolutions."""
        return any(isinstance(layer, Convolution) for layer in self.layers)

    def has_bias(self, inputs: int) -> bool:
        """Whether samples with this many inputs get a constant one as well."""
        if self.exits_at or self.has_convolutions:
            return False if self.bias is None else self.bias
        return inputs < NARROW_INPUTS if self.bias is None else self.bias

    @model_validator(mode="after")
    def _exits_lie_in_a_backbone(self) -> Self:
        if not self.exits_at:
            return self
        if self.backbone is None:
            raise impossible(
                "without a backbone there are no tensors to have exits",
                "remove exits_at, or name a .tflite as backbone",
                "exits_at",
            )
        if len(self.exits_at) > MAX_TAPS:
            raise impossible(
                f"names {len(self.exits_at)} tensors, and at most {MAX_TAPS} can have exits",
                "leave some out",
                "exits_at",
            )
        if len(set(self.exits_at)) < len(self.exits_at):
            raise impossible("names a tensor twice", "name each once", "exits_at")
        if self.bias:
            raise impossible(
                "layers with exits_at have no bias",
                "remove bias, or exits_at",
                "bias",
            )
        if len(self.exits_at) + len(self.layers) > MAX_LAYERS:
            raise impossible(
                f"exits_at adds {len(self.exits_at)} layers to {len(self.layers)}, and "
                f"{MAX_LAYERS} are possible",
                "leave layers out",
                "layers",
            )
        return self

    _tuple_from_list = field_validator(
        "input_shape", "classes", "layers", "exits_at", mode="before"
    )(tuple_from_list)

    @field_validator("input_shape")
    @classmethod
    def _shape_has_inputs(cls, shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if shape is not None and not (shape and min(shape) >= 1 and math.prod(shape) <= MAX_INPUTS):
            raise impossible(
                f"must hold sizes of 1 or more with a product of at most {MAX_INPUTS}, "
                f"got {list(shape)}",
                "write the shape of one sample, for example [8, 8], or leave the key out",
            )
        return shape

    @field_validator("classes")
    @classmethod
    def _names_differ(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is None:
            return names
        if not 2 <= len(names) <= MAX_CLASSES:
            raise impossible(
                f"needs 2 to {MAX_CLASSES} names, got {len(names)}",
                "name every class once, or leave the key out",
            )
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or "" in names:
            raise impossible(
                f"names the class {twice[0]!r} twice" if twice else "holds an empty name",
                "name every class once, or leave the key out",
            )
        return names
