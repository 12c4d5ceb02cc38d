"""Arm's Cortex-M.

Timings: Arm's technical reference manuals, instruction set summaries: Cortex-M0 r0p0 (DDI 0432C,
3.3), Cortex-M0+ r0p1 (DDI 0484C, 3.3), Cortex-M3 r2p1 (DDI 0337I, 3.3), Cortex-M4 r0p1 (DDI 0439D,
3.3). Cores with caches or two pipelines (M7, M33, M55) publish none.
"""

from __future__ import annotations

from spela_mcu.cores.core import ALWAYS, NEVER, OPTIONAL, Core, CpuFlags, Timing
from spela_mcu.cores.family import Family

CORTEX_M = Family(
    name="cortex_m",
    title="Cortex-M",
    elf_machine="ARM",
    gcc="arm-none-eabi",
    gcc_package="gcc-arm-none-eabi",
    qemu="qemu-system-arm",
    qemu_package="qemu-system-arm",
    entry="Reset_Handler",
    set_stack=frozenset({"Fault_Handler"}),
    fault_stack_bytes=256,
    registers=(*(f"r{number}" for number in range(13)), "sp", "lr", "pc", "xpsr"),
    link="lr",
)


def _flags(gcc: str, zig: str, *, float_abi: str = "soft") -> CpuFlags:
    """The flags for a CPU, by each compiler's name for it.

    No object may contain floating-point instructions or need a library that emulates them.
    """
    return {
        "gcc": (f"-mcpu={gcc}", "-mthumb", f"-mfloat-abi={float_abi}"),
        "zig": ("-target", "thumb-freestanding-eabi", f"-mcpu={zig}"),
    }


_BARRIERS = ("dmb", "dsb", "isb", "mrs", "msr")
# Division ends early: 2 to 12 cycles, depending on the operands. Long products on the M3: 3 to 7.
_DIVISION = {"udiv": 12, "sdiv": 12}
_LONG_PRODUCTS = {"mla": 2, "mls": 2, "umull": 5, "smull": 5, "umlal": 7, "smlal": 7}

_M0 = Core(
    name="cortex-m0",
    family=CORTEX_M,
    code_size="armv6-m",
    instructions=(),
    fpu=NEVER,
    dsp=NEVER,
    mve=NEVER,
    flags=_flags("cortex-m0", "cortex_m0"),
    unicorn="ARM_CORTEX_M0",
    timing=Timing(
        load=2,
        store=2,
        next_access=None,
        refill=2,
        call=1,
        load_pc=3,
        others=dict.fromkeys(_BARRIERS, 4),
    ),
)

_M0PLUS = Core(
    name="cortex-m0plus",
    family=CORTEX_M,
    code_size="armv6-m",
    instructions=(),
    fpu=NEVER,
    dsp=NEVER,
    mve=NEVER,
    flags=_flags("cortex-m0plus", "cortex_m0plus"),
    unicorn="ARM_CORTEX_M0",  # the same instructions
    timing=Timing(
        load=2,
        store=2,
        next_access=None,
        refill=1,
        call=1,
        load_pc=2,
        others=dict.fromkeys(_BARRIERS, 3),
    ),
)

_M3 = Core(
    name="cortex-m3",
    family=CORTEX_M,
    code_size="armv7-m",
    instructions=("thumb-2",),
    fpu=NEVER,
    dsp=NEVER,
    mve=NEVER,
    flags=_flags("cortex-m3", "cortex_m3"),
    unicorn="ARM_CORTEX_M3",
    timing=Timing(
        load=2,
        store=1,
        next_access=1,
        refill=2,  # 1 to 3, as on the M4
        call=0,
        load_pc=2,
        others=_LONG_PRODUCTS | _DIVISION,
    ),
)

_M4 = Core(
    name="cortex-m4",
    family=CORTEX_M,
    code_size="armv7-m",
    instructions=("thumb-2",),
    fpu=OPTIONAL,
    dsp=ALWAYS,
    mve=NEVER,
    flags=_flags("cortex-m4", "cortex_m4"),
    unicorn="ARM_CORTEX_M4",
    timing=Timing(load=2, store=1, next_access=1, refill=2, call=0, load_pc=2, others=_DIVISION),
)

_M7 = Core(
    name="cortex-m7",
    family=CORTEX_M,
    code_size="armv7-m",
    instructions=("thumb-2",),
    fpu=OPTIONAL,
    dsp=ALWAYS,
    mve=NEVER,
    flags=_flags("cortex-m7", "cortex_m7"),
    unicorn="ARM_CORTEX_M7",
)

_M33 = Core(
    name="cortex-m33",
    family=CORTEX_M,
    code_size="armv7-m",
    instructions=("thumb-2", "armv8-m"),
    fpu=OPTIONAL,
    dsp=OPTIONAL,
    mve=NEVER,
    flags=_flags("cortex-m33+nodsp", "cortex_m33"),
    extended_flags=_flags("cortex-m33", "cortex_m33+dsp"),
    unicorn="ARM_CORTEX_M33",
)

# Without MVE it is compiled for as an M33, whose code it runs: the little that ARMv8.1-M adds is
# what Renode 1.16.1 gets wrong (docs/simulators.md). gcc offers MVE's integer half only with a
# calling convention that has floating-point registers.
_M55 = Core(
    name="cortex-m55",
    family=CORTEX_M,
    code_size="armv7-m",
    instructions=("thumb-2", "armv8-m", "armv8.1-m"),
    fpu=OPTIONAL,
    dsp=ALWAYS,
    mve=OPTIONAL,
    flags=_flags("cortex-m33", "cortex_m33+dsp"),
    extended_flags=_flags("cortex-m55+nofp", "cortex_m55+mve", float_abi="softfp"),
)

CORES = (_M0, _M0PLUS, _M3, _M4, _M7, _M33, _M55)
