"""The processor cores that firmware can be made for, each described by one record."""

from spela_mcu.cores.core import (
    ALWAYS,
    NEVER,
    OPTIONAL,
    CodeSize,
    CompilerName,
    Core,
    CpuFlags,
    Extension,
    Timing,
)
from spela_mcu.cores.cortex_m import CORES as CORTEX_M_CORES
from spela_mcu.cores.cortex_m import CORTEX_M
from spela_mcu.cores.family import Family, FamilyName
from spela_mcu.cores.riscv import CORES as RISCV_CORES
from spela_mcu.cores.riscv import RISCV

CORES: dict[str, Core] = {core.name: core for core in (*CORTEX_M_CORES, *RISCV_CORES)}
"""All cores by name, each family from its smallest to its largest."""

__all__ = [
    "ALWAYS",
    "CORES",
    "CORTEX_M",
    "NEVER",
    "OPTIONAL",
    "RISCV",
    "CodeSize",
    "CompilerName",
    "Core",
    "CpuFlags",
    "Extension",
    "Family",
    "FamilyName",
    "Timing",
]
