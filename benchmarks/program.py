"""A contender's C, built for a core and run there: one counted call per request."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spela_mcu.commands.bench import board_for
from spela_mcu.cores import CORES
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board, load_board
from spela_mcu.firmware.build import Build
from spela_mcu.firmware.directory import ProjectDirectory
from spela_mcu.firmware.elf import read_elf
from spela_mcu.firmware.templates import render
from spela_mcu.firmware.toolchain import Compiler, Optimization
from spela_mcu.resources import resource_directory
from spela_mcu.simulators.base import Simulator
from spela_mcu.simulators.choice import counting_simulator, simulator_named

C_DIRECTORY = Path(__file__).parent / "c"
TIMEOUT_S = 120
UNICORN_BOARDS: Final = {"cortex_m": "mps2-an386", "riscv": "riscv-virt"}
"""Their memory maps serve every core of a family in Unicorn: counts do not depend on them."""

FLOAT_UNITS: Final[dict[str, str]] = {
    "cortex-m4": "fpv4-sp-d16",
    "cortex-m7": "fpv5-d16",
    "cortex-m33": "fpv5-sp-d16",
}
"""The largest floating-point unit that each core can have, by gcc's name."""


@dataclass(frozen=True)
class Program:
    """What a contender is made of, besides the program that drives it.

    Attributes:
        sources: C files.
        includes: directories of headers.
        defines: NAME=VALUE.
        own: our C, compiled as we ship it; else a peer's, compiled as its users do: its warnings do
            not count, and it has the C library and the compiler's built-in knowledge of it.
        needs_float: compiled for the core's floating-point unit, where it can have one.
        stack_bytes: reserved for the stack, generously: what is used of it is measured.
    """

    sources: tuple[Path, ...]
    includes: tuple[Path, ...]
    defines: tuple[str, ...]
    own: bool
    needs_float: bool = False
    stack_bytes: int = 0x2000


@dataclass(frozen=True)
class Place:
    """Where programs run: a board, real or Unicorn's, and its simulator."""

    board: Board
    simulator: Simulator


@dataclass(frozen=True)
class Tools:
    """How programs are built."""

    compiler: Compiler
    optimization: Optimization


@dataclass(frozen=True)
class _View:
    """A program for the ports' templates."""

    board: Board
    stack_bytes: int
    banner: str = "Generated for a benchmark; do not edit."


def place_for(core: str) -> Place:
    """Where a core's programs run: in Unicorn if it knows the core, else on a board in QEMU.

    Raises:
        UserError: no installed simulator can count instructions on it.
    """
    unicorn = simulator_named("unicorn")
    model = load_board(UNICORN_BOARDS[CORES[core].family.name])
    if CORES[core].unicorn is not None and unicorn.is_installed():
        has_dsp = True in CORES[core].dsp
        has_fpu = core in FLOAT_UNITS
        title = f"{core} in Unicorn"
        changes = {"id": core, "title": title, "core": core, "dsp": has_dsp, "fpu": has_fpu}
        return Place(model.model_copy(update=changes), unicorn)
    board = board_for(model, core, "auto")
    simulator = counting_simulator(board, "auto")
    assert simulator is not None  # board_for has made sure
    return Place(board, simulator)


def build_program(
    name: str, program: Program, place: Place, tools: Tools, directory: Path
) -> Build:
    """Compiles and links a program.

    Args:
        name: the name of the ELF file.
        program: what it is made of.
        place: where it will run.
        tools: what builds it.
        directory: for generated files; sources already compiled there in the same way are not
            recompiled. Nothing else may write there.

    Raises:
        UserError: it does not compile, or the C library is wanted and missing.
    """
    board, compiler, optimization = place.board, tools.compiler, tools.optimization
    if not program.own:
        check_c_library(compiler)
    port = directory / f"port-{board.id}"
    port.mkdir(parents=True, exist_ok=True)
    view = _View(board, program.stack_bytes)
    for file in ("board.h", "linker.ld"):
        (port / file).write_text(render(f"{file}.j2", project=view), encoding="utf-8")
    firmware = resource_directory("firmware")
    ports, application = firmware / "ports", firmware / "application"
    drivers = [
        ports / f"startup_{board.family.name}.c",
        ports / f"uart_{board.uart.driver}.c",
        application / "frame.c",
    ]
    if program.own:
        drivers.append(ports / "memory.c")
    flags = _with_float(compiler.compile_flags(board, optimization), program, board)
    if not program.own:
        # Without the compiler's built-in memcpy, a peer's word loads become calls.
        flags += ["-fhosted", "-w"]
    defines = [f"-D{define}" for define in program.defines]
    includes = [f"-I{path}" for path in (C_DIRECTORY, port, ports, application, *program.includes)]
    command = [*compiler.command, *flags, *defines, *includes]
    sources = [*program.sources, C_DIRECTORY / "main.c", *drivers]
    elf = directory / f"{name}.elf"
    objects = _compile(command, sources, directory / "objects")
    link = _with_float(compiler.link_flags(board, str(port / "linker.ld")), program, board)
    if not program.own:
        link.remove("-nostdlib")
        link += ["-lm", "--specs=nosys.specs"]
    _run([*compiler.command, *map(str, objects), *link, "-o", str(elf)])
    return Build(
        project=_project(name, directory, board, optimization),
        compiler=compiler,
        optimization=optimization,
        elf=elf,
        map_file=elf.with_suffix(".map"),
        hex_file=elf.with_suffix(".hex"),
        bin_file=elf.with_suffix(".bin"),
        sections=read_elf(elf).sections,
        warnings="",
    )


def check_c_library(compiler: Compiler) -> None:
    """Checks that a peer's C can be compiled and linked.

    Raises:
        UserError: the compiler has no C library for the chip.
    """
    mend = "Debian, Ubuntu: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi"
    if compiler.name != "gcc":
        raise UserError("the peers need arm-none-eabi-gcc, which has a C library", mend=mend)
    found = _run([*compiler.command, "-print-file-name=nosys.specs"]).strip()
    if not Path(found).is_absolute():
        raise UserError("arm-none-eabi-gcc comes without its C library, newlib", mend=mend)


def _with_float(flags: tuple[str, ...], program: Program, board: Board) -> list[str]:
    """Flags that let a program that needs it use the core's floating-point unit."""
    if not (program.needs_float and board.fpu):
        return list(flags)
    kept = [flag for flag in flags if not flag.startswith("-mfloat-abi")]
    return [*kept, "-mfloat-abi=hard", f"-mfpu={FLOAT_UNITS[board.core]}"]


def _project(
    name: str, directory: Path, board: Board, optimization: Optimization
) -> ProjectDirectory:
    """What a simulator needs to know about a program: its board."""
    return ProjectDirectory(
        path=directory,
        name=name,
        board=board,
        optimization=optimization,
        inference_only=False,
        inputs=0,
        classes=0,
        class_names=(),
        layers=0,
        digest=0,
        infer_macs=0,
        weights="int8",
        batch=1,
        backbone_parts=(),
        has_convolutions=False,
        front_end_parts=(),
        is_continual=False,
        keeps_means=False,
        has_memory_in_flash=False,
        has_softmax=False,
        files={},
    )


def _compile(command: list[str], sources: Iterable[Path], directory: Path) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)

    def compile_one(source: Path) -> Path:
        whole = [*command, "-c", str(source)]
        target = directory / f"{source.stem}-{hash(tuple(whole)) & 2**64 - 1:016x}.o"
        if not target.exists():
            partial = target.with_suffix(".partial.o")
            _run([*whole, "-o", str(partial)])
            partial.replace(target)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sources))


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"the compiler does not run: {error}", mend="try --compiler zig") from error
    if done.returncode != 0:
        raise UserError(
            f"does not compile:\n{done.stderr.strip()[:2000]}",
            mend="if it is of a peer: its version may have another interface; take another",
        )
    return done.stdout
