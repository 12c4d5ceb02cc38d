"""Disassembles Thumb code, whatever core it is for.

Capstone knows ARMv7-M and most of ARMv8-M. What compilers emit besides for ARMv8.1-M, on a
Cortex-M55, is recognised here: an instruction's length is in its first bits, and the one new kind
that changes control flow, low-overhead loops, has an encoding of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spela_mcu.firmware.elf import Elf

UNKNOWN = ".inst"
"""Name of an instruction that is not decoded; its code stands for the operands."""


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        size: 2 or 4 bytes.
        code: 16 bits, or 32 with the first halfword in the upper half.
        name, operands: as in assembly, without .w; a branch's target as an absolute address.
    """

    address: int
    size: int
    code: int
    name: str
    operands: str

    def __str__(self) -> str:
        return f"{self.name} {self.operands}".strip()


def instruction_sizes(code: bytes) -> Iterator[int]:
    """Bytes of each instruction in a stretch of code (ARMv7-M ARM, A5.1)."""
    at = 0
    while at < len(code):
        size = 4 if code[at + 1] >> 3 >= 0b11101 else 2
        yield size
        at += size


def instructions(elf: Elf, start: int, stop: int) -> Iterator[Instruction]:
    """The instructions of [start, stop), without the literal pools in between."""
    import capstone

    disassembler = capstone.Cs(
        capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
    )
    for range_start, range_stop in elf.code_ranges:
        address, end = max(range_start, start), min(range_stop, stop)
        while address < end:
            base, code = address, elf.read(address, end - address)
            # In one go: an IT instruction changes the meaning of those after it.
            for at, size, name, operands in disassembler.disasm_lite(code, address):
                value = _value(code[at - base :][:size])
                yield Instruction(at, size, value, name.removesuffix(".w"), operands)
                address = at + size
            if address < end:
                size = next(instruction_sizes(elf.read(address, end - address)))
                yield _decoded(address, size, _value(elf.read(address, size)))
                address += size


def _value(data: bytes) -> int:
    first = int.from_bytes(data[:2], "little")
    return first if len(data) == 2 else first << 16 | int.from_bytes(data[2:], "little")


def is_loop(code: int) -> bool:
    """Whether a 32-bit instruction is of ARMv8.1-M's loops and branch futures.

    The encodings were BLX's, which no Cortex-M has.
    """
    return code & 0xF800D000 == 0xF000C000


def _decoded(address: int, size: int, code: int) -> Instruction:
    """WLS and LE, WLSTP and LETP included (ARMv8.1-M ARM, C2.4); anything else is unknown."""
    if size == 4 and is_loop(code) and code & 0x07802001 == 0x00000001:
        distance = (code & 0x7FE) << 1 | (code >> 11 & 1) << 1
        backwards = code & 0x000F0000 == 0x000F0000
        target = address + 4 + (-distance if backwards else distance)
        # An LE without LR always goes back.
        name = "wls" if not backwards else "b" if code >> 20 & 3 == 2 else "le"
        return Instruction(address, size, code, name, f"#{target:#x}")
    return Instruction(address, size, code, UNKNOWN, f"{code:#0{2 + 2 * size}x}")
