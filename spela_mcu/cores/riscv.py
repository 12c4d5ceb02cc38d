"""RISC-V with 32 bits: the cores of microcontrollers, in machine mode.

No timings: what a core does in how many cycles is up to its maker.
"""

from __future__ import annotations

from spela_mcu.cores.core import NEVER, Core, CpuFlags
from spela_mcu.cores.family import Family

RISCV = Family(
    name="riscv",
    title="RISC-V",
    elf_machine="RISC-V",
    gcc="riscv64-unknown-elf",
    gcc_package="gcc-riscv64-unknown-elf",
    qemu="qemu-system-riscv32",
    qemu_package="qemu-system-misc",
    entry="_start",
    set_stack=frozenset({"_start", "port_trap"}),
    fault_stack_bytes=448,
    registers=(
        *("zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "fp", "s1"),
        *(f"a{number}" for number in range(8)),
        *(f"s{number}" for number in range(2, 12)),
        *("t3", "t4", "t5", "t6", "pc"),
    ),
    link="ra",
)


def _flags(extensions: str) -> CpuFlags:
    """The flags for a core with some extensions beyond the base of integers."""
    features = "".join(f"+{letter}" for letter in extensions)
    return {
        "gcc": (f"-march=rv32i{extensions}", "-mabi=ilp32"),
        "zig": ("-target", "riscv32-freestanding-none", f"-mcpu=generic_rv32{features}"),
    }


_RV32IMC = Core(
    name="rv32imc",
    family=RISCV,
    code_size="rv32imc",
    instructions=("multiplication", "compressed"),
    fpu=NEVER,
    dsp=NEVER,
    mve=NEVER,
    flags=_flags("mc"),
    unicorn="RISCV32_ANY",
)

_RV32IMAC = Core(
    name="rv32imac",
    family=RISCV,
    code_size="rv32imc",
    instructions=("multiplication", "compressed", "atomics"),
    fpu=NEVER,
    dsp=NEVER,
    mve=NEVER,
    flags=_flags("mac"),
    unicorn="RISCV32_ANY",
)

CORES = (_RV32IMC, _RV32IMAC)
