"""Finds instructions in the linked program that a board's core cannot or must not execute.

Simulators let most of them pass: a simulated Cortex-M0 runs a division, a Cortex-M3 the DSP
extension. So they are recognised by their encodings (`spela_mcu.machine_code`).
"""

from __future__ import annotations

from dataclasses import dataclass

from spela_mcu.cores import CORES, Extension
from spela_mcu.firmware.board import Board
from spela_mcu.firmware.disassembly import instructions
from spela_mcu.firmware.elf import Elf
from spela_mcu.machine_code import UNKNOWN, Instruction, InstructionSet

_REASONS: dict[Extension, str] = {
    "thumb-2": "ARMv6-M has no such instruction",
    "dsp": "the core has no DSP extension",
    "armv8-m": "the core is older than ARMv8-M",
    "armv8.1-m": "the core is older than ARMv8.1-M",
    "mve": "the core has no vector extension (MVE)",
    "floating point": "the firmware uses no floating point, and nobody enables its unit",
    "coprocessor": "the firmware uses no coprocessor",
    "multiplication": "the core has no multiplication (M)",
    "compressed": "the core has no compressed instructions (C)",
    "atomics": "the core has no atomic instructions (A)",
}


@dataclass(frozen=True)
class IllegalInstruction:
    """One finding.

    Attributes:
        address: where it is.
        function: the function it is in, or "?".
        text: the instruction, disassembled or in hexadecimal.
        reason: why it must not be there.
    """

    address: int
    function: str
    text: str
    reason: str

    def __str__(self) -> str:
        return f"0x{self.address:08x} in {self.function}: {self.text}: {self.reason}"


def illegal_instructions(elf: Elf, board: Board) -> tuple[IllegalInstruction, ...]:
    """Everything in a program's code that its board's core cannot or must not execute."""
    found = []
    for step in instructions(elf, 0, 1 << 32):
        reason = _reason(step, board, elf.instruction_set)
        if reason is not None:
            function = elf.function_at(step.address)
            is_decoded = step.name != UNKNOWN
            text = str(step) if is_decoded else f".inst 0x{step.code:0{2 * step.size}x}"
            name = function.name if function is not None else "?"
            found.append(IllegalInstruction(step.address, name, text, reason))
    return tuple(found)


def _reason(step: Instruction, board: Board, instruction_set: InstructionSet) -> str | None:
    try:
        needed = instruction_set.extension(step, mve=board.mve)
    except LookupError:
        return "no core has such an instruction"
    return None if needed is None or needed in _allowed(board) else _REASONS[needed]


def _allowed(board: Board) -> set[Extension]:
    allowed = set(CORES[board.core].instructions)
    if board.dsp:
        allowed.add("dsp")
    if board.mve:
        allowed.add("mve")
    return allowed
