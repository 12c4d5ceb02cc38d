"""Cycles of a run, estimated from how often each block of code was executed.

An estimate, since an instruction simulator has no pipeline. It assumes memory without wait states,
no bus contention and no interrupts. What depends on the data or on the pipeline's state costs what
the core's `Timing` says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from spela_mcu.cores import CORES, Timing
from spela_mcu.firmware.disassembly import instructions
from spela_mcu.firmware.elf import Elf
from spela_mcu.machine_code import Instruction

_SINGLE_ACCESS = re.compile(r"(ldr|str)(s?[bh])?$")
_CONDITIONS = "eq|ne|hs|cs|lo|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_CONDITIONAL = re.compile(rf"(?P<name>.+?)({_CONDITIONS})$")
_BRANCH = re.compile(rf"(b({_CONDITIONS})?|cbn?z)$")


def estimate_cycles(elf: Elf, core: str, blocks: Mapping[tuple[int, int], int]) -> int:
    """The cycles that a run takes.

    Args:
        elf: the program.
        core: the name of what it ran on.
        blocks: how often each straight piece of code was executed from its first to its last
            instruction, by (address, bytes).

    Raises:
        ValueError: the core's timings are not published.
    """
    timing = CORES[core].timing
    if timing is None:
        raise ValueError(f"no timings of a {core} are published")
    entered: dict[int, int] = {}
    for (address, _), times in blocks.items():
        entered[address] = entered.get(address, 0) + times
    cycles = 0
    for (address, size), times in blocks.items():
        steps = list(instructions(elf, address, address + size))
        cycles += times * _straight(timing, steps)
        if steps and _BRANCH.match(steps[-1].name):
            # Taken as often as the run does not continue after the branch: exact unless something
            # else jumps there as well.
            behind = entered.get(address + size, 0)
            unconditional = steps[-1].name == "b"
            taken = times if unconditional else max(times - behind, 0)
            cycles += taken * timing.refill
    return cycles


def _straight(timing: Timing, steps: list[Instruction]) -> int:
    """Cycles of the instructions of one block, its last branch not taken."""
    cycles = 0
    follows_access = False
    for step in steps:
        cycles += _one(timing, step, follows_access=follows_access)
        follows_access = bool(_SINGLE_ACCESS.match(_plain(step.name)))
    return cycles


def _plain(name: str) -> str:
    """A mnemonic without the condition that an IT block gives it."""
    match = _CONDITIONAL.fullmatch(name)
    if match and match["name"] not in ("b", "c", "m", "sv", "ml", "umla", "smla", "umul", "smul"):
        return match["name"]
    return name


def _one(timing: Timing, step: Instruction, *, follows_access: bool) -> int:
    name, operands = _plain(step.name), step.operands
    if name.startswith(("ldr", "str", "ldm", "stm")) or name in ("push", "pop"):
        return _access(timing, name, operands, follows_access=follows_access)
    if name in ("bl", "blx"):
        return 1 + timing.refill + timing.call
    if name in ("bx", "tbb", "tbh") or (name in ("mov", "add") and operands.startswith("pc")):
        return 1 + timing.refill + name.startswith("tb")  # the table is read
    return timing.others.get(name, 1)


def _access(timing: Timing, name: str, operands: str, *, follows_access: bool) -> int:
    """Cycles of a load or store."""
    into_pc = name != "push" and "pc" in operands.partition(", [")[0]
    cycles = timing.load_pc if into_pc else 0
    if not _SINGLE_ACCESS.match(name):  # LDM, POP, LDRD and the like
        values = 2 if name in ("ldrd", "strd") else operands.count(",", operands.find("{")) + 1
        return cycles + 1 + values
    if name.startswith("ldr"):
        pipelined = timing.next_access if follows_access else None
        return cycles + (timing.load if pipelined is None else pipelined)
    # On the M3 and M4 an address with an offset in a register takes a cycle of its own.
    offset = operands.partition("[")[2]
    return timing.store + (timing.next_access is not None and ", r" in offset)
