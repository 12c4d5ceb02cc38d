"""Thumb, the machine code of Cortex-M, whatever its extensions.

Capstone knows ARMv7-M and most of ARMv8-M. What compilers emit besides for ARMv8.1-M, on a
Cortex-M55, is recognised here: an instruction's length is in its first bits, and the one new kind
that changes control flow, low-overhead loops, has an encoding of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from spela_mcu.cores import Extension
from spela_mcu.machine_code.instruction import UNKNOWN, Flow, Instruction, InstructionSet
from spela_mcu.machine_code.thumb_extension import is_loop, needed_extension
from spela_mcu.machine_code.thumb_flow import flow_of, literal_of


class Thumb(InstructionSet):
    """See `InstructionSet`; ARMv7-M ARM, A5, and what later versions add."""

    code_mark = "$t"

    def size(self, code: bytes) -> int:
        """See `InstructionSet` (A5.1)."""
        return 4 if code[1] >> 3 >= 0b11101 else 2

    def decode(self, address: int, code: bytes) -> Iterator[Instruction]:
        """See `InstructionSet`; names are without .w."""
        import capstone

        disassembler = capstone.Cs(
            capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
        )
        while code:
            done = 0
            # In one go: an IT instruction changes the meaning of those after it.
            for at, size, name, operands in disassembler.disasm_lite(code, address):
                value = _value(code[done : done + size])
                yield Instruction(at, size, value, name.removesuffix(".w"), operands)
                done += size
            address, code = address + done, code[done:]
            if code:
                size = self.size(code)
                yield _decoded(address, size, _value(code[:size]))
                address, code = address + size, code[size:]

    def is_branch(self, code: bytes) -> bool:
        """B, B<c>, BL, CBZ and CBNZ, and a few others besides (A5.2, A5.3.4)."""
        first, second = int.from_bytes(code[:2], "little"), int.from_bytes(code[2:], "little")
        if len(code) == 4:
            return first & 0xF800 == 0xF000 and bool(second & 0x8000)
        return first >= 0xD000 or first & 0xF500 == 0xB100

    def flow(self, step: Instruction) -> Flow:
        """See `InstructionSet`."""
        return flow_of(step)

    def literal(self, before: Instruction, step: Instruction) -> int | None:
        """See `InstructionSet`."""
        return literal_of(before, step)

    def extension(self, step: Instruction, *, mve: bool) -> Extension | None:
        """See `InstructionSet`; without the extensions, a core is of ARMv6-M."""
        return needed_extension(step, mve=mve)


def _value(data: bytes) -> int:
    first = int.from_bytes(data[:2], "little")
    return first if len(data) == 2 else first << 16 | int.from_bytes(data[2:], "little")


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
