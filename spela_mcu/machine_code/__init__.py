"""How machine code is read: one instruction set a family of cores."""

from spela_mcu.cores import FamilyName
from spela_mcu.machine_code.instruction import UNKNOWN, Flow, Instruction, InstructionSet
from spela_mcu.machine_code.riscv import RiscV
from spela_mcu.machine_code.thumb import Thumb

INSTRUCTION_SETS: dict[FamilyName, InstructionSet] = {"cortex_m": Thumb(), "riscv": RiscV()}

__all__ = ["INSTRUCTION_SETS", "UNKNOWN", "Flow", "Instruction", "InstructionSet"]
