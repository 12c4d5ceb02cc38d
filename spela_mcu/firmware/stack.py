"""The most stack that a program can use, derived from its machine code.

Machine code is the same evidence for every compiler, and includes the compiler's own library. Each
function is followed along its branches, noting how far the stack pointer is below its value on
entry; the depths of calls then add up along the call graph.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spela_mcu.firmware.disassembly import Instruction, instructions
from spela_mcu.firmware.elf import Elf, Symbol

ENTRY = "Reset_Handler"

_TARGET = re.compile(r"#(0x[0-9a-f]+|\d+)$")
_PUSH_ONE = re.compile(r"\[sp, #-(0x[0-9a-f]+|\d+)\]!$")
_POP_ONE = re.compile(r"\[sp\], #(0x[0-9a-f]+|\d+)$")
_ADJUST = re.compile(r"sp, (?:sp, )?#(0x[0-9a-f]+|\d+)$")
_CONDITIONS = "eq|ne|hs|cs|lo|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_BRANCH = re.compile(rf"(b({_CONDITIONS})?|cbn?z|wls|le)$")
_REGISTERS = re.compile(r"\b([rsd])\d+|\b(?:lr|pc|sb|sl|fp|ip)\b")
_SETS_SP = re.compile(r"(add|sub|mov|ldr|and|bic)s?w?$")

RESTARTS = "Fault_Handler"
"""The one function that may set the stack pointer: to its top, when the stack has overflowed."""

FRAME_POINTER = "sp, r7"
"""Operands of the instruction with which gcc -O0 restores the stack pointer."""


@dataclass(frozen=True)
class StackBound:
    """The worst case.

    Attributes:
        bytes: the greatest depth.
        path: the chain of calls that reaches it, from the entry.
    """

    bytes: int
    path: tuple[str, ...]


@dataclass(frozen=True)
class Frame:
    """One function's use of the stack.

    Attributes:
        bytes: its greatest depth without calls.
        calls: pairs (depth, callee) of every call and tail call.
    """

    bytes: int
    calls: tuple[tuple[int, str], ...]


def worst_case_stack(elf: Elf, entry: str = ENTRY) -> StackBound:
    """The most stack that `entry` and all that it calls can use.

    Raises:
        ValueError: a call goes through a pointer, or calls form a cycle, so that there is no bound.
    """
    frames = stack_frames(elf)
    known: dict[str, StackBound] = {}

    def bound(name: str, above: tuple[str, ...]) -> StackBound:
        if name in above:
            raise ValueError(f"recursion: {' -> '.join((*above, name))}")
        if name not in known:
            frame = frames[name]
            deepest = StackBound(frame.bytes, (name,))
            for depth, callee in frame.calls:
                below = bound(callee, (*above, name))
                if depth + below.bytes > deepest.bytes:
                    deepest = StackBound(depth + below.bytes, (name, *below.path))
            known[name] = deepest
        return known[name]

    return bound(entry, ())


def stack_frames(elf: Elf) -> dict[str, Frame]:
    """Every function's use of the stack.

    Raises:
        ValueError: a call goes through a pointer.
    """
    return {function.name: _frame(elf, function) for function in elf.functions}


def _frame(elf: Elf, function: Symbol) -> Frame:
    steps = own = _steps(elf, function)
    depths: dict[int, int] = {}  # beyond every instruction met so far
    calls: list[tuple[int, str]] = []
    waiting = [(function.address, 0)]
    at_tables = 0
    while waiting:
        address, depth = waiting.pop()
        while address in steps and address not in depths:
            step = steps[address]
            depth += _pushed(step)
            depths[address] = depth
            if _moves_by_register(step) and function.name != RESTARTS:
                raise ValueError(f"{function.name} moves its stack at 0x{address:x}: {step}")
            if step.name == "bl" or _BRANCH.match(step.name):
                target = _target(step)
                if step.name != "bl" and target not in steps and _is_within(elf, target):
                    # libgcc's divisions share their end, which belongs to each of them.
                    steps = _steps(elf, elf.function_at(target)) | steps
                # On ARMv6-M, BL serves as a long jump too, but never to a function's start.
                if target not in steps or (step.name == "bl" and target == function.address):
                    calls.append((depth, _name_at(elf, target)))
                    if calls[-1][1].startswith("__gnu_thumb1_case"):
                        at_tables = max(at_tables, depth)  # it returns into a jump table
                else:
                    waiting.append((target, depth))
            elif step.name == "blx":
                raise ValueError(f"{function.name} calls through a pointer at 0x{address:x}")
            elif _jumps_by_table(step):
                at_tables = max(at_tables, depth)
            if _ends(step):
                break
            address += step.size
        if not waiting:  # code that no branch reaches is reached by a jump table
            waiting = [(address, at_tables) for address in own if address not in depths][:1]
    return Frame(max(depths.values(), default=0), tuple(calls))


def _steps(elf: Elf, function: Symbol | None) -> dict[int, Instruction]:
    if function is None:
        return {}
    end = function.address + function.bytes
    return {step.address: step for step in instructions(elf, function.address, end)}


def _is_within(elf: Elf, address: int) -> bool:
    """Whether an address is inside a function, but not at its start."""
    function = elf.function_at(address)
    return function is not None and function.address != address


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
    if step.name == "mov" and step.operands == FRAME_POINTER:
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


def _name_at(elf: Elf, address: int) -> str:
    function = elf.function_at(address)
    if function is None or function.address != address:
        raise ValueError(f"a call to 0x{address:x}, where no function starts")
    return function.name
