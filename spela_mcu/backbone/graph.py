"""A .tflite as it was read: tensors and operators, and nothing of its file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spela_mcu.errors import UserError

ABSENT = -1
"""Stands for an optional input that an operator does without."""


class Shape(NamedTuple):
    """A feature map's shape: rows, columns, channels; the channels of a position lie together."""

    height: int
    width: int
    channels: int

    @property
    def positions(self) -> int:
        """Rows times columns."""
        return self.height * self.width

    @property
    def size(self) -> int:
        """Number of elements, which are bytes."""
        return self.height * self.width * self.channels


@dataclass(frozen=True)
class Quantization:
    """real value = scale * (integer - zero point).

    Attributes:
        scales: positive float32 values; one for the whole tensor, or one for each index of `axis`.
        zero_points: one for each scale.
        axis: the dimension along which the scales differ, if there are several.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of the graph.

    Attributes:
        name: as in the file; not always unique.
        shape: as in the file, with the batch of one that activations have in front.
        type: ``int8``, ``float32``, ...
        quantization: None for tensors that are not quantised.
        data: the constant, in the tensor's shape; None for an activation.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    quantization: Quantization | None
    data: NDArray[np.generic] | None


def short_name(name: str) -> str:
    """The first of the names that the converter joins where it fuses operators."""
    return name.split(";", maxsplit=1)[0]


@dataclass(frozen=True)
class Operator:
    """A step of the graph.

    Attributes:
        kind: its name in the schema of TensorFlow Lite: ``CONV_2D``.
        inputs, outputs: indices of tensors; `ABSENT` for an optional input that is not there.
        options: the fields of its options that matter here, as the file has them; enumerations by
            name (``padding``: ``SAME``, ``activation``: ``RELU``).
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int | str]


@dataclass(frozen=True, eq=False)
class Graph:
    """A model: operators in the order in which they run.

    Attributes:
        file: where it was read, for messages.
        inputs, outputs: indices of tensors.
    """

    file: Path
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def fault(self, operator: Operator, reason: str, mend: str) -> UserError:
        """An error that names the file, the operator and the tensor that it writes."""
        names = [self.tensors[index].name for index in operator.outputs]
        written = f", which writes {names[0]!r}" if names else ""
        return UserError(
            f"operator {operator.index} ({operator.kind}{written}): {reason}",
            mend=mend,
            file=self.file,
        )
