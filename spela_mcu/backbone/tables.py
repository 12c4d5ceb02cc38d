"""A whole backbone as C structures: its operators, their tables, and where they find their maps."""

from __future__ import annotations

from dataclasses import dataclass

from spela_mcu.backbone.plan import BackbonePlan, Step
from spela_mcu.backbone.structures import (
    BACKBONE_FIELDS,
    KINDS,
    OPERATOR_FIELDS,
    SAMPLE,
    OperatorStructure,
    operator_structure,
)
from spela_mcu.backbone.tap import Tap
from spela_mcu.fixed_point.fields import number, packed, structure

POINTER_BYTES = 4

TAPS = "taps"
"""The part of the runtime that runs a backbone piece by piece, for layers on its taps."""


@dataclass(frozen=True)
class BackboneStructure:
    """A backbone's structures.

    Attributes:
        scalars: the fields of spela_backbone_t that are not pointers.
        operators: in the order in which they run.
    """

    scalars: dict[str, int]
    operators: tuple[OperatorStructure, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the runtime that run its operators, each once; and taps, if it has some."""
        has_taps = any(one.scalars["kind"] == KINDS[Tap][0] for one in self.operators)
        return (
            *sorted({operator.part for operator in self.operators}),
            *((TAPS,) if has_taps else ()),
        )

    @property
    def flash_bytes(self) -> int:
        """Flash of all structures and tables of a 32-bit core, without gaps between them."""
        tables = sum(
            operator.channels.nbytes + (len(operator.constants[1]) if operator.constants else 0)
            for operator in self.operators
        )
        return (
            structure(BACKBONE_FIELDS).itemsize
            + len(self.operators) * structure(OPERATOR_FIELDS).itemsize
            + (len(self.parts) + 1) * POINTER_BYTES  # and one for any backbone
            + tables
        )

    @property
    def content(self) -> bytes:
        """All that the model's digest depends on: scalars, and tables after their lengths."""
        content = packed(BACKBONE_FIELDS, self.scalars)
        for operator in self.operators:
            content += packed(OPERATOR_FIELDS, operator.scalars)
            constants = operator.constants[1] if operator.constants else b""
            for table in (constants, operator.channels.tobytes()):
                content += number(len(table), "uint32") + table
        return content


def backbone_structure(plan: BackbonePlan) -> BackboneStructure:
    """The structures of a backbone that reads a sample where its caller has it."""

    def offset(index: int) -> int:
        return plan.activations[index].offset if index else SAMPLE

    def operator(step: Step) -> OperatorStructure:
        return operator_structure(
            step.operator,
            tuple(map(offset, step.sources)),
            offset(step.target),
            step.scratch,
        )

    scalars = {
        "arena_bytes": plan.arena_bytes,
        "inputs": plan.sample.shape.size,
        "features": plan.features.shape.size,
        "features_offset": plan.features.offset,
        "sample_offset": plan.sample.offset,
        "operator_count": len(plan.steps),
    }
    return BackboneStructure(scalars, tuple(map(operator, plan.steps)))
