"""What an instruction of Thumb needs of a core, by its encoding.

Nothing depends on how a disassembler made for larger cores names it.
"""

from __future__ import annotations

from spela_mcu.cores import Extension
from spela_mcu.machine_code.instruction import UNKNOWN, Instruction


def needed_extension(step: Instruction, *, mve: bool) -> Extension | None:
    """See `InstructionSet.extension`."""
    needed = _short_extension(step.code) if step.size == 2 else long_extension(step.code, mve=mve)
    if needed in (None, "thumb-2") and step.name == UNKNOWN:  # capstone knows all of ARMv7-M
        raise LookupError
    return needed


def _short_extension(code: int) -> Extension | None:
    """What a 16-bit instruction needs (ARMv7-M ARM, A5.2)."""
    if code & 0xF500 == 0xB100:  # CBZ, CBNZ
        return "thumb-2"
    if code & 0xFF00 == 0xBF00 and code & 0xF:  # IT; else a hint
        return "thumb-2"
    return "armv8-m" if code & 0xFF07 == 0x4704 else None  # BXNS, BLXNS


def long_extension(code: int, *, mve: bool) -> Extension | None:
    """What a 32-bit instruction needs (ARMv7-M ARM, A5.3; ARMv8-M ARM, C2.3)."""
    if code & 0xEC000000 == 0xEC000000:
        return _vector_extension(code, mve=mve)
    for extension, patterns in _LONG.items():
        if any(code & mask == value for mask, value in patterns):
            return extension
    if _extends_with_sum(code):
        return "dsp"
    if is_loop(code):
        return "armv8.1-m"
    return None if any(code & mask == value for mask, value in _ARMV6_M) else "thumb-2"


def is_loop(code: int) -> bool:
    """Whether a 32-bit instruction is of ARMv8.1-M's loops and branch futures.

    The encodings were BLX's, which no Cortex-M has.
    """
    return code & 0xF800D000 == 0xF000C000


_ARMV6_M = (
    (0xF800D000, 0xF000D000),  # BL
    (0xFFFFFFF0, 0xF3BF8F40),  # DSB
    (0xFFFFFFF0, 0xF3BF8F50),  # DMB
    (0xFFFFFFF0, 0xF3BF8F60),  # ISB
    (0xFFFFF000, 0xF3EF8000),  # MRS
    (0xFFF0FF00, 0xF3808800),  # MSR
    (0xFFF0F000, 0xF7F0A000),  # UDF
)

_LONG: dict[Extension, tuple[tuple[int, int], ...]] = {
    "dsp": (
        (0xFF80F080, 0xFA80F000),  # parallel additions and subtractions
        (0xFFD0F0C0, 0xFA80F080),  # QADD, QDADD, QSUB, QDSUB; SEL
        (0xFFE0F080, 0xFA20F080),  # SXTB16, UXTB16, SXTAB16, UXTAB16
        (0xFFF08010, 0xEAC00000),  # PKHBT, PKHTB
        (0xFF70F0F0, 0xF3200000),  # SSAT16, USAT16
        (0xFFF000C0, 0xFB100000),  # SMULxy, SMLAxy
        (0xFFE000C0, 0xFB200000),  # SMUAD, SMLAD; SMULWy, SMLAWy
        (0xFFC000C0, 0xFB400000),  # SMUSD, SMLSD; SMMUL, SMMLA; SMMLS; USAD8, USADA8
        (0xFFF00080, 0xFBC00080),  # SMLALxy, SMLALD
        (0xFFF000E0, 0xFBD000C0),  # SMLSLD
        (0xFFF000F0, 0xFBE00060),  # UMAAL
    ),
    "armv8-m": (
        (0xFFE00080, 0xE8C00080),  # loads and stores with acquire and release
        (0xFFF0F03F, 0xE840F000),  # TT
        (0xFFFFFFFF, 0xE97FE97F),  # SG
    ),
    "armv8.1-m": (
        (0xFFF0C000, 0xEA508000),  # CSEL, CSINC, CSINV, CSNEG
        (0xFFFF0000, 0xE89F0000),  # CLRM
    ),
    "mve": ((0xFFF0800D, 0xEA50000D),),  # shifts of two registers
}


def _extends_with_sum(code: int) -> bool:
    """SXTAH, UXTAH, SXTAB, UXTAB: without an addend, ARMv7-M's own SXTH and so on."""
    return code & 0xFF80F080 == 0xFA00F080 and code & 0x000F0000 != 0x000F0000


def _vector_extension(code: int, *, mve: bool) -> Extension:
    """The encodings of coprocessors, floating point and MVE: on most cores, none is allowed."""
    coprocessor = code >> 8 & 15
    is_free = code & 0x03000000 == 0x03000000  # here the field is part of the operation
    # MCR and MRC; MVE uses the other codes of these two.
    transfers = coprocessor >= 14 and code & 0x0F000010 == 0x0E000010
    if not is_free and (coprocessor < 8 or coprocessor in (12, 13) or transfers):
        return "coprocessor"
    if code & 0xFFBF1FFF != _VPST and any(code & mask == value for mask, value in _FLOATING_POINT):
        return "floating point"
    # Loads, stores and moves of vector registers belong to the floating-point unit as well.
    return "mve" if mve or is_free or coprocessor >= 14 else "floating point"


_VPST = 0xFE310F4D
"""Begins a block of predicated instructions; as VPT of half floats it would compare with SP."""

_FLOATING_POINT = (
    # Scalar (ARMv8-M ARM, C2.3.7): single and double, half; not moves and transfers.
    (0xEF000E10, 0xEE000A00),
    (0xEF000F10, 0xEE000900),
    # Vectors of floats: VADD, VSUB, VMUL, VABD, VFMA, VFMS, VMAXNM, VMINNM.
    (0xEF800C00, 0xEF000C00),
    (0xFE000F00, 0xFC000800),  # VCADD, VCMLA
    (0xEFF10FF0, 0xEE300F40),  # VADD, VSUB with a core register
    (0xEFF11FF0, 0xEE310E60),  # VMUL
    (0xEFF10FF0, 0xEE310E40),  # VFMA, VFMAS
    (0xEFF10FF0, 0xEE300E00),  # VCMUL
    (0xEFB10F11, 0xEE310F00),  # VCMP, VPT: equal, unequal
    (0xEFB11F11, 0xEE311F00),  # at least, less
    (0xEFB11F11, 0xEE311F01),  # more, at most
    (0xEFB10F50, 0xEE310F40),  # VCMP, VPT with a core register
    (0xEFFF0F71, 0xEE3F0E01),  # VCVTB, VCVTT, VMAXNMA, VMINNMA
    (0xEFFD0F71, 0xEEEC0F00),  # VMAXNMV, VMINNMV, VMAXNMAV, VMINNMAV
    (0xFFF31F71, 0xFFB10740),  # VABS, VNEG
    (0xFFF31C71, 0xFFB20440),  # VRINT
    (0xFFF31E71, 0xFFB30640),  # VCVT
    (0xFFF31C71, 0xFFB30040),  # VCVTA, VCVTN, VCVTP, VCVTM
    (0xEFA00CD0, 0xEFA00C50),  # VCVT with fixed point
)
