"""How much stack a program can use at most: read off its machine code.

Machine code is the same evidence for every compiler, and includes what the compiler's own library
does. Each function is followed along its branches, noting how far the stack pointer stands below
where it stood on entry; calls then add up along the call graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spela_mcu.firmware.elf import Elf, Symbol

ENTRY = "Reset_Handler"

_TARGET = re.compile(r"#(0x[0-9a-f]+|\d+)$")
_PUSH_ONE = re.compile(r"\[sp, #-(0x[0-9a-f]+|\d+)\]!$")
_POP_ONE = re.compile(r"\[sp\], #(0x[0-9a-f]+|\d+)$")
_ADJUST = re.compile(r"sp, (?:sp, )?#(0x[0-9a-f]+|\d+)$")
_CONDITIONS = "eq|ne|hs|cs|lo|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_BRANCH = re.compile(rf"(b({_CONDITIONS})?|cbn?z)$")


@dataclass(frozen=True)
class StackBound:
    """The worst case.

    Attributes:
        bytes: how deep the stack can get.
        path: the chain of calls that gets there, from the entry.
    """

    bytes: int
    path: tuple[str, ...]


@dataclass(frozen=True)
class _Instruction:
    address: int
    size: int
    name: str
    operands: str


@dataclass(frozen=True)
class Frame:
    """One function's use of the stack.

    Attributes:
        bytes: the deepest it gets by itself.
        calls: (depth, callee) of every call and tail call.
    """

    bytes: int
    calls: tuple[tuple[int, str], ...]


def worst_case_stack(elf: Elf, entry: str = ENTRY) -> StackBound:
    """The most stack that `entry` and all that it calls can use.

    Raises:
        ValueError: a call goes through a pointer, or the calls form a cycle: there is no bound.
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
    steps = {step.address: step for step in _instructions(elf, function)}
    end = function.address + function.bytes
    depths: dict[int, int] = {}  # behind every instruction met so far
    calls: list[tuple[int, str]] = []
    waiting = [(function.address, 0)]
    at_tables = 0
    while waiting:
        address, depth = waiting.pop()
        while address in steps and address not in depths:
            step = steps[address]
            depth += _pushed(step)
            depths[address] = depth
            if step.name == "bl" or _BRANCH.match(step.name):
                target = _target(step)
                if step.name == "bl" or not function.address <= target < end:
                    calls.append((depth, _name_at(elf, target)))
                else:
                    waiting.append((target, depth))
            elif step.name == "blx":
                raise ValueError(f"{function.name} calls through a pointer at 0x{address:x}")
            elif _jumps_by_table(step):
                at_tables = max(at_tables, depth)
            if _ends(step):
                break
            address += step.size
        if not waiting:  # what no branch leads to, a jump table does
            waiting = [(address, at_tables) for address in steps if address not in depths][:1]
    return Frame(max(depths.values(), default=0), tuple(calls))


def _instructions(elf: Elf, function: Symbol) -> Iterator[_Instruction]:
    import capstone

    mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
    disassembler = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    for start, stop in elf.code_ranges:
        first = max(start, function.address)
        last = min(stop, function.address + function.bytes)
        if first < last:
            code = elf.read(first, last - first)
            for address, size, name, operands in disassembler.disasm_lite(code, first):
                yield _Instruction(address, size, name.removesuffix(".w"), operands)


def _pushed(step: _Instruction) -> int:
    """Bytes by which an instruction lowers the stack pointer."""
    name, operands = step.name, step.operands
    if name in ("push", "pop"):
        size = 4 * (operands.count(",") + 1)
        return size if name == "push" else -size
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


def _ends(step: _Instruction) -> bool:
    """Whether what follows in memory is not what is executed next."""
    if step.name in ("pop", "ldm", "ldr", "mov", "add"):
        return "pc" in step.operands.split(", [")[0]
    return step.name in ("b", "bx", "tbb", "tbh", "udf")


def _jumps_by_table(step: _Instruction) -> bool:
    loads_pc = (
        step.name == "ldr" and step.operands.startswith("pc, [") and "sp" not in step.operands
    )
    return loads_pc or step.name in ("tbb", "tbh")


def _target(step: _Instruction) -> int:
    match = _TARGET.search(step.operands)
    if match is None:
        raise ValueError(f"a branch without a target at 0x{step.address:x}: {step}")
    return int(match[1], 0)


def _name_at(elf: Elf, address: int) -> str:
    function = elf.function_at(address)
    if function is None or function.address != address:
        raise ValueError(f"a call to 0x{address:x}, where no function starts")
    return function.name
