"""What a core tells of a fault, in words.

Cortex-M: ARMv7-M ARM, B3.2.15-18; ARMv8-M, D1.2. RISC-V: the privileged manual, 3.1.15 and 3.1.16.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_CONFIGURABLE = {
    0: "instruction fetch not permitted",
    1: "data access not permitted",
    3: "access not permitted on return from an exception",
    4: "access not permitted on entry to an exception",
    5: "access not permitted while saving floating-point state",
    8: "bus error on instruction fetch",
    9: "bus error on data access",
    10: "bus error on an earlier data access",
    11: "bus error on return from an exception",
    12: "bus error on entry to an exception",
    13: "bus error while saving floating-point state",
    16: "undefined instruction",
    17: "invalid state: a jump to an even address",
    18: "invalid return from an exception",
    19: "coprocessor or floating-point unit not enabled",
    20: "stack overflow",
    24: "unaligned access",
    25: "division by zero",
}
_MMFAR_VALID, _BFAR_VALID = 1 << 7, 1 << 15
_HARD = {1: "vector table not readable", 31: "breakpoint without a debugger"}


TRAP_CAUSES = {
    0: "jump to a misaligned address",
    1: "instruction fetch not permitted",
    2: "illegal instruction",
    3: "breakpoint",
    4: "misaligned load",
    5: "load not permitted",
    6: "misaligned store",
    7: "store not permitted",
    8: "environment call",
    11: "environment call",
}
_WITH_VALUE = dict.fromkeys((0, 1, 4, 5, 6, 7), "address") | {2: "code"}
"""What MTVAL may tell, by the cause."""


@dataclass(frozen=True)
class CortexMFault:
    """The fault of a Cortex-M.

    Attributes:
        cfsr: Configurable Fault Status Register; 0 on ARMv6-M, which has none of these registers.
        hfsr: HardFault Status Register.
        mmfar: MemManage Fault Address Register.
        bfar: BusFault Address Register.
        registers: pc, lr and xpsr where it happened; none if the stack had overflowed.
    """

    cfsr: int
    hfsr: int
    mmfar: int
    bfar: int
    registers: dict[str, int]

    @property
    def place(self) -> str:
        """Where it happened."""
        pc = self.registers.get("pc")
        return "with an overflowed stack" if pc is None else f"at 0x{pc:08x}"

    @property
    def causes(self) -> str:
        """Why."""
        causes = [words for bit, words in _CONFIGURABLE.items() if self.cfsr >> bit & 1]
        causes += [words for bit, words in _HARD.items() if self.hfsr >> bit & 1]
        if self.cfsr & _MMFAR_VALID:
            causes.append(f"address 0x{self.mmfar:08x}")
        if self.cfsr & _BFAR_VALID:
            causes.append(f"address 0x{self.bfar:08x}")
        unknown = "no cause given (a core without fault status, or an interrupt)"
        return ", ".join(causes) or unknown


@dataclass(frozen=True)
class RiscVTrap:
    """The trap of a RISC-V core.

    Attributes:
        mcause, mtval, mstatus: as the core set them.
        registers: pc, ra and sp where it happened.
    """

    mcause: int
    mtval: int
    mstatus: int
    registers: dict[str, int]

    @property
    def place(self) -> str:
        """Where it happened."""
        return f"at 0x{self.registers['pc']:08x}"

    @property
    def causes(self) -> str:
        """Why."""
        if self.mcause >> 31:
            return f"unexpected interrupt {self.mcause & 0x7FFFFFFF}"
        cause = TRAP_CAUSES.get(self.mcause, f"trap {self.mcause}")
        if self.mtval == 0 or self.mcause not in _WITH_VALUE:
            return cause
        return f"{cause}, {_WITH_VALUE[self.mcause]} 0x{self.mtval:08x}"


RISCV_WORDS = 6
"""Of a RISC-V core's report; a Cortex-M's has 4 or 7."""


def read_fault(report: bytes) -> CortexMFault | RiscVTrap:
    """What the body of a fault's frame tells (docs/protocol.md, "Faults")."""
    words = [word for (word,) in struct.iter_unpack("<I", report[: len(report) // 4 * 4])]
    if len(words) == RISCV_WORDS:
        mcause, mtval, mstatus, *others = words
        return RiscVTrap(mcause, mtval, mstatus, dict(zip(("pc", "ra", "sp"), others, strict=True)))
    cfsr, hfsr, mmfar, bfar = (words + [0] * 4)[:4]
    registers = dict(zip(("pc", "lr", "xpsr"), words[4:7], strict=False))
    return CortexMFault(cfsr, hfsr, mmfar, bfar, registers)
