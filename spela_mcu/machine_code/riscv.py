"""RISC-V's machine code, of 32 bits (RISC-V Instruction Set Manual, volume I, version 20191213).

Names and operands are Capstone's. What is asked of stack, branches and extensions is read off the
encodings here.
"""

from __future__ import annotations

from collections.abc import Iterator

from spela_mcu.cores import Extension
from spela_mcu.machine_code.instruction import UNKNOWN, Flow, Instruction, InstructionSet
from spela_mcu.machine_code.riscv_extension import needed_extension
from spela_mcu.machine_code.riscv_flow import far_target, flow_of, is_branch, near_target


class RiscV(InstructionSet):
    """See `InstructionSet`."""

    code_mark = "$x"

    def size(self, code: bytes) -> int:
        """See `InstructionSet` (1.5)."""
        return 4 if code[0] & 3 == 3 else 2

    def decode(self, address: int, code: bytes) -> Iterator[Instruction]:
        """See `InstructionSet`; the second half of a far call is `call` or `tail`."""
        import capstone

        disassembler = capstone.Cs(
            capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC
        )
        before: Instruction | None = None
        while code:
            size = self.size(code)
            word, value = code[:size], int.from_bytes(code[:size], "little")
            decoded = next(disassembler.disasm_lite(word, address), None)
            name, operands = UNKNOWN, f"{value:#0{2 + 2 * size}x}"
            if decoded is not None:
                name, operands = decoded[2], decoded[3]
            target = near_target(address, value, size)
            if target is not None:
                operands = ", ".join((*operands.split(", ")[:-1], f"{target:#x}"))
            elif before is not None and (far := far_target(before, value)) is not None:
                name, operands = ("call" if value >> 7 & 31 else "tail"), f"{far:#x}"
            before = Instruction(address, size, value, name, operands)
            yield before
            address, code = address + size, code[size:]

    def is_branch(self, code: bytes) -> bool:
        """See `InstructionSet`."""
        return is_branch(int.from_bytes(code, "little"))

    def flow(self, step: Instruction) -> Flow:
        """See `InstructionSet`."""
        return flow_of(step)

    def extension(self, step: Instruction, *, mve: bool) -> Extension | None:
        """See `InstructionSet`; without the extensions, a core is of RV32I in machine mode."""
        return needed_extension(step.code)
