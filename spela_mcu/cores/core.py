"""The record of a core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from spela_mcu.cores.family import Family

CompilerName = Literal["gcc", "zig"]

CpuFlags = Mapping[CompilerName, tuple[str, ...]]
"""The flags that tell each compiler the core."""

CodeSize = Literal["armv6-m", "armv7-m", "rv32imc"]
"""How dense code is: Arm's small instruction set, its large one with all later additions; RISC-V's
with multiplication and compressed instructions."""

Extension = Literal[
    "thumb-2",
    "dsp",
    "armv8-m",
    "armv8.1-m",
    "mve",
    "coprocessor",
    "multiplication",
    "compressed",
    "atomics",
    "floating point",
]
"""What an instruction needs beyond ARMv6-M, or RV32I with the system registers of machine mode;
coprocessors and floating point are forbidden everywhere."""

Possible = tuple[bool, ...]
NEVER: Possible = (False,)
ALWAYS: Possible = (True,)
OPTIONAL: Possible = (False, True)
"""Whether chips with a core have an extension; also the values that a board file may state."""


@dataclass(frozen=True)
class Timing:
    """What instructions of a core cost, in cycles.

    Attributes:
        load, store: of one value.
        next_access: of a load right after a load or store; None: as any other.
        refill: added by a taken branch, to refill the pipeline.
        call: added by BL beyond a taken branch.
        load_pc: added to loading PC from memory, beyond the loads.
        others: by mnemonic, every instruction that does not cost one cycle.
    """

    load: int
    store: int
    next_access: int | None
    refill: int
    call: int
    load_pc: int
    others: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Core:
    """A processor core.

    Attributes:
        name: as in board files and `--core`.
        family: what it has in common with others.
        code_size: which code bounds apply (`spela_mcu.firmware.memory.CODE_BYTES`).
        instructions: what every such core can execute beyond the least of its family.
        fpu, dsp, mve: whether chips with the core have that extension.
        flags: for a core without the optional extension that we use (dsp or mve).
        extended_flags: with that extension; None: there is no choice.
        unicorn: the CPU model's name in Unicorn, without UC_CPU_; None: it has none.
        timing: what its instructions cost; None: the manual does not say.
    """

    name: str
    family: Family
    code_size: CodeSize
    instructions: tuple[Extension, ...]
    fpu: Possible
    dsp: Possible
    mve: Possible
    flags: CpuFlags
    extended_flags: CpuFlags | None = None
    unicorn: str | None = None
    timing: Timing | None = None

    def flags_for(self, compiler: CompilerName, *, dsp: bool, mve: bool) -> tuple[str, ...]:
        """The flags that tell a compiler a board's core and extensions."""
        is_extended = (self.dsp == OPTIONAL and dsp) or (self.mve == OPTIONAL and mve)
        if is_extended and self.extended_flags is not None:
            return self.extended_flags[compiler]
        return self.flags[compiler]
