"""Embedded compilers: finding one, and telling it which core to compile for."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from spela_mcu.cores import CORES, CORTEX_M, CompilerName, Family
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board

CompilerChoice = Literal["auto", "gcc", "zig"]
Optimization = Literal["O0", "O1", "O2", "O3", "Os"]
OPTIMIZATIONS: tuple[Optimization, ...] = get_args(Optimization)


def core_flags(name: CompilerName, board: Board) -> tuple[str, ...]:
    """Flags that tell a compiler the board's core and the extensions that we use."""
    return CORES[board.core].flags_for(name, dsp=board.dsp, mve=board.mve)


LANGUAGE_FLAGS = (
    "-std=c99",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-g",
)
WARNING_FLAGS = ("-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wpedantic")

VERSION_TIMEOUT_S = 60
"""zig unpacks itself on its first run."""


@dataclass(frozen=True)
class Compiler:
    """An embedded compiler that was found.

    Attributes:
        name: ``gcc`` (arm-none-eabi-gcc and the like) or ``zig`` (clang in pip's ziglang).
        command: the command that runs it.
        version: as it reports it.
    """

    name: CompilerName
    command: tuple[str, ...]
    version: str

    def compile_flags(self, board: Board, optimization: Optimization) -> tuple[str, ...]:
        """Flags that turn one of our C files into an object."""
        return (
            *core_flags(self.name, board),
            f"-{optimization}",
            *(_zig_flags(optimization) if self.name == "zig" else ()),
            *LANGUAGE_FLAGS,
            *WARNING_FLAGS,
        )

    def link_flags(self, board: Board, linker_script: str) -> tuple[str, ...]:
        """Flags that turn objects into an ELF file without any C library."""
        return (
            *core_flags(self.name, board),
            "-nostdlib",
            "-Wl,--gc-sections",
            "-T",
            linker_script,
            *_OWN_LINK_FLAGS[self.name],
            # zig ignores the linker script's ENTRY.
            f"-Wl,-e,{board.family.entry}",
        )


def _zig_flags(optimization: Optimization) -> tuple[str, ...]:
    # zig checks for undefined behaviour by default and calls handlers that a chip does not have.
    flags = ["-fno-sanitize=all", "-fomit-frame-pointer"]
    if optimization in ("O1", "O3"):  # zig treats -O1, -O2 and -O3 alike: as clang's -O2
        flags += ["-Xclang", f"-{optimization}"]
    if optimization != "O3":  # as gcc; otherwise clang makes the kernels three times as large
        flags.append("-fno-unroll-loops")
    return tuple(flags)


# Both supply what the core lacks: 64-bit shifts, and on ARMv6-M divisions and long products.
_OWN_LINK_FLAGS: dict[CompilerName, tuple[str, ...]] = {
    "gcc": ("-nostartfiles", "-lgcc"),
    "zig": ("-lcompiler_rt",),
}


def find_compiler(choice: CompilerChoice = "auto", family: Family = CORTEX_M) -> Compiler:
    """Finds a compiler.

    Args:
        choice: ``auto`` takes the family's gcc when it is on PATH, else zig.
        family: the cores to compile for.

    Raises:
        UserError: it is not installed, or does not run.
    """
    gcc_mend = f"install it (Debian, Ubuntu: apt install {family.gcc_package})"
    mends: dict[CompilerName, str] = {"gcc": gcc_mend, "zig": _ZIG_MEND}
    names: tuple[CompilerName, ...] = ("gcc", "zig") if choice == "auto" else (choice,)
    for name in names:
        command = _gcc(family) if name == "gcc" else _zig()
        if command is not None:
            return Compiler(name, command, _version(command, mends[name]))
    reason, mend = {
        "gcc": (f"{family.gcc}-gcc is not on PATH", gcc_mend),
        "zig": ("the Python package ziglang is not installed", _ZIG_MEND),
        "auto": (f"there is no compiler for {family.title}", f"{_ZIG_MEND}; or {gcc_mend}"),
    }[choice]
    raise UserError(reason, mend=mend)


_ZIG_MEND = "pip install 'spela-mcu[zig]'"


def _gcc(family: Family) -> tuple[str, ...] | None:
    path = shutil.which(f"{family.gcc}-gcc")
    return None if path is None else (path,)


def _zig() -> tuple[str, ...] | None:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        return None
    # The program itself starts ten times faster than the Python module that starts it.
    program = Path(spec.origin).parent / ("zig.exe" if sys.platform == "win32" else "zig")
    start = (str(program),) if program.is_file() else (sys.executable, "-m", "ziglang")
    return (*start, "cc")


@lru_cache(maxsize=8)
def _version(command: tuple[str, ...], mend: str) -> str:
    try:
        done = subprocess.run(
            [*command, "--version"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=VERSION_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"{' '.join(command)} does not run: {error}", mend=mend) from error
    return done.stdout.splitlines()[0].strip()
