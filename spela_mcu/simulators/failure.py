"""How a simulated firmware failed, described so that its author can find the place."""

from __future__ import annotations

from collections.abc import Mapping

from spela_mcu.firmware.build import Build
from spela_mcu.firmware.elf import Elf
from spela_mcu.simulators.base import SimulationError

REGISTERS_PER_LINE = 5


def failure(
    build: Build, elf: Elf, reason: str, registers: Mapping[str, int] | None = None
) -> SimulationError:
    """What happened, and where the core stood.

    Args:
        build: what ran; its ELF file is named.
        elf: the same, read.
        reason: what happened.
        registers: by name as in `Family.registers`; those that are known.
    """
    known = registers or {}
    place = f", in {place_of(elf, known['pc'])}" if "pc" in known else ""
    if elf.family.link in known:
        place += f", called from {place_of(elf, known[elf.family.link])}"
    words = [f"{name:>4} {value:08x}" for name, value in known.items()]
    lines = (
        "\n  " + " ".join(words[i : i + REGISTERS_PER_LINE])
        for i in range(0, len(words), REGISTERS_PER_LINE)
    )
    return SimulationError(f"the firmware failed: {reason}{place}{''.join(lines)}", file=build.elf)


def place_of(elf: Elf, address: int) -> str:
    """An address as function and offset."""
    function = elf.function_at(address & ~1)
    if function is None:
        return f"0x{address & ~1:08x}"
    return f"{function.name}+0x{(address & ~1) - function.address:x}"
