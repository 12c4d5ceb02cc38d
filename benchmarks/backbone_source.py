"""A backbone as a C program: our tables, and the two functions that a benchmark calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.backbone.structures import OperatorStructure
from spela_mcu.backbone.tables import backbone_structure
from spela_mcu.fixed_point.layout import rounded_up


def our_source(plan: BackbonePlan) -> str:
    """The tables, and the two functions that are called."""
    structure = backbone_structure(plan)
    tables: list[str] = []
    operators: list[str] = []
    for number, made in enumerate(structure.operators):
        tables += _our_tables(number, made)
        members = _members(made.scalars)
        members += [f".constants = constants_{number}"] * (made.constants is not None)
        members += [f".channels = channels_{number}"] * bool(made.channels.size)
        operators.append("    {" + ", ".join(members) + "},")
    members = [".operators = operators", *_members(structure.scalars)]
    return "\n".join(
        [
            '#include "spela_backbone.h"',
            *tables,
            "static const spela_operator_t operators[] = {",
            *operators,
            "};",
            f"static const spela_backbone_t backbone = {{{', '.join(members)}}};",
            f"static uint64_t arena[{rounded_up(plan.arena_bytes, 8) // 8}];",
            "uint32_t benchmark_start(void);",
            "const int8_t *benchmark_run(const int8_t *sample);",
            "void benchmark_step(const int8_t *sample, uint32_t step);",
            "uint32_t benchmark_start(void) {",
            "    return spela_backbone_is_valid(&backbone) ? sizeof arena : 0U;",
            "}",
            "const int8_t *benchmark_run(const int8_t *sample) {",
            f"    return spela_backbone_run(&backbone, sample, arena, 0U, {len(plan.steps)}U);",
            "}",
            "void benchmark_step(const int8_t *sample, uint32_t step) {",
            "    spela_backbone_t one = backbone;",
            "    one.operators = &operators[step];",
            "    one.operator_count = 1U;",
            "    (void)spela_backbone_run(&one, sample, arena, 0U, 1U);",
            "}",
            "",
        ]
    )


def _members(scalars: Mapping[str, int]) -> list[str]:
    return [f".{name} = {value}" for name, value in scalars.items()]


def _our_tables(number: int, made: OperatorStructure) -> Iterable[str]:
    if made.constants is not None:
        kind, content = made.constants
        values = np.frombuffer(content, np.dtype(kind).newbyteorder("<")).tolist()
        yield table(f"{kind}_t", f"constants_{number}", values)
    if made.channels.size:
        records = ", ".join("{" + ", ".join(map(_int32, one)) + "}" for one in made.channels)
        yield f"static const spela_channel_t channels_{number}[] = {{{records}}};"


def _int32(value: int) -> str:
    return "INT32_MIN" if value == -(1 << 31) else str(value)


def table(kind: str, name: str, values: Sequence[int]) -> str:
    """A constant array."""
    shown = ", ".join(map(_int32, values))
    return f"static const {kind} {name}[] __attribute__((aligned(4))) = {{{shown}}};"
