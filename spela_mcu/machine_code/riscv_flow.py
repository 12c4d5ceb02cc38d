"""What an instruction of RISC-V does to the stack pointer, and where execution goes on.

The unprivileged manual, version 20191213: 2.2 to 2.5 for the formats, 16.2 to 16.8 for compressed
instructions.
"""

from __future__ import annotations

from spela_mcu.machine_code.instruction import Flow, Instruction

RA, SP, T0 = 1, 2, 5
"""Registers by number; T0 as well may hold a return address."""

AUIPC, JAL, JALR, BRANCH, IMMEDIATE, STORE, SYSTEM = 0x17, 0x6F, 0x67, 0x63, 0x13, 0x23, 0x73
"""Opcodes: the lowest seven bits."""

MRET = 0x30200073


def is_branch(code: int) -> bool:
    """Whether an instruction may go on elsewhere than behind it."""
    if code & 3 == 3:
        return code & 0x7F in (JAL, JALR, BRANCH)
    if code & 3 == 1:  # C.JAL, C.J, C.BEQZ, C.BNEZ
        return code >> 13 in (1, 5, 6, 7)
    return code & 0xE07F == 0x8002 and code != 0x9002  # C.JR, C.JALR; not C.EBREAK


def near_target(address: int, code: int, size: int) -> int | None:
    """Where a branch or jump relative to its own address goes; None: it is none."""
    offset = _offset(code, size)
    return None if offset is None else address + offset & 0xFFFFFFFF


def far_target(before: Instruction, code: int) -> int | None:
    """Where a JALR goes that uses the result of the AUIPC before it; None: it is no such pair."""
    register = before.code >> 7 & 31
    is_pair = before.size == 4 and before.code & 0x7F == AUIPC and code & 0x707F == JALR
    if not is_pair or code >> 15 & 31 != register or code >> 7 & 31 not in (0, RA, T0):
        return None
    return before.address + (before.code & 0xFFFFF000) + _signed(code >> 20, 12) & 0xFFFFFFFE


def flow_of(step: Instruction) -> Flow:
    """See `InstructionSet.flow`."""
    if step.name in ("call", "tail"):
        is_call = step.name == "call"
        return Flow(target=int(step.operands, 0), is_call=is_call, ends=not is_call)
    if step.size == 4:
        return _long_flow(step)
    return _short_flow(step)


def _long_flow(step: Instruction) -> Flow:
    code, opcode, written = step.code, step.code & 0x7F, step.code >> 7 & 31
    target = near_target(step.address, code, 4)
    if opcode == JAL:
        return Flow(target=target, is_call=written != 0, ends=written == 0)
    if opcode == BRANCH:
        return Flow(target=target)
    if opcode == JALR:
        return _indirect(written, code >> 15 & 31)
    if code & 0xFFFFF == IMMEDIATE | SP << 7 | SP << 15:  # ADDI sp, sp, n
        return Flow(pushed=-_signed(code >> 20, 12))
    writes = opcode not in (STORE, SYSTEM)
    return Flow(ends=code == MRET, moves_stack=writes and written == SP)


def _short_flow(step: Instruction) -> Flow:
    code, kind = step.code, (step.code & 3, step.code >> 13)
    written, other = code >> 7 & 31, code >> 2 & 31
    target = near_target(step.address, code, 2)
    if target is not None:
        return Flow(target=target, is_call=kind == (1, 1), ends=kind == (1, 5))
    if kind == (1, 3) and written == SP:  # C.ADDI16SP
        return Flow(pushed=-_signed(_picked(code, (6, 2, 5, 3, 4, 12), 4), 10))
    if kind == (1, 0) and written == SP:  # C.ADDI
        return Flow(pushed=-_signed(_picked(code, (2, 3, 4, 5, 6, 12), 0), 6))
    if kind == (2, 4) and other == 0 and code != 0x9002:  # C.JR, C.JALR; not C.EBREAK
        return _indirect(RA if code >> 12 & 1 else 0, written)
    # C.LI, C.SLLI, C.LWSP, C.MV, C.ADD
    writes = kind in ((1, 2), (2, 0), (2, 2)) or (kind == (2, 4) and other != 0)
    return Flow(moves_stack=writes and written == SP)


def _indirect(written: int, source: int) -> Flow:
    """JALR: a call by pointer, a return, or a jump by a table."""
    if written != 0:
        return Flow(is_call_by_pointer=True)
    return Flow(is_jump_by_table=source not in (RA, T0), ends=True)


def _offset(code: int, size: int) -> int | None:
    if size == 4:
        if code & 0x7F == JAL:
            parts = (code >> 21 & 0x3FF, code >> 20 & 1, code >> 12 & 0xFF, code >> 31)
            return _signed(parts[0] << 1 | parts[1] << 11 | parts[2] << 12 | parts[3] << 20, 21)
        if code & 0x7F == BRANCH:
            parts = (code >> 8 & 15, code >> 25 & 63, code >> 7 & 1, code >> 31)
            return _signed(parts[0] << 1 | parts[1] << 5 | parts[2] << 11 | parts[3] << 12, 13)
    elif code & 3 == 1:
        if code >> 13 in (1, 5):  # C.JAL, C.J
            return _signed(_picked(code, (3, 4, 5, 11, 2, 7, 6, 9, 10, 8, 12), 1), 12)
        if code >> 13 in (6, 7):  # C.BEQZ, C.BNEZ
            return _signed(_picked(code, (3, 4, 10, 11, 2, 5, 6, 12), 1), 9)
    return None


def _picked(code: int, bits: tuple[int, ...], lowest: int) -> int:
    """A number whose bits from `lowest` upwards stand at these places of a code."""
    return sum((code >> bit & 1) << place for place, bit in enumerate(bits, lowest))


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (value >> bits - 1 << bits)
