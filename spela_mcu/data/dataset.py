"""A data set, split and scaled: what every later stage works on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from spela_mcu.notice import Notice

if TYPE_CHECKING:
    from spela_mcu.backbone.plan import BackbonePlan
    from spela_mcu.front_end.plan import FrontEndPlan

INPUT_MAX = 127
"""Largest magnitude of an int8 input: symmetric, so that -x is always representable."""


@dataclass(frozen=True)
class Extracted:
    """What a frozen backbone took and gave.

    Attributes:
        samples: int8 [n, sample's inputs].
        features: int8 [n, features].
    """

    samples: NDArray[np.int8]
    features: NDArray[np.int8]

    def take(self, rows: slice | NDArray[Any]) -> Extracted:
        """Some of them, by their indices or a mask."""
        return Extracted(self.samples[rows], self.features[rows])


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes:
        x: float32 [n, inputs], scaled into [-1, 1] (values outside the range measured on the
            training part are clipped by `quantize_inputs`, not here). With a backbone, features.
        y: int64 [n], labels 0 .. classes-1.
        extracted: the samples and their features, if there is a backbone.
        readings: the raw readings of which a front end made the samples [n, readings, axes].
        groups: [n], whose each sample is, if the data say so.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    extracted: Extracted | None = None
    readings: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def inputs(self) -> NDArray[np.int8]:
        """What the first layer takes, int8 [n, inputs]."""
        return quantize_inputs(self.x)

    @property
    def samples(self) -> NDArray[np.int8]:
        """What a device takes, int8 [n, sample's inputs]."""
        return self.inputs if self.extracted is None else self.extracted.samples

    def take(self, rows: slice | NDArray[Any]) -> Split:
        """Some of the samples, by their indices or a mask."""
        extracted = None if self.extracted is None else self.extracted.take(rows)
        readings = None if self.readings is None else self.readings[rows]
        groups = None if self.groups is None else self.groups[rows]
        return Split(self.x[rows], self.y[rows], extracted, readings, groups)


@dataclass(frozen=True, eq=False)
class Lesson:
    """One sample to learn.

    Attributes:
        sample: what a device takes, int8 [sample's inputs].
        inputs: what the first layer makes of it, int8 [inputs].
        label: its class.
        readings: what a front end makes the sample of, if there is one [readings, axes].
    """

    sample: NDArray[np.int8]
    inputs: NDArray[np.int8]
    label: int
    readings: NDArray[Any] | None = None


@dataclass(frozen=True)
class InputScaling:
    """How raw inputs become network inputs: scaled = (raw - offset) * scale, all [inputs]."""

    offset: NDArray[np.float32]
    scale: NDArray[np.float32]


@dataclass(frozen=True)
class Origin:
    """What a data set was made from.

    Attributes:
        source: in words, with the file's name if there is one.
        left_out: what part of it is not in the data set, in words.
        low, high: range of all raw inputs.
        scaling: how they were scaled.
        is_int8: whether samples are int8, which a backbone takes as they are.
    """

    source: str
    left_out: tuple[str, ...]
    low: float
    high: float
    scaling: Literal["global", "centred", "per_feature", "front_end"]
    is_int8: bool


@dataclass(frozen=True)
class Dataset:
    """Training, validation and test part with one scaling, measured on the training part.

    Attributes:
        scaling: of the samples; with a backbone, of its features less their zero point.
        columns: the name of each input, if the data have names; see `input_names`.
        backbone: the frozen network that stands before the layers, if there is one; then
            `input_shape` is that of its features, as a vector.
        front_end: what makes samples of raw readings, if there is one.
        notices: oddities of the data, for commands to show.
        origin: what it was made from, if it was read by `load_dataset`.
    """

    name: str
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    scaling: InputScaling
    train: Split
    validation: Split
    test: Split
    columns: tuple[str, ...] | None = None
    backbone: BackbonePlan | None = None
    front_end: FrontEndPlan | None = None
    notices: tuple[Notice, ...] = ()
    origin: Origin | None = None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of a sample, as a device takes it."""
        return self.input_shape if self.backbone is None else tuple(self.backbone.sample.shape)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The name of each input; x0, x1, ... if the data have none."""
        return self.columns or numbered_names(self.inputs)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Number of samples of each class, over all parts."""
        parts = (self.train, self.validation, self.test)
        counts = sum(np.bincount(part.y, minlength=self.classes) for part in parts)
        return tuple(int(count) for count in np.atleast_1d(counts))

    @property
    def inputs(self) -> int:
        """Number of values of one sample."""
        return int(np.prod(self.input_shape))

    @property
    def taps(self) -> tuple[int, ...]:
        """How many of a sample's first values are those of each exit within the backbone."""
        taps = () if self.backbone is None else self.backbone.taps[:-1]
        return tuple(tap.activation.shape.size for tap in taps)

    def behind_taps(self) -> Dataset:
        """What the stated layers read, as a data set by itself, without the values of taps."""
        first = sum(self.taps)
        if first == 0:
            return self

        def part(split: Split) -> Split:
            return Split(split.x[:, first:], split.y)

        return replace(
            self,
            input_shape=(self.inputs - first,),
            scaling=InputScaling(self.scaling.offset[first:], self.scaling.scale[first:]),
            train=part(self.train),
            validation=part(self.validation),
            test=part(self.test),
            columns=None,
            backbone=None,
        )

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def numbered_names(inputs: int) -> tuple[str, ...]:
    """Names for inputs without names: x0, x1, ..."""
    return tuple(f"x{index}" for index in range(inputs))


def quantize_inputs(x: NDArray[np.float32]) -> NDArray[np.int8]:
    """Scaled inputs [n, inputs] in [-1, 1] to int8: round half to even, clip to [-127, 127]."""
    return np.clip(np.rint(x * INPUT_MAX), -INPUT_MAX, INPUT_MAX).astype(np.int8)
