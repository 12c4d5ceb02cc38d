"""The frozen part of a model as the chip runs it: lowered operators and where their maps lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.graph import Shape
from spela_mcu.backbone.operator import LoweredOperator
from spela_mcu.backbone.tap import Tap


@dataclass(frozen=True)
class Activation:
    """A feature map.

    Attributes:
        name: of the tensor in the .tflite; that before a RESHAPE, if both are the same bytes.
        scale, zero_point: real value = scale * (integer - zero point); scale is a float32.
        offset: of its first byte in the arena, a multiple of `ALIGNMENT`; 0 before it is placed.
    """

    name: str
    shape: Shape
    scale: float
    zero_point: int
    offset: int = 0


@dataclass(frozen=True, eq=False)
class Step:
    """An operator with its place in the graph.

    Attributes:
        sources: the activations that it reads, as indices in `BackbonePlan.activations`.
        target: the activation that it writes.
        scratch: offset in the arena of what it needs for itself while it runs; a multiple of
            `SCRATCH_ALIGNMENT`, 0 before it is placed.
    """

    operator: LoweredOperator
    sources: tuple[int, ...]
    target: int
    scratch: int = 0


class Reading(NamedTuple):
    """Features that layers read.

    Attributes:
        steps: that have run when they are there.
        activation: the features.
    """

    steps: int
    activation: Activation


@dataclass(frozen=True, eq=False)
class BackbonePlan:
    """All that a frozen backbone computes, from a sample to features.

    Attributes:
        cut: name of the tensor that holds the features, as in the .tflite.
        activations: the first is the sample, the last one that of the cut; one for each step
            between.
        steps: in the order in which they run; none for what moves no byte, such as RESHAPE.
        arena_bytes: all activations and what operators need for themselves, at their offsets. The
            sample is among them: a caller may write it there (spela_sample), or keep it elsewhere.
    """

    cut: str
    activations: tuple[Activation, ...]
    steps: tuple[Step, ...]
    arena_bytes: int

    @property
    def sample(self) -> Activation:
        """What goes in."""
        return self.activations[0]

    @property
    def features(self) -> Activation:
        """What comes out at the cut."""
        return self.activations[self.steps[-1].target]

    @property
    def taps(self) -> tuple[Reading, ...]:
        """What exits within it read, first to last, and at the end what comes out at the cut."""
        last = len(self.steps) - 1
        return tuple(
            Reading(number + 1, self.activations[step.target])
            for number, step in enumerate(self.steps)
            if isinstance(step.operator, Tap) or number == last
        )

    @property
    def feature_count(self) -> int:
        """Values of all that is read, one after the other: a sample's features."""
        return sum(tap.activation.shape.size for tap in self.taps)

    @property
    def zero_points(self) -> NDArray[np.int8]:
        """The zero point of each feature."""
        return np.concatenate(
            [np.full(one.shape.size, one.zero_point, np.int8) for _, one in self.taps]
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one sample."""
        return sum(step.operator.macs for step in self.steps)

    @property
    def table_bytes(self) -> int:
        """Bytes of weights and other constant tables in flash, without structures and padding."""
        return sum(step.operator.table_bytes for step in self.steps)

    @property
    def digest(self) -> str:
        """SHA-256 over all that the features depend on, in hexadecimal; not over names or memory.

        Equal digests: equal features for equal samples.
        """
        content = hashlib.sha256()
        for step in self.steps:
            for part in (step.sources, step.target, step.operator):
                for piece in _pieces(part):
                    content.update(piece)
        return content.hexdigest()


def _pieces(value: object) -> Iterator[bytes]:
    """A value of a lowered operator as bytes that no other value has."""
    if isinstance(value, np.ndarray):
        yield f"{value.dtype.str}{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif is_dataclass(value):
        yield type(value).__name__.encode()
        for field in fields(value):
            yield f"|{field.name}=".encode()
            yield from _pieces(getattr(value, field.name))
    elif isinstance(value, tuple):
        yield f"({len(value)}".encode()
        for item in value:
            yield from _pieces(item)
    else:
        yield f"{value!r},".encode()
