"""What an instruction of Thumb does to the stack pointer, and where execution goes on."""

from __future__ import annotations

import re

from spela_mcu.machine_code.instruction import Flow, Instruction

_TARGET = re.compile(r"#(0x[0-9a-f]+|\d+)$")
_PUSH_ONE = re.compile(r"\[sp, #-(0x[0-9a-f]+|\d+)\]!$")
_POP_ONE = re.compile(r"\[sp\], #(0x[0-9a-f]+|\d+)$")
_ADJUST = re.compile(r"sp, (?:sp, )?#(0x[0-9a-f]+|\d+)$")
_CONDITIONS = "eq|ne|hs|cs|lo|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_BRANCH = re.compile(rf"(b({_CONDITIONS})?|cbn?z|wls|le)$")
_REGISTERS = re.compile(r"\b([rsd])\d+|\b(?:lr|pc|sb|sl|fp|ip)\b")
_LITERAL = re.compile(r"(\w+), \[pc, #(0x[0-9a-f]+|\d+)\]$")
_SETS_SP = re.compile(r"(add|sub|mov|ldr|and|bic)s?w?$")

_FRAME_POINTER = "sp, r7"
"""Operands of the instruction with which gcc -O0 restores the stack pointer."""


def flow_of(step: Instruction) -> Flow:
    """See `InstructionSet.flow`."""
    is_call = step.name == "bl"
    return Flow(
        pushed=_pushed(step),
        target=_target(step) if is_call or _BRANCH.match(step.name) else None,
        is_call=is_call,
        is_call_by_pointer=step.name in ("bx", "blx") and step.operands != "lr",
        is_jump_by_table=_jumps_by_table(step),
        ends=_ends(step),
        moves_stack=_moves_by_register(step),
    )


def literal_of(before: Instruction, step: Instruction) -> int | None:
    """See `InstructionSet.literal`."""
    match = _LITERAL.match(before.operands) if before.name == "ldr" else None
    if match is None or match[1] != step.operands:
        return None
    return (before.address + 4 & ~3) + int(match[2], 0)


def _pushed(step: Instruction) -> int:
    """Bytes by which an instruction lowers the stack pointer."""
    name, operands = step.name, step.operands
    if name in ("push", "pop", "vpush", "vpop"):
        registers = (match[1] for match in _REGISTERS.finditer(operands))
        size = sum(8 if kind == "d" else 4 for kind in registers)
        return size if name.endswith("push") else -size
    if name in ("stmdb", "ldm") and operands.startswith("sp!"):
        size = 4 * operands.count(",")
        return size if name == "stmdb" else -size
    if name in ("sub", "subw", "add", "addw") and (match := _ADJUST.match(operands)):
        size = int(match[1], 0)
        return size if name.startswith("sub") else -size
    if name in ("str", "strd") and (match := _PUSH_ONE.search(operands)):
        return int(match[1], 0)
    if name in ("ldr", "ldrd") and (match := _POP_ONE.search(operands)):
        return -int(match[1], 0)
    return 0


def _ends(step: Instruction) -> bool:
    """Whether execution never continues with the following instruction."""
    if step.name in ("pop", "ldm", "ldr", "mov", "add"):
        return "pc" in step.operands.split(", [")[0]
    return step.name in ("b", "bx", "tbb", "tbh", "udf")


def _moves_by_register(step: Instruction) -> bool:
    """Whether an instruction moves the stack pointer by an amount known only at run time."""
    if step.name == "mov" and step.operands == _FRAME_POINTER:
        return False
    sets = _SETS_SP.match(step.name) and step.operands.startswith("sp, ")
    return bool(sets) and not _ADJUST.match(step.operands)


def _jumps_by_table(step: Instruction) -> bool:
    loads_pc = (
        step.name == "ldr" and step.operands.startswith("pc, [") and "sp" not in step.operands
    )
    moves_pc = step.name in ("mov", "add") and re.match(r"pc, (?!lr$)", step.operands) is not None
    return loads_pc or moves_pc or step.name in ("tbb", "tbh")


def _target(step: Instruction) -> int:
    match = _TARGET.search(step.operands)
    if match is None:
        raise ValueError(f"a branch without a target at 0x{step.address:x}: {step}")
    return int(match[1], 0)
