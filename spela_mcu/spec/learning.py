"""What a model.yaml may say of learning: on the host, on the chip, and what guards it there."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from spela_mcu.spec.limits import UINT16_MAX, UINT32_MAX
from spela_mcu.spec.rules import impossible
from spela_mcu.spec.section import Section

Format = Literal["int8", "int12", "int16"]
"""How weights lie in memory."""

MAX_EPOCHS = 100_000
BATCH_MAX = 64

UNTRAINED_RATE = 0.2
TRAINED_RATE = 0.02
"""Default learning rates on the device: large for random weights, small for trained ones."""

GUARD_SAMPLES_MAX = 4096
GUARD_INTERVAL_MAX = 65535
"""Limits of the guard: the chip counts in 16 bits, one of which tells that it went back."""


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

    weights: Format = Field(
        "int8",
        description="format of the weights; int12: filters learn in 12 bits and answer in 8, all "
        "else is int8 (docs/arithmetic-convolution.md)",
    )
    rounding: Literal["stochastic", "nearest"] = Field(
        "stochastic", description="how an update is rounded to the weights' grid"
    )


class Rehearsal(Section):
    """A memory of what was learned, which is learned again beside new samples."""

    keep: Literal["samples", "means"] = Field(
        "samples",
        description="of each class: some of its samples; or the mean of all of them, near which "
        "samples are drawn, for a chip that has no room for samples or must not keep them",
    )
    samples: int | None = Field(
        None, ge=1, le=UINT16_MAX, description="of each class, the spare ones as well"
    )
    bytes: int | None = Field(
        None, ge=1, le=UINT32_MAX, description="of the whole memory, instead of samples"
    )
    ratio: int = Field(
        1, ge=0, le=16, description="samples rehearsed after each one that is taught"
    )
    memory: Literal["ram", "flash"] = Field(
        "ram",
        description="where samples are kept; flash needs a board with room for them, and changes "
        "no answer",
    )

    @model_validator(mode="after")
    def _has_one_size(self) -> Self:
        if self.keep == "means":
            if self.samples is not None or self.bytes is not None:
                raise impossible(
                    "a memory of means has one mean of each class, whatever the size",
                    "leave samples and bytes out",
                )
            if self.memory == "flash":
                raise impossible(
                    "means change with every sample, which flash does not endure",
                    "keep means in RAM (memory: ram), or keep samples",
                    "memory",
                )
        elif (self.samples is None) == (self.bytes is None):
            raise impossible(
                "the memory's size is given by samples (of a class) or by bytes (in all)",
                "state one of the two",
            )
        return self


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
