"""What an instruction of RISC-V needs of a core, by its encoding.

The base is RV32I with the control and status registers and the instructions of machine mode, which
every microcontroller has.
"""

from __future__ import annotations

from spela_mcu.cores import Extension


def needed_extension(code: int) -> Extension | None:
    """See `InstructionSet.extension`."""
    return _long(code) if code & 3 == 3 else _short(code)


_SYSTEM = {0x00000073, 0x00100073, 0x30200073, 0x10500073}
"""ECALL, EBREAK, MRET, WFI."""

_FLOATING_POINT = {0x07, 0x27, 0x43, 0x47, 0x4B, 0x4F, 0x53}
"""Opcodes of F and D."""

_KINDS = {
    0x03: (0, 1, 2, 4, 5),  # LB, LH, LW, LBU, LHU
    0x0F: (0, 1),  # FENCE, FENCE.I
    0x23: (0, 1, 2),  # SB, SH, SW
    0x63: (0, 1, 4, 5, 6, 7),  # BEQ, BNE, BLT, BGE, BLTU, BGEU
    0x67: (0,),  # JALR
}
"""The kinds (bits 12 to 14) that the base has of an opcode."""


def _long(code: int) -> Extension | None:
    """Volume I, chapter 24."""
    opcode, kind, seven = code & 0x7F, code >> 12 & 7, code >> 25
    if opcode in _FLOATING_POINT:
        return "floating point"
    if opcode == 0x2F and kind == 2:
        return "atomics"
    if opcode == 0x33 and seven == 1:
        return "multiplication"
    is_base = (
        opcode in (0x17, 0x37, 0x6F)  # AUIPC, LUI, JAL
        or kind in _KINDS.get(opcode, ())
        or (opcode == 0x13 and _is_immediate(kind, seven))
        or (opcode == 0x33 and (seven == 0 or (seven == 0x20 and kind in (0, 5))))
        or (opcode == 0x73 and (kind in (1, 2, 3, 5, 6, 7) or code in _SYSTEM))
    )
    if not is_base:
        raise LookupError
    return None


def _is_immediate(kind: int, seven: int) -> bool:
    """Shifts have no more than five bits of distance; SRAI has a bit of its own."""
    if kind == 1:
        return seven == 0
    return kind != 5 or seven in (0, 0x20)


def _short(code: int) -> Extension:
    """Volume I, 16.8."""
    quadrant, kind, register = code & 3, code >> 13, code >> 7 & 31
    if code == 0:  # never an instruction, so that it traps: fills the gaps between functions
        return "compressed"
    if kind & 3 in (1, 3) and quadrant in (0, 2):
        return "floating point"  # C.FLD, C.FLW and so on
    if quadrant == 0:
        is_known = kind in (2, 6) or (kind == 0 and code & 0x1FE0 != 0)  # C.LW, C.SW, C.ADDI4SPN
    elif quadrant == 1:
        is_known = _is_arithmetic(code) if kind == 4 else kind != 3 or code & 0x107C != 0
    elif kind == 4:
        is_known = code != 0x8002  # C.JR of no register
    else:  # C.SLLI, C.LWSP, C.SWSP
        is_known = not code >> 12 & 1 if kind == 0 else kind == 6 or register != 0
    if not is_known:
        raise LookupError
    return "compressed"


def _is_arithmetic(code: int) -> bool:
    """C.SRLI, C.SRAI, C.ANDI, C.SUB, C.XOR, C.OR, C.AND; with RV32, the others are reserved."""
    return code >> 10 & 3 == 2 or not code >> 12 & 1
