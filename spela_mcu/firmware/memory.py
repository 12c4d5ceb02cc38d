"""The memory plan: the flash and RAM that a project needs, known before it is built.

RAM is exact. Flash is the exact size of the model's tables plus an upper bound of the code, which
depends on the compiler and its optimisation level, but hardly on the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spela_mcu.cores import CORES, CORTEX_M, RISCV, CodeSize, CompilerName, FamilyName
from spela_mcu.firmware.board import Board, Region
from spela_mcu.firmware.boot import boot_bytes
from spela_mcu.firmware.guard import guard_bytes
from spela_mcu.firmware.rehearsal import RehearsalPlan, plan_rehearsal, with_rehearsal
from spela_mcu.firmware.store import StorePlan, plan_store
from spela_mcu.firmware.toolchain import CompilerChoice, Optimization
from spela_mcu.fixed_point.arena import (
    MemoryInFlash,
    arena_bytes,
    buffer_bytes,
    memory_in_flash,
    pending_bytes,
)
from spela_mcu.fixed_point.layout import rounded_up
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.fixed_point.structures import LAYER_BYTES, MODEL_BYTES, table_bytes
from spela_mcu.front_end.structures import front_end_structure
from spela_mcu.spec.learning import Format
from spela_mcu.store.payload import payload_bytes

FAULT_STACK_BYTES = CORTEX_M.fault_stack_bytes
"""Bytes of stack that a Cortex-M keeps for reporting a fault (firmware/ports)."""

STACK_BYTES = 512 + FAULT_STACK_BYTES
"""Bytes of stack on any Cortex-M; `spela_mcu.firmware.stack` bounds what is used."""

FAMILY_STACK_BYTES: dict[FamilyName, int] = {
    "cortex_m": 0,
    "riscv": 192 + RISCV.fault_stack_bytes - FAULT_STACK_BYTES,
}
"""Added by the family: frames of RISC-V are multiples of 16 bytes, and save more registers."""

VECTOR_STACK_BYTES = 128
"""Added if there are vector registers: functions that use them save eight for their caller."""

CONVOLUTION_STACK_BYTES = 384
"""Added if there are convolutions."""

BATCH_STACK_BYTES = 192
"""Added if updates are summed: inference applies them, on top of its own stack."""

CODE_BYTES: dict[CodeSize, dict[CompilerName, dict[Optimization, tuple[int, int]]]] = {
    "armv6-m": {
        "gcc": {
            "O0": (24200, 14700),
            "O1": (13300, 8000),
            "O2": (14000, 8500),
            "O3": (17600, 10200),
            "Os": (11300, 6700),
        },
        "zig": {
            "O0": (21100, 12800),
            "O1": (13400, 8300),
            "O2": (14200, 8400),
            "O3": (24600, 14100),
            "Os": (12500, 7600),
        },
    },
    "armv7-m": {
        "gcc": {
            "O0": (21900, 13500),
            "O1": (11900, 7300),
            "O2": (12500, 7700),
            "O3": (15500, 9000),
            "Os": (10100, 6000),
        },
        "zig": {
            "O0": (20300, 12500),
            "O1": (13100, 8100),
            "O2": (13100, 8100),
            "O3": (24000, 14600),
            "Os": (11400, 6900),
        },
    },
    "rv32imc": {
        "gcc": {
            "O0": (31300, 19200),
            "O1": (14800, 9500),
            "O2": (16000, 10400),
            "O3": (19600, 11900),
            "Os": (13400, 8400),
        },
        "zig": {
            "O0": (25700, 16200),
            "O1": (18200, 11900),
            "O2": (18100, 11900),
            "O3": (22300, 14300),
            "Os": (16500, 10800),
        },
    },
}
"""Upper bounds of code and its constants: (learning, inference only). Measured on every core by
tests/measure_code.py, which prints this table, with headroom for other versions of the compilers;
tests/test_build.py compares them with linked programs."""

PARTS_PERCENT: dict[CodeSize, int] = {"armv6-m": 100, "armv7-m": 100, "rv32imc": 140}
"""What follows was measured on Cortex-M; RISC-V's code is longer by up to so much."""

BATCH_CODE_BYTES: dict[Optimization, int] = {
    "O0": 4600, "O1": 3600, "O2": 3500, "O3": 6700, "Os": 3000,
}  # fmt: skip
"""Added by summing updates (learning.batch), by any compiler on any Cortex-M; measured alike."""

INT16_CODE_BYTES: dict[Optimization, int] = {
    "O0": 2100, "O1": 900, "O2": 900, "O3": 1400, "Os": 800,
}  # fmt: skip
"""Added by int16 weights, by any compiler; tests/measure_code.py prints it as well."""

INT12_CODE_BYTES: dict[Optimization, int] = {
    "O0": 1800, "O1": 1000, "O2": 1000, "O3": 2300, "Os": 1000,
}  # fmt: skip
"""Added by int12 filters, by any compiler: measured on a Cortex-M0 and RISC-V, with headroom."""

STORE_CODE_BYTES: dict[Optimization, int] = {
    "O0": 7600, "O1": 5300, "O2": 5100, "O3": 8100, "Os": 4500,
}  # fmt: skip
"""Added by a store and its driver, by any compiler on any Cortex-M; measured alike."""

CONVOLUTION_CODE_BYTES: dict[Optimization, int] = {
    "O0": 9500, "O1": 10000, "O2": 10000, "O3": 12000, "Os": 5500,
}  # fmt: skip
"""Upper bounds of what convolutions add: measured on a Cortex-M0, with headroom."""

GUARD_CODE_BYTES: dict[Optimization, int] = {
    "O0": 600, "O1": 600, "O2": 600, "O3": 900, "Os": 400,
}  # fmt: skip
"""Added by a guard, its samples apart, by any compiler: measured on a Cortex-M0 and M4, with
headroom."""

CONTINUAL_CODE_BYTES: dict[Optimization, int] = {
    "O0": 6700, "O1": 4100, "O2": 4300, "O3": 7200, "Os": 3600,
}  # fmt: skip
"""Upper bounds of what classes that come and go add, on any core; measured likewise."""

MEANS_CODE_BYTES: dict[Optimization, int] = {
    "O0": 1300, "O1": 1100, "O2": 1500, "O3": 1600, "Os": 1000,
}  # fmt: skip
"""The same of means of such classes, by any compiler: measured on a Cortex-M0 and M4."""

MEMORY_FLASH_CODE_BYTES: dict[Optimization, int] = {
    "O0": 6800, "O1": 6300, "O2": 6300, "O3": 6500, "Os": 4600,
}  # fmt: skip
"""Added by samples that lie in flash, without the flash's driver; measured likewise."""

DRIVER_CODE_BYTES: dict[Optimization, int] = {
    "O0": 1000, "O1": 700, "O2": 700, "O3": 700, "Os": 600,
}  # fmt: skip
"""Of the flash's driver alone, where there is no store; measured likewise."""

SOFTMAX_CODE_BYTES = 1000
"""Added by learning with the softmax loss, by any compiler on any core; measured alike."""

BACKBONE_CODE_BYTES: dict[str, dict[Optimization, int]] = {
    "front": {"O0": 6300, "O1": 3900, "O2": 3900, "O3": 5800, "Os": 2800},
    "convolution": {"O0": 3400, "O1": 2300, "O2": 2500, "O3": 5000, "Os": 2200},
    "depthwise": {"O0": 7200, "O1": 4800, "O2": 4800, "O3": 8600, "Os": 4700},
    "pools": {"O0": 1900, "O1": 1100, "O2": 1200, "O3": 3500, "Os": 900},
    "elementwise": {"O0": 2400, "O1": 2200, "O2": 2200, "O3": 3000, "Os": 1700},
    "taps": {"O0": 2000, "O1": 1400, "O2": 1800, "O3": 2000, "Os": 1300},
    "padding": {"O0": 500, "O1": 300, "O2": 300, "O3": 300, "Os": 300},
}
"""Added by a backbone: for any, and for each part of its runtime that it needs; by any compiler on
any core; measured alike."""

FRONT_END_CODE_BYTES: dict[str, dict[Optimization, int]] = {
    "ring": {"O0": 3000, "O1": 4500, "O2": 4500, "O3": 4800, "Os": 1900},
    "statistics": {"O0": 1000, "O1": 1400, "O2": 1400, "O3": 1500, "Os": 600},
    "spectrum": {"O0": 4200, "O1": 3700, "O2": 3700, "O3": 4000, "Os": 2000},
}
"""Added by a front end: for any, and for each part of its runtime that it needs."""

STATE_STACK_BYTES = 384
"""Added if there is a learned state, for saving, loading and exporting it."""

FRONT_END_STACK_BYTES = 256
"""Added if there is a front end."""

DRIVER_STACK_BYTES = {"rp2040": 256}
"""Added by the store's drivers that call the boot ROM."""

BACKBONE_STACK_BYTES = 640
"""Added if there is a backbone."""

FRAME_HEAD_BYTES = 12
"""Bytes of the frame buffer beyond a sample: head and CRC (APPLICATION_FRAME_BYTES in
firmware/)."""

REQUEST_DATA_BYTES_MIN = 64
"""A request may have as much data as a sample, but at least this much."""

PORT_BYTES = {"nrf52_uarte": 4}
"""RAM of the drivers that use any: DMA buffers."""

FLASH_DRIVER_BYTES = {"rp2040": 64, "stm32l4": 4, "stm32l5": 4}
"""RAM of the store's drivers that use any: code that runs while flash is busy; what an NMI says."""

APPLICATION_STATE_BYTES = 308
"""Bytes of application_t whatever the model: reader, writer, pointer to the network, last
request."""

STORE_STATE_BYTES = 136
"""Added if states are kept in flash: two stores, an import's CRC, and what a start found."""

CLASS_FIGURE_BYTES, NAME_BYTES = 24, 12
LAYER_SETTING_BYTES, KEPT_BYTES = 8, 12
"""Of kept_t in firmware/application/application.h: of a class, of a layer, of the rest."""


@dataclass(frozen=True)
class NetworkMemory:
    """The memory that the network itself needs.

    Attributes:
        inputs: number of values of a sample.
        arena_bytes: RAM: the whole arena.
        buffer_bytes: RAM: the part of the arena that is neither weights nor pending updates.
        pending_bytes: RAM: the part that keeps updates until they are applied.
        table_bytes: flash: embeddings, initial weights, parameters; a backbone's weights.
        weights: their format; the kernels of int16, and the updates of int12, are longer.
        classes, layers: their numbers.
        state_bytes: the learned state in flash, at most.
        backbone_parts: of the runtime, that a backbone needs; empty without one.
        has_convolutions: whether some of the layers are convolutions.
        front_end_parts: of the runtime, that a front end needs; empty without one.
        front_end_bytes: RAM of the front end.
        is_continual: whether classes come and go.
        keeps_means: whether means of such classes are kept, not samples.
        in_flash: what of the rehearsal memory lies in flash; None: nothing does.
        has_softmax: whether the loss is softmax.
    """

    inputs: int
    arena_bytes: int
    buffer_bytes: int
    pending_bytes: int
    table_bytes: int
    weights: Format
    classes: int
    layers: int
    state_bytes: int
    backbone_parts: tuple[str, ...] = ()
    has_convolutions: bool = False
    front_end_parts: tuple[str, ...] = ()
    front_end_bytes: int = 0
    is_continual: bool = False
    keeps_means: bool = False
    in_flash: MemoryInFlash | None = None
    has_softmax: bool = False


@dataclass(frozen=True)
class MemoryPlan:
    """The memory that a project needs, in bytes.

    Attributes:
        code: upper bound, a chip's own boot included.
        tables, weights, buffers, pending, front_end, stack: exact.
        application: exact, including the port's drivers.
        store: where the board keeps states; None: nowhere.
        in_flash: what of the rehearsal memory is to lie in flash; None: nothing.
        rehearsal: where that is, beside all else there; None: nowhere.
    """

    board: Board
    code: int
    tables: int
    weights: int
    buffers: int
    pending: int
    front_end: int
    application: int
    stack: int
    store: StorePlan | None
    in_flash: MemoryInFlash | None = None
    rehearsal: RehearsalPlan | None = None

    @property
    def program(self) -> Region:
        """The flash that the program may have."""
        return with_rehearsal(self.board, self.rehearsal).program

    @property
    def flash(self) -> int:
        """Flash needed, at most."""
        return self.code + self.tables

    @property
    def ram(self) -> int:
        """RAM needed, exactly."""
        network = self.weights + self.buffers + self.pending
        return network + self.front_end + self.application + self.stack

    @property
    def flash_lacking(self) -> int:
        """Bytes of flash by which the project is too large; 0 if it fits."""
        return max(self.flash - self.program.bytes, 0)

    @property
    def ram_lacking(self) -> int:
        """Bytes of RAM by which the project is too large; 0 if it fits."""
        return max(self.ram - self.board.ram.bytes, 0)

    @property
    def fits(self) -> bool:
        """Whether flash and RAM suffice."""
        return not (self.flash_lacking or self.ram_lacking or self.lacks_rehearsal)

    @property
    def lacks_rehearsal(self) -> bool:
        """Whether samples are to lie in flash, and the board has no room for them."""
        return self.in_flash is not None and self.rehearsal is None


def network_memory(
    plan: FixedPointPlan, *, weights_in_flash: bool, inference_only: bool
) -> NetworkMemory:
    """The memory that a network needs, from its plan alone: its weights need not be known.

    Args:
        plan: shapes and formats.
        weights_in_flash: the initial weights are tables, not drawn by the chip.
        inference_only: weights stay in flash.
    """
    sensing = None if plan.front_end is None else front_end_structure(plan.front_end)
    return NetworkMemory(
        inputs=plan.sample_inputs,
        arena_bytes=arena_bytes(plan, inference_only=inference_only),
        buffer_bytes=buffer_bytes(plan, inference_only=inference_only),
        pending_bytes=pending_bytes(plan, inference_only=inference_only),
        table_bytes=table_bytes(plan, weights_in_flash=weights_in_flash),
        weights=plan.weights,
        classes=plan.classes,
        layers=len(plan.matrices),
        state_bytes=payload_bytes(plan),
        backbone_parts=() if plan.front is None else plan.front.parts,
        has_convolutions=plan.has_convolutions,
        front_end_parts=() if sensing is None else sensing.parts,
        front_end_bytes=0 if sensing is None else sensing.ram_bytes,
        is_continual=plan.continual is not None,
        keeps_means=plan.keeps_means,
        in_flash=memory_in_flash(plan),
        has_softmax=plan.loss == "softmax",
    )


def plan_memory(
    network: NetworkMemory,
    board: Board,
    *,
    compiler: CompilerChoice = "auto",
    optimization: Optimization = "O2",
    inference_only: bool = False,
    guard_samples: int = 0,
) -> MemoryPlan:
    """Plans flash and RAM of a project.

    Args:
        network: the memory that the network needs.
        board: the board whose memory is used.
        compiler: with ``auto``, the bound holds for all.
        optimization: the optimisation level.
        inference_only: the learning runtime is left out, and the guard with it.
        guard_samples: of the guard; 0: there is none.
    """
    has_guard = guard_samples > 0 and not inference_only
    sums_updates = network.pending_bytes > 0
    names: tuple[CompilerName, ...] = ("gcc", "zig") if compiler == "auto" else (compiler,)
    code_size = CORES[board.core].code_size
    bounds = CODE_BYTES[code_size]
    kept = kept_bytes(network.classes, network.layers)
    store = None if inference_only else plan_store(board, network.state_bytes, kept)
    rehearsal = plan_rehearsal(board, network.in_flash)
    whole = application_bytes(
        network.arena_bytes,
        network.inputs,
        kept,
        network.layers,
        store_state_bytes(board, store),
    )
    parts = (
        (BATCH_CODE_BYTES[optimization] if sums_updates else 0)
        + (CONVOLUTION_CODE_BYTES[optimization] if network.has_convolutions else 0)
        + (CONTINUAL_CODE_BYTES[optimization] if network.is_continual else 0)
        + (MEANS_CODE_BYTES[optimization] if network.keeps_means else 0)
        + (SOFTMAX_CODE_BYTES if network.has_softmax and not inference_only else 0)
        + (INT16_CODE_BYTES[optimization] if network.weights == "int16" else 0)
        + (INT12_CODE_BYTES[optimization] if network.weights == "int12" else 0)
        + (STORE_CODE_BYTES[optimization] if store is not None else 0)
        + (MEMORY_FLASH_CODE_BYTES[optimization] if rehearsal is not None else 0)
        + (DRIVER_CODE_BYTES[optimization] if rehearsal is not None and store is None else 0)
        + (GUARD_CODE_BYTES[optimization] if has_guard else 0)
        + backbone_code_bytes(network.backbone_parts, optimization)
        + sum(FRONT_END_CODE_BYTES[part][optimization] for part in network.front_end_parts)
    )
    return MemoryPlan(
        board=board,
        code=boot_bytes(board)
        + max(bounds[name][optimization][inference_only] for name in names)
        + PARTS_PERCENT[code_size] * parts // 100,
        tables=network.table_bytes
        + (guard_bytes(guard_samples, network.inputs) if has_guard else 0),
        weights=network.arena_bytes - network.buffer_bytes - network.pending_bytes,
        buffers=network.buffer_bytes,
        pending=network.pending_bytes,
        front_end=network.front_end_bytes,
        application=whole - network.arena_bytes + driver_bytes(board, store, rehearsal),
        stack=stack_bytes(
            board,
            learns=not inference_only,
            sums_updates=sums_updates,
            has_backbone=bool(network.backbone_parts),
            has_convolutions=network.has_convolutions,
            has_front_end=bool(network.front_end_parts),
        ),
        store=store,
        in_flash=network.in_flash,
        rehearsal=rehearsal,
    )


def backbone_code_bytes(parts: Sequence[str], optimization: Optimization) -> int:
    """Upper bound of the code that a backbone's runtime adds."""
    needed = ("front", *parts) if parts else ()
    return sum(BACKBONE_CODE_BYTES[part][optimization] for part in needed)


def stack_bytes(
    board: Board,
    *,
    learns: bool,
    sums_updates: bool,
    has_backbone: bool = False,
    has_convolutions: bool = False,
    has_front_end: bool = False,
) -> int:
    """What the linker script reserves for the stack."""
    return (
        STACK_BYTES
        + FAMILY_STACK_BYTES[board.family.name]
        + (STATE_STACK_BYTES if learns else 0)
        + (DRIVER_STACK_BYTES.get(board.store.driver, 0) if learns and board.store else 0)
        + (VECTOR_STACK_BYTES if board.mve else 0)
        + (BATCH_STACK_BYTES if sums_updates else 0)
        + (BACKBONE_STACK_BYTES if has_backbone else 0)
        + (CONVOLUTION_STACK_BYTES if has_convolutions else 0)
        + (FRONT_END_STACK_BYTES if has_front_end else 0)
    )


def kept_bytes(classes: int, layers: int) -> int:
    """Size of what the application keeps beside the network's state: sizeof(kept_t)."""
    of_classes = classes * (CLASS_FIGURE_BYTES + NAME_BYTES)
    return rounded_up(of_classes + layers * LAYER_SETTING_BYTES + KEPT_BYTES, 8)


def store_state_bytes(board: Board, store: StorePlan | None) -> int:
    """RAM of the application's two stores, with a buffer of a unit each."""
    if store is None or board.store is None:
        return 0
    return STORE_STATE_BYTES + 2 * board.store.unit_bytes


def driver_bytes(board: Board, store: StorePlan | None, rehearsal: RehearsalPlan | None) -> int:
    """RAM of a project's drivers, and of the unit that the rehearsal memory programs at once."""
    size = PORT_BYTES.get(board.uart.driver, 0)
    if (store is not None or rehearsal is not None) and board.store is not None:
        size += FLASH_DRIVER_BYTES.get(board.store.driver, 0)
    return size + (0 if rehearsal is None else rehearsal.unit_bytes)


def application_bytes(arena_bytes: int, inputs: int, kept: int, layers: int, stores: int) -> int:
    """Size of the application's data, arena included: sizeof(application_t) on the chip.

    Args:
        arena_bytes: of the network.
        inputs: values of a sample.
        kept: see `kept_bytes`.
        layers: their number.
        stores: see `store_state_bytes`.
    """
    frame = max(inputs, REQUEST_DATA_BYTES_MIN) + FRAME_HEAD_BYTES
    model = MODEL_BYTES + layers * LAYER_BYTES
    own = model + APPLICATION_STATE_BYTES + stores
    return rounded_up(rounded_up(arena_bytes, 8) + kept + rounded_up(frame, 4) + own, 8)
