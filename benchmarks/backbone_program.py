"""Programs of a benchmark of backbones: compiled, linked and run in a core without surroundings."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from spela_mcu.cores import CORES
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board, load_board
from spela_mcu.firmware.elf import Elf, read_elf
from spela_mcu.firmware.toolchain import Compiler

BOARDS = {"M0+": "nucleo-g071rb", "M3": "mps2-an385", "M4": "mps2-an386"}
"""Of each core that the simulator knows, a board; the M4's has no floating-point unit."""

M4 = BOARDS["M4"]

FLASH, RAM, STACK, BACK = 0x0, 0x20000000, 0x203F0000, 0xFFF0
FLASH_BYTES, RAM_BYTES = 0x200000, 0x400000
SAMPLE = 0x203F8000
"""Where a program may be given a sample."""

LINKER_SCRIPT = """\
SECTIONS {
    .text 0x10000 : { *(.text .text.* .rodata .rodata.*) }
    .data 0x20000000 : { *(.data .data.*) }
    .bss (NOLOAD) : { *(.bss .bss.* COMMON) }
    /DISCARD/ : { *(.ARM.exidx* .ARM.extab*) }
}
"""


@dataclass(frozen=True)
class Library:
    """A contender's kernels, compiled."""

    objects: tuple[Path, ...]
    flags: tuple[str, ...]
    board: Board

    def linked(self, source: str, compiler: Compiler, directory: Path) -> Elf:
        """A program of a generated source and what it needs of the library."""
        directory.mkdir()
        main, script = directory / "main.c", directory / "linker.ld"
        main.write_text(source, encoding="utf-8")
        script.write_text(LINKER_SCRIPT, encoding="utf-8")
        _call([*compiler.command, *self.flags, "-c", str(main), "-o", f"{main}.o"])
        link = list(compiler.link_flags(self.board, str(script)))
        link.remove("-nostdlib")
        link += [
            "-nostartfiles",
            "--specs=nosys.specs",
            "-lm",
            "-Wl,-e,benchmark_run,-u,benchmark_start,-u,benchmark_step",
        ]
        elf = directory / "program.elf"
        _call([*compiler.command, f"{main}.o", *map(str, self.objects), *link, "-o", str(elf)])
        return read_elf(elf)


@dataclass(frozen=True)
class Sources:
    """A contender's kernels in C.

    Attributes:
        root: a directory; `patterns`: the files in it.
        includes: directories of headers.
        flags: for the compiler, besides those of our own C.
    """

    root: Path
    patterns: tuple[str, ...]
    includes: tuple[Path, ...]
    flags: tuple[str, ...] = ()

    def compiled(self, compiler: Compiler, directory: Path, board_id: str = M4) -> Library:
        """The kernels, for a board.

        Raises:
            UserError: they do not compile, or are not there.
        """
        directory.mkdir()
        board = load_board(board_id)
        flags = [*compiler.compile_flags(board, "O2"), "-ffunction-sections"]
        flags += [*self.flags, *(f"-I{folder}" for folder in self.includes)]
        files = sorted({file for pattern in self.patterns for file in self.root.glob(pattern)})
        if not files:
            raise UserError("no sources are there", mend="name a checkout", file=self.root)
        objects = []
        for number, file in enumerate(files):
            objects.append(directory / f"{file.stem}-{number}.o")
            _call([*compiler.command, *flags, "-c", str(file), "-o", str(objects[-1])])
        return Library(tuple(objects), tuple(flags), board)


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(
            f"does not compile:\n{done.stderr.strip()[:2000]}",
            mend="take another version of the peer",
        )


class Core:
    """The core of a board without anything around it, with a program."""

    def __init__(self, program: Elf, board: Board) -> None:
        unicorn: Any = import_module("unicorn")
        arm_const: Any = import_module("unicorn.arm_const")
        self._unicorn, self._registers, self._program = unicorn, arm_const, program
        machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        machine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_{CORES[board.core].unicorn}"))
        machine.mem_map(FLASH, FLASH_BYTES)
        machine.mem_map(RAM, RAM_BYTES)
        for address, content in program.load_segments:
            machine.mem_write(address, content)
        self._machine = machine

    def run(self, symbol: str, *arguments: int) -> int:
        """Calls a function; returns what it returns."""
        machine, registers = self._machine, self._registers
        machine.reg_write(registers.UC_ARM_REG_SP, STACK)
        machine.reg_write(registers.UC_ARM_REG_LR, BACK | 1)
        for number, argument in enumerate(arguments):
            machine.reg_write(getattr(registers, f"UC_ARM_REG_R{number}"), argument)
        machine.emu_start(self._program.by_name[symbol].address | 1, BACK)
        return int(machine.reg_read(registers.UC_ARM_REG_R0))

    def counted(self, symbol: str, *arguments: int) -> tuple[int, Counter[str]]:
        """The same, with the instructions of each function."""
        blocks: Counter[tuple[int, int]] = Counter()

        def note(_machine: object, address: int, size: int, _data: object) -> None:
            blocks[address, size] += 1

        hook = self._machine.hook_add(self._unicorn.UC_HOOK_BLOCK, note)
        result = self.run(symbol, *arguments)
        self._machine.hook_del(hook)
        functions: Counter[str] = Counter()
        for (address, size), times in blocks.items():
            code = bytes(self._machine.mem_read(address, size))
            function = self._program.function_at(address)
            name = function.name if function else "?"
            functions[name] += times * sum(1 for _ in self._program.instruction_set.sizes(code))
        return result, functions

    def read(self, address: int, size: int) -> bytes:
        """Memory."""
        return bytes(self._machine.mem_read(address, size))

    def write(self, address: int, content: bytes) -> None:
        """Memory."""
        self._machine.mem_write(address, content)
