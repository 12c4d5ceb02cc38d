"""What a model.yaml may say of the way from a sensor's readings to a sample."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from spela_mcu.spec.rules import impossible
from spela_mcu.spec.section import Section, tuple_from_list

Readings = Literal["int8", "uint8", "int16", "int32"]
READINGS: tuple[Readings, ...] = get_args(Readings)

Statistic = Literal["mean", "deviation", "minimum", "maximum", "crossings"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)
"""In the order in which a row holds them."""

SPAN_MAX = 4096
AVERAGED_MAX = 256
RATE_MAX = 1_000_000
BANDS_MAX = 128

FEATURES = ("statistics", "spectrum", "log_mel")
"""What a row of a sample may hold instead of the signals themselves."""


class Statistics(Section):
    """Figures of each axis."""

    of: tuple[Statistic, ...] = Field(
        STATISTICS,
        min_length=1,
        description="which of mean, deviation (mean absolute, from the mean), minimum, maximum, "
        "crossings (of the mean)",
    )
    length: int | None = Field(
        None,
        ge=2,
        le=SPAN_MAX,
        description="readings that they are of; when absent all of the window",
    )
    hop: int | None = Field(
        None,
        ge=1,
        le=SPAN_MAX,
        description="readings from one length to the next; when absent the length",
    )

    _tuple_from_list = field_validator("of", mode="before")(tuple_from_list)

    @field_validator("of")
    @classmethod
    def _in_order(cls, names: tuple[Statistic, ...]) -> tuple[Statistic, ...]:
        if len(set(names)) < len(names):
            raise impossible("names a statistic twice", "name each once")
        return tuple(name for name in STATISTICS if name in names)


class Spectrum(Section):
    """Power of each axis in bands of equal width, as logarithms."""

    points: int = Field(
        ge=32, le=1024, description="readings of one spectrum: a power of two, 32 to 1024"
    )
    hop: int | None = Field(
        None,
        ge=1,
        le=SPAN_MAX,
        description="readings from one spectrum to the next; when absent the points",
    )
    bands: int = Field(16, ge=1, le=BANDS_MAX, description="bands of an axis")
    low: float = Field(0, ge=0, lt=RATE_MAX / 2, description="lower end of the first band, in Hz")
    high: float | None = Field(
        None,
        gt=0,
        le=RATE_MAX / 2,
        description="upper end of the last band, in Hz; when absent half the rate",
    )

    @field_validator("points")
    @classmethod
    def _power_of_two(cls, points: int) -> int:
        if points & (points - 1):
            nearest = 1 << (points.bit_length() - 1)
            raise impossible(f"must be a power of two, got {points}", f"write {nearest}")
        return points


class LogMel(Section):
    """Power of sound in bands as the ear has them, as logarithms."""

    frame_ms: float = Field(25, ge=2, le=64, description="length of a frame, in milliseconds")
    hop_ms: float = Field(20, ge=1, le=64, description="from one frame to the next")
    bands: int = Field(40, ge=10, le=BANDS_MAX, description="bands on the mel scale")
    low: float = Field(125, ge=0, lt=RATE_MAX / 2, description="lower end of the first band, in Hz")
    high: float | None = Field(
        None,
        gt=0,
        le=RATE_MAX / 2,
        description="upper end of the last band, in Hz; when absent half the rate",
    )


class Scale(Section):
    """Brings features to int8."""

    per: Literal["channel", "all"] = Field(
        "channel", description="an offset and a scale for each feature of a row, or one for all"
    )
    range: tuple[float, float] | None = Field(
        None,
        description="[low, high] of features, which become -127 and 127; measured on the training "
        "part when absent",
    )
    deviations: float = Field(
        3, ge=0.5, le=100, description="of the mean, in standard deviations, that become 127"
    )

    _tuple_from_list = field_validator("range", mode="before")(tuple_from_list)

    @field_validator("range")
    @classmethod
    def _ascends(cls, ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends is not None and not -(2**17) <= ends[0] < ends[1] <= 2**17:
            raise impossible(
                f"must ascend within -131072 and 131072, got {list(ends)}",
                "write [low, high] of the features that come before",
            )
        return ends


class FrontEnd(Section):
    """From a sensor's readings to the sample, in integers, on the chip as in training."""

    readings: Readings = Field(
        "int16", description="type of a raw value: int8, uint8, int16 or int32"
    )
    shift: int = Field(
        0,
        ge=0,
        le=16,
        description="bits by which int32 readings are shifted right, to become 16 bits",
    )
    full_scale: float | tuple[float, ...] | None = Field(
        None,
        description="what the greatest raw value stands for, in the unit of the data, for all axes "
        "or each; when absent the data are raw values already",
    )
    rate: float | None = Field(
        None, gt=0, le=RATE_MAX, description="readings a second; when absent data.rate"
    )
    step: int | None = Field(
        None,
        ge=1,
        le=2**20,
        description="readings from one sample to the next; when absent data.step, else a sample's",
    )
    backlog: int | None = Field(
        None,
        ge=1,
        le=SPAN_MAX,
        description="readings that the ring holds while the chip is busy, besides those of a row; "
        "when absent as many as from one row to the next",
    )
    decimate: int = Field(
        1, ge=1, le=AVERAGED_MAX, description="readings whose mean takes their place; 1: none"
    )
    statistics: Statistics | None = Field(None, description="figures of each axis")
    spectrum: Spectrum | None = Field(None, description="band powers of each axis")
    log_mel: LogMel | None = Field(None, description="band powers of sound")
    scale: Scale = Field(Scale(), description="features to int8")

    _tuple_from_list = field_validator("full_scale", mode="before")(tuple_from_list)

    @field_validator("full_scale")
    @classmethod
    def _positive(cls, value: float | tuple[float, ...] | None) -> float | tuple[float, ...] | None:
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        if any(one <= 0 for one in values):
            raise impossible("must be above 0", "write the sensor's range, such as 4 for +-4 g")
        return value

    @model_validator(mode="after")
    def _one_kind_of_features(self) -> Self:
        stated = [name for name in FEATURES if getattr(self, name) is not None]
        if len(stated) > 1:
            raise impossible(
                f"the features are either {stated[0]} or {stated[1]}",
                "remove one of the two",
                stated[1],
            )
        return self

    @model_validator(mode="after")
    def _shift_suits(self) -> Self:
        if self.shift and self.readings != "int32":
            raise impossible(f"{self.readings} readings are not shifted", "remove it", "shift")
        return self
