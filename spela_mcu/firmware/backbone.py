"""A frozen backbone as C source, for the templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.plan import BackbonePlan, Step
from spela_mcu.backbone.structures import BACKBONE_FIELDS, OPERATOR_FIELDS, OperatorStructure
from spela_mcu.firmware.literals import ScalingLiteral, literal, number_lines
from spela_mcu.fixed_point.fields import POINTER, Field
from spela_mcu.fixed_point.front import FRONT_FIELDS, FrontPlan, front_structure


@dataclass(frozen=True)
class ConstantTable:
    """A constant array.

    Attributes:
        type: of its elements.
        bytes: its size on any core.
    """

    name: str
    title: str
    type: str
    lines: str
    bytes: int


@dataclass(frozen=True)
class OperatorView:
    """One operator: its members in C with their values."""

    title: str
    members: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class BackboneView:
    """What stands before the layers."""

    tables: tuple[ConstantTable, ...]
    operators: tuple[OperatorView, ...]
    parts: tuple[str, ...]
    members: tuple[tuple[str, str], ...]
    scalings: tuple[ScalingLiteral, ...]
    front_members: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, front: FrontPlan) -> BackboneView:
        """The view of a backbone and the scaling of its features."""
        made = front_structure(front)
        plan, operators = front.backbone, made.backbone.operators
        steps = tuple(zip(plan.steps, operators, strict=True))
        return cls(
            tables=tuple(
                table
                for number, (step, one) in enumerate(steps)
                for table in _tables(number, _title(plan, step), one)
            ),
            operators=tuple(
                OperatorView(_title(plan, step), tuple(_members(number, one)))
                for number, (step, one) in enumerate(steps)
            ),
            parts=made.backbone.parts,
            members=_scalars(BACKBONE_FIELDS, made.backbone.scalars),
            scalings=tuple(ScalingLiteral.of(one["offset"], one["scale"]) for one in made.scalings),
            front_members=_scalars(FRONT_FIELDS, made.scalars),
        )


def _title(plan: BackbonePlan, step: Step) -> str:
    maps = [plan.activations[index].shape for index in (step.sources[0], step.target)]
    source, target = ("x".join(map(str, shape)) for shape in maps)
    name = type(step.operator).__name__
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return f"{words.strip()}, {source} to {target}"


def _tables(number: int, title: str, operator: OperatorStructure) -> Iterator[ConstantTable]:
    if operator.constants is not None:
        kind, content = operator.constants
        values = np.frombuffer(content, np.dtype(kind).newbyteorder("<"))
        name = f"operator{number}_constants"
        yield ConstantTable(
            name, f"Operator {number}, {title}: constants.", f"{kind}_t", number_lines(values),
            len(content),
        )  # fmt: skip
    if len(operator.channels):
        yield ConstantTable(
            f"operator{number}_channels",
            f"Operator {number}: {', '.join(operator.channels.dtype.names or ())}.",
            "spela_channel_t",
            _channel_lines(operator.channels),
            operator.channels.nbytes,
        )


def _channel_lines(channels: NDArray[np.void]) -> str:
    return "\n".join(f"    {{ {', '.join(map(str, row))} }}," for row in channels.tolist())


def _members(number: int, operator: OperatorStructure) -> Iterator[tuple[str, str]]:
    shown = {"constants": operator.constants is not None, "channels": len(operator.channels) > 0}
    for field in OPERATOR_FIELDS:
        if field.type == POINTER:
            yield field.name, f"operator{number}_{field.name}" if shown[field.name] else "NULL"
        else:
            yield field.name, literal(field, operator.scalars[field.name])


def _scalars(fields: Sequence[Field], scalars: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (field.name, literal(field, scalars[field.name]))
        for field in fields
        if field.type != POINTER
    )
