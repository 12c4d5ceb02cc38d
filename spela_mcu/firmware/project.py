"""A self-contained C99 project: model, runtime, application, port and how to build them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spela_mcu import __version__
from spela_mcu.firmware.board import Board
from spela_mcu.firmware.boot_rom import boot_rom
from spela_mcu.firmware.guard import GuardSamples
from spela_mcu.firmware.manifest import (
    GENERATOR,
    MANIFEST,
    Manifest,
    ModelFacts,
    content_digests,
)
from spela_mcu.firmware.memory import (
    application_bytes,
    kept_bytes,
    stack_bytes,
    store_state_bytes,
)
from spela_mcu.firmware.model import ModelSource
from spela_mcu.firmware.rehearsal import RehearsalPlan, no_room, plan_rehearsal, with_rehearsal
from spela_mcu.firmware.runtime import runtime_directories
from spela_mcu.firmware.store import StorePlan, plan_store
from spela_mcu.firmware.templates import render
from spela_mcu.firmware.toolchain import Optimization, core_flags
from spela_mcu.forms.cmake import cmake_files
from spela_mcu.forms.form import Form
from spela_mcu.forms.library import Library, make_library
from spela_mcu.resources import resource_directory

SAMPLES = "samples.csv"
GUARD_SAMPLES = "application/guard_samples.c"
MEMORY_FLASH = "application/memory_flash.c"

_RENDERED = {
    "README.md": "README.md.j2",
    "application/application_config.h": "application_config.h.j2",
    "application/firmware.cmake": "firmware.cmake.j2",
    "port/board.h": "board.h.j2",
    "port/linker.ld": "linker.ld.j2",
}

_DRIVER_HEADERS = {
    "stm32_usart": "stm32.h",
    "stm32f7_usart": "stm32.h",
    "nrf51_uart": "nrf.h",
    "nrf52_uarte": "nrf.h",
}
"""What the drivers of one vendor share."""

_RAISE_NMI = ("stm32l4", "stm32l5")
"""Drivers of flash with ECC."""


@dataclass(frozen=True)
class FirmwareProject(Form):
    """A generated project: the library as a package of CMake, and an application for a board.

    Attributes:
        board: the board it runs on; see `with_rehearsal`.
        optimization: the compiler's default optimisation level.
    """

    board: Board
    optimization: Optimization


@dataclass(frozen=True)
class _View:
    """A project for its templates."""

    library: Library
    board: Board
    optimization: Optimization
    application_sources: tuple[str, ...]
    has_samples: bool
    guard: GuardSamples | None
    store: StorePlan | None
    rehearsal: RehearsalPlan | None

    @property
    def model(self) -> ModelSource:
        return self.library.model

    @property
    def inference_only(self) -> bool:
        return self.library.inference_only

    @property
    def banner(self) -> str:
        return self.library.banner

    @property
    def macro_prefix(self) -> str:
        return self.library.macro_prefix

    @property
    def defines(self) -> tuple[str, ...]:
        return self.library.defines

    @property
    def has_backbone(self) -> bool:
        return bool(self.model.backbone_parts)

    @property
    def has_front_end(self) -> bool:
        return bool(self.model.front_end_parts)

    @property
    def application_bytes(self) -> int:
        model = self.model
        return application_bytes(
            model.arena_bytes,
            model.inputs,
            kept_bytes(model.classes, model.layers),
            model.layers,
            store_state_bytes(self.board, self.store),
        )

    @property
    def stack_bytes(self) -> int:
        sums_updates = self.model.batch > 1 and not self.inference_only
        return stack_bytes(
            self.board,
            learns=not self.inference_only,
            sums_updates=sums_updates,
            has_backbone=bool(self.model.backbone_parts),
            has_convolutions=self.model.has_convolutions,
            has_front_end=bool(self.model.front_end_parts),
        )

    @property
    def renode_uart(self) -> str:
        renode = self.board.simulators.renode
        return f"sysbus.{renode.uart}" if renode else ""

    @property
    def toolchain_file(self) -> str:
        """What tells CMake the GNU toolchain."""
        return f"{self.board.family.gcc}.cmake"

    @property
    def rom_words(self) -> tuple[tuple[int, int], ...]:
        rom = boot_rom(self.board)
        return () if rom is None else rom.words

    @property
    def gcc_core_flags(self) -> str:
        return " ".join(core_flags("gcc", self.board))


def include_directories(
    backbone_parts: Sequence[str] = (),
    *,
    inference_only: bool,
    has_convolutions: bool = False,
    front_end_parts: Sequence[str] = (),
    is_continual: bool = False,
) -> tuple[str, ...]:
    """The directories of a project that hold C; see `runtime_directories`."""
    return (
        *runtime_directories(
            backbone_parts,
            inference_only=inference_only,
            has_convolutions=has_convolutions,
            front_end_parts=front_end_parts,
            is_continual=is_continual,
        ),
        "application",
        "port",
    )


def generate_project(
    model: ModelSource,
    board: Board,
    *,
    optimization: Optimization = "O2",
    inference_only: bool = False,
    samples: tuple[NDArray[np.int8], NDArray[np.int64]] | None = None,
    guard: GuardSamples | None = None,
) -> FirmwareProject:
    """Generates a project; equal arguments give equal bytes.

    Args:
        model: the model's C source, generated for inference only if `inference_only` is set.
        board: the board that it will run on.
        optimization: the compiler's default optimisation level.
        inference_only: leave the learning runtime out.
        samples: samples int8 [n, inputs] and labels [n] to try the firmware on.
        guard: what the application's guard works with, if it has one and anything is learned.

    Raises:
        UserError: the board has no room for samples that are to lie in flash.
    """
    library = make_library(model, inference_only=inference_only)
    files = dict(cmake_files(library, optimization))
    files |= _application(board)
    store = None
    rehearsal = plan_rehearsal(board, model.memory_in_flash)
    if model.memory_in_flash is not None and rehearsal is None:
        raise no_room(board, model.memory_in_flash)
    if not inference_only:
        kept = kept_bytes(model.classes, model.layers)
        store = plan_store(board, model.state_bytes, kept)
        has_flash = store is not None or rehearsal is not None
        files |= _flash_driver(board if has_flash else None)
    if samples is not None:
        files[SAMPLES] = samples_text(*samples)
    rendered = dict(_RENDERED)
    if guard is not None and not inference_only:
        rendered[GUARD_SAMPLES] = "guard_samples.c.j2"
    if rehearsal is not None:
        rendered[MEMORY_FLASH] = "memory_flash.c.j2"
    board = with_rehearsal(board, rehearsal)
    view = _View(
        library=library,
        board=board,
        optimization=optimization,
        application_sources=tuple(
            path
            for path in sorted((*files, *rendered))
            if path.startswith(("application/", "port/")) and path.endswith(".c")
        ),
        has_samples=samples is not None,
        guard=None if inference_only else guard,
        store=store,
        rehearsal=rehearsal,
    )
    files |= {path: render(template, project=view) for path, template in rendered.items()}
    files[view.toolchain_file] = render("toolchain.cmake.j2", project=view)
    if board.simulators.renode is not None:
        platform = resource_directory("sim") / "renode" / board.simulators.renode.platform
        files["board.repl"] = platform.read_text(encoding="utf-8")
        files["board.resc"] = render("board.resc.j2", project=view)
    files[MANIFEST] = _manifest(view, files)
    return FirmwareProject(
        form="firmware",
        model=model,
        inference_only=inference_only,
        files=dict(sorted(files.items())),
        board=board,
        optimization=optimization,
    )


def samples_text(x: NDArray[np.int8], y: NDArray[np.int64]) -> str:
    """Samples [n, inputs] and labels [n] as lines of comma-separated integers, label last."""
    rows = np.column_stack((x.astype(np.int64), y))
    return "".join(",".join(map(str, row)) + "\n" for row in rows.tolist())


def _application(board: Board) -> dict[str, str]:
    """The application, and the port of a board without its generated files."""
    firmware = resource_directory("firmware")
    files = {
        f"application/{path.name}": path.read_text(encoding="utf-8")
        for path in sorted((firmware / "application").glob("*.[ch]"))
    }
    ports = {name: name for name in ("port.h", "sections.h", "memory.c")}
    ports["startup.c"] = f"startup_{board.family.name}.c"
    ports["uart.c"] = f"uart_{board.uart.driver}.c"
    if board.uart.driver in _DRIVER_HEADERS:
        header = _DRIVER_HEADERS[board.uart.driver]
        ports[header] = header
    if board.boot is not None:
        ports["boot.c"] = f"boot_{board.boot}.c"
    for target, name in ports.items():
        files[f"port/{target}"] = Path(firmware / "ports" / name).read_text(encoding="utf-8")
    return files


def _flash_driver(board: Board | None) -> dict[str, str]:
    """The driver of a board's store; for None, of no flash at all."""
    firmware = resource_directory("firmware")
    name = "none" if board is None or board.store is None else board.store.driver
    files = {"port/flash.c": firmware / "store" / "drivers" / f"flash_{name}.c"}
    if name in _RAISE_NMI:
        files["port/flash_nmi.h"] = firmware / "store" / "drivers" / "flash_nmi.h"
        files["port/nmi.c"] = firmware / "ports" / "nmi.c"
    return {target: path.read_text(encoding="utf-8") for target, path in files.items()}


def _manifest(view: _View, files: dict[str, str]) -> str:
    model = view.model
    manifest = Manifest(
        generator=GENERATOR,
        version=__version__,
        name=model.name,
        model=ModelFacts(
            digest=model.digest,
            weights=model.weights,
            batch=model.batch,
            backbone_parts=model.backbone_parts,
            has_convolutions=model.has_convolutions,
            front_end_parts=model.front_end_parts,
            front_end_bytes=model.front_end_bytes,
            is_continual=model.is_continual,
            keeps_means=model.keeps_means,
            has_memory_in_flash=model.memory_in_flash is not None,
            has_softmax=model.has_softmax,
            inputs=model.inputs,
            classes=model.classes,
            class_names=model.class_names,
            layers=model.layers,
            infer_macs=model.infer_macs,
            arena_bytes=model.arena_bytes,
            table_bytes=model.table_bytes,
        ),
        inference_only=view.inference_only,
        optimization=view.optimization,
        board=view.board,
        files=content_digests(files),
    )
    return manifest.model_dump_json(indent=2, by_alias=True) + "\n"
