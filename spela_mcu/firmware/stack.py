"""The most stack that a program can use, derived from its machine code.

Machine code is the same evidence for every compiler, and includes the compiler's own library. Each
function is followed along its branches, noting how far the stack pointer is below its value on
entry; the depths of calls then add up along the call graph.
"""

from __future__ import annotations

from dataclasses import dataclass

from spela_mcu.firmware.disassembly import instructions
from spela_mcu.firmware.elf import Elf, Symbol
from spela_mcu.machine_code import Instruction

BOOT_ROM, BOOT_ROM_BYTES = "the boot ROM", 192
"""What some functions call outside of the program, and the most stack that it may use. Compiled by
gcc, the source of RP2040's needs 120 bytes with -Os, as in the chip, and 176 with -O0."""

BY_REGISTER = {
    "port_boot": "Reset_Handler",
    "flash_rp2040_find": BOOT_ROM,
    "flash_rp2040_run": BOOT_ROM,
}
"""The functions of firmware/ that go to an address in a register, and what is there."""


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


def worst_case_stack(elf: Elf, entry: str | None = None) -> StackBound:
    """The most stack that `entry`, by default the firmware's, and all that it calls can use.

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

    return bound(entry or elf.family.entry, ())


def stack_frames(elf: Elf) -> dict[str, Frame]:
    """Every function's use of the stack.

    Raises:
        ValueError: a call goes through a pointer.
    """
    frames = {function.name: _frame(elf, function) for function in elf.functions}
    return frames | {BOOT_ROM: Frame(BOOT_ROM_BYTES, ())}


def _frame(elf: Elf, function: Symbol) -> Frame:
    steps = own = _steps(elf, function)
    depths: dict[int, int] = {}  # beyond every instruction met so far
    calls: list[tuple[int, str]] = []
    waiting = [(function.address, 0)]
    at_tables = 0
    while waiting:
        address, depth = waiting.pop()
        before = None
        while address in steps and address not in depths:
            step = steps[address]
            flow = elf.instruction_set.flow(step)
            depth += flow.pushed
            depths[address] = depth
            if flow.moves_stack and function.name not in elf.family.set_stack:
                raise ValueError(f"{function.name} moves its stack at 0x{address:x}: {step}")
            if flow.target is not None:
                target = flow.target
                if not flow.is_call and target not in steps and _is_within(elf, target):
                    # libgcc's divisions share their end, which belongs to each of them.
                    steps = _steps(elf, elf.function_at(target)) | steps
                # On ARMv6-M, BL serves as a long jump too, but never to a function's start.
                if target not in steps or (flow.is_call and target == function.address):
                    calls.append((depth, _name_at(elf, target)))
                    if calls[-1][1].startswith("__gnu_thumb1_case"):
                        at_tables = max(at_tables, depth)  # it returns into a jump table
                else:
                    waiting.append((target, depth))
            elif flow.is_call_by_pointer:
                calls.append((depth, _called_by_pointer(elf, function, before, step)))
            elif flow.is_jump_by_table:
                at_tables = max(at_tables, depth)
            if flow.ends:
                break
            before = step
            address += step.size
        if not waiting:  # code that no branch reaches is reached by a jump table
            waiting = [(address, at_tables) for address in own if address not in depths][:1]
    return Frame(max(depths.values(), default=0), tuple(calls))


def _called_by_pointer(
    elf: Elf, function: Symbol, before: Instruction | None, step: Instruction
) -> str:
    """The function at the address in a register, if anybody can know it."""
    literal = before and elf.instruction_set.literal(before, step)
    if literal:
        return _name_at(elf, int.from_bytes(elf.read(literal, 4), "little") & ~1)
    if function.name in BY_REGISTER:
        return BY_REGISTER[function.name]
    raise ValueError(f"{function.name} calls through a pointer at 0x{step.address:x}")


def _steps(elf: Elf, function: Symbol | None) -> dict[int, Instruction]:
    if function is None:
        return {}
    end = function.address + function.bytes
    return {step.address: step for step in instructions(elf, function.address, end)}


def _is_within(elf: Elf, address: int) -> bool:
    """Whether an address is inside a function, but not at its start."""
    function = elf.function_at(address)
    return function is not None and function.address != address


def _name_at(elf: Elf, address: int) -> str:
    function = elf.function_at(address)
    if function is None or function.address != address:
        raise ValueError(f"a call to 0x{address:x}, where no function starts")
    return function.name
