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
from spela_mcu.cores.cortex_m import CORTEX_M

CORES: dict[str, Core] = {core.name: core for core in CORTEX_M}
"""All cores by name, each family from its smallest to its largest."""

__all__ = [
    "ALWAYS",
    "CORES",
    "NEVER",
    "OPTIONAL",
    "CodeSize",
    "CompilerName",
    "Core",
    "CpuFlags",
    "Extension",
    "Timing",
]
