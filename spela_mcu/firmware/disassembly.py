"""Disassembles a program, whatever core it is for."""

from __future__ import annotations

from collections.abc import Iterator

from spela_mcu.firmware.elf import Elf
from spela_mcu.machine_code import Instruction


def instructions(elf: Elf, start: int, stop: int) -> Iterator[Instruction]:
    """The instructions of [start, stop), without the literal pools in between."""
    for range_start, range_stop in elf.code_ranges:
        address, end = max(range_start, start), min(range_stop, stop)
        if address < end:
            yield from elf.instruction_set.decode(address, elf.read(address, end - address))
