"""The record of a family of cores: what all of them have in common, whatever their extensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FamilyName = Literal["cortex_m", "riscv"]


@dataclass(frozen=True)
class Family:
    """A family of cores: one instruction set with its tools.

    How its machine code is read is in `spela_mcu.machine_code`, which has one module a family.

    Attributes:
        name: also in the names of its files: firmware/ports/startup_<name>.c.
        title: as people call it.
        elf_machine: as pyelftools calls the machine of its ELF files.
        gcc: what the names of its GNU tools begin with.
        gcc_package: Debian's package of them.
        qemu: its QEMU.
        qemu_package: Debian's package of that.
        entry: the function that its firmware starts with.
        set_stack: the functions that may set the stack pointer: at the start, and to its top again
            when a fault finds that the stack has overflowed.
        fault_stack_bytes: stack kept for reporting a fault that strikes at its deepest point.
        registers: a core's registers by their names in debuggers, in the order of their numbers.
        link: the register with the address to return to.
    """

    name: FamilyName
    title: str
    elf_machine: str
    gcc: str
    gcc_package: str
    qemu: str
    qemu_package: str
    entry: str
    set_stack: frozenset[str]
    fault_stack_bytes: int
    registers: tuple[str, ...]
    link: str
