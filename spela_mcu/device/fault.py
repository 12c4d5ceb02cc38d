"""The fault registers of a Cortex-M in words (ARMv7-M ARM, B3.2.15-18; ARMv8-M, D1.2)."""

from __future__ import annotations

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


def describe_fault(cfsr: int, hfsr: int, mmfar: int, bfar: int) -> str:
    """Causes of a fault.

    Args:
        cfsr: Configurable Fault Status Register; 0 on ARMv6-M, which has none of these registers.
        hfsr: HardFault Status Register.
        mmfar: MemManage Fault Address Register.
        bfar: BusFault Address Register.
    """
    causes = [words for bit, words in _CONFIGURABLE.items() if cfsr >> bit & 1]
    causes += [words for bit, words in _HARD.items() if hfsr >> bit & 1]
    if cfsr & _MMFAR_VALID:
        causes.append(f"address 0x{mmfar:08x}")
    if cfsr & _BFAR_VALID:
        causes.append(f"address 0x{bfar:08x}")
    return ", ".join(causes) or "no cause given (a core without fault status, or an interrupt)"
