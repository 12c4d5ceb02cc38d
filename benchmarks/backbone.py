"""Frozen backbones on a Cortex-M4: our kernels beside CMSIS-NN's, on the same .tflite models.

CMSIS-NN's are called as TensorFlow Lite Micro calls them, but without its interpreter, whose own
instructions are therefore not in the count. From the repository's root:

    python -m benchmarks.backbone --models DIRECTORY --cmsis-nn CMSIS-NN
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks import backbone_source
from benchmarks.report import Benchmark, Report, Table, report_options
from spela_mcu.backbone.load import read_backbone
from spela_mcu.backbone.network import run
from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.disassembly import instruction_sizes
from spela_mcu.firmware.elf import Elf, read_elf
from spela_mcu.firmware.toolchain import Compiler, find_compiler
from spela_mcu.resources import resource_directory

BOARD = "mps2-an386"
"""A Cortex-M4 with the DSP extension and without a floating-point unit."""

FLASH, RAM, STACK, BACK = 0x0, 0x20000000, 0x203F0000, 0xFFF0
FLASH_BYTES, RAM_BYTES = 0x200000, 0x400000
SAMPLE = 0x203F8000

LINKER_SCRIPT = """\
ENTRY(benchmark_run)
SECTIONS {
    .text 0x10000 : { *(.text .text.* .rodata .rodata.*) }
    .data 0x20000000 : { *(.data .data.*) }
    .bss (NOLOAD) : { *(.bss .bss.* COMMON) }
    /DISCARD/ : { *(.ARM.exidx* .ARM.extab*) }
}
"""

OUR_SOURCES = ("spela/spela_kernels*.c", "backbone/*.c")
THEIR_SOURCES = (
    *("ConvolutionFunctions/*_s8*.c", "ConvolutionFunctions/*_s8_s16.c"),
    *("PoolingFunctions/*_s8.c", "PoolingFunctions/*buffer_sizes_s8.c"),
    *("BasicMathFunctions/arm_elementwise_add_s8.c", "FullyConnectedFunctions/*_s8.c"),
    *("NNSupportFunctions/*s8*.c", "NNSupportFunctions/*q7*.c"),
)


@dataclass(frozen=True)
class Cost:
    """What one inference took.

    Attributes:
        instructions: in total; `functions`: by function.
        text_bytes: code that was linked, without the C library and without constants.
        arena_bytes: activations and scratch.
    """

    instructions: int
    functions: Mapping[str, int]
    text_bytes: int
    arena_bytes: int


@dataclass(frozen=True)
class Library:
    """A contender's kernels, compiled."""

    objects: tuple[Path, ...]
    flags: tuple[str, ...]

    def linked(self, source: str, compiler: Compiler, directory: Path) -> Elf:
        """A program of a generated source and what it needs of the library."""
        directory.mkdir()
        main, script = directory / "main.c", directory / "linker.ld"
        main.write_text(source, encoding="utf-8")
        script.write_text(LINKER_SCRIPT, encoding="utf-8")
        board = load_board(BOARD)
        _call([*compiler.command, *self.flags, "-c", str(main), "-o", f"{main}.o"])
        link = [flag for flag in compiler.link_flags(board, str(script)) if flag != "-nostdlib"]
        link += ["-nostartfiles", "--specs=nosys.specs", "-lm", "-Wl,-u,benchmark_start"]
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

    def compiled(self, compiler: Compiler, directory: Path) -> Library:
        """The kernels.

        Raises:
            UserError: they do not compile, or are not there.
        """
        directory.mkdir()
        flags = [*compiler.compile_flags(load_board(BOARD), "O2"), "-ffunction-sections"]
        flags += [*self.flags, *(f"-I{folder}" for folder in self.includes)]
        files = sorted({file for pattern in self.patterns for file in self.root.glob(pattern)})
        if not files:
            raise UserError("no sources are there", mend="name a checkout", file=self.root)
        objects = []
        for number, file in enumerate(files):
            objects.append(directory / f"{file.stem}-{number}.o")
            _call([*compiler.command, *flags, "-c", str(file), "-o", str(objects[-1])])
        return Library(tuple(objects), tuple(flags))


def our_sources() -> Sources:
    """The runtime."""
    firmware = resource_directory("firmware")
    return Sources(firmware, OUR_SOURCES, (firmware / "spela", firmware / "backbone"))


def their_sources(checkout: Path) -> Sources:
    """CMSIS-NN, compiled as its users do: its warnings do not count."""
    return Sources(checkout / "Source", THEIR_SOURCES, (checkout / "Include",), ("-fhosted", "-w"))


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(
            f"does not compile:\n{done.stderr.strip()[:2000]}",
            mend="take another version of the peer",
        )


class Core:
    """A Cortex-M4 without anything around it, with a program."""

    def __init__(self, program: Elf) -> None:
        unicorn: Any = import_module("unicorn")
        arm_const: Any = import_module("unicorn.arm_const")
        self._unicorn, self._registers, self._program = unicorn, arm_const, program
        machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        machine.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M4)
        machine.mem_map(FLASH, FLASH_BYTES)
        machine.mem_map(RAM, RAM_BYTES)
        for address, content in program.load_segments:
            machine.mem_write(address, content)
        self._machine = machine

    def run(self, symbol: str, argument: int = 0) -> int:
        """Calls a function; returns what it returns."""
        machine, registers = self._machine, self._registers
        machine.reg_write(registers.UC_ARM_REG_SP, STACK)
        machine.reg_write(registers.UC_ARM_REG_LR, BACK | 1)
        machine.reg_write(registers.UC_ARM_REG_R0, argument)
        machine.emu_start(self._program.by_name[symbol].address | 1, BACK)
        return int(machine.reg_read(registers.UC_ARM_REG_R0))

    def counted(self, symbol: str, argument: int) -> tuple[int, Counter[str]]:
        """The same, with the instructions of each function."""
        blocks: Counter[tuple[int, int]] = Counter()

        def note(_machine: object, address: int, size: int, _data: object) -> None:
            blocks[address, size] += 1

        hook = self._machine.hook_add(self._unicorn.UC_HOOK_BLOCK, note)
        result = self.run(symbol, argument)
        self._machine.hook_del(hook)
        functions: Counter[str] = Counter()
        for (address, size), times in blocks.items():
            code = bytes(self._machine.mem_read(address, size))
            function = self._program.function_at(address)
            name = function.name if function else "?"
            functions[name] += times * sum(1 for _ in instruction_sizes(code))
        return result, functions

    def read(self, address: int, size: int) -> bytes:
        """Memory."""
        return bytes(self._machine.mem_read(address, size))

    def write(self, address: int, content: bytes) -> None:
        """Memory."""
        self._machine.mem_write(address, content)


def measured(program: Elf, plan: BackbonePlan, sample: NDArray[np.int8]) -> Cost:
    """What one inference takes; its features are numpy's.

    Raises:
        UserError: they are not.
    """
    core = Core(program)
    core.write(SAMPLE, sample.tobytes())
    arena = core.run("benchmark_start")
    if arena == 0:
        raise UserError("the backbone is refused", mend="report it")
    features, functions = core.counted("benchmark_run", SAMPLE)
    if core.read(features, plan.features.shape.size) != run(plan, sample[None]).tobytes():
        raise UserError("the features differ from numpy's", mend="take a version that is as exact")
    text = sum(
        symbol.bytes
        for symbol in program.symbols
        if symbol.name.startswith(("spela_", "arm_")) and symbol.is_function
    )
    return Cost(functions.total(), dict(functions.most_common()), text, arena)


def by_kind(plan: BackbonePlan) -> dict[str, int]:
    """Multiply-accumulates of each kind of operator."""
    macs: Counter[str] = Counter()
    for step in plan.steps:
        macs[type(step.operator).__name__] += step.operator.macs
    return {name: count for name, count in macs.items() if count}


@click.command(cls=Benchmark)
@click.option(
    "--models", type=click.Path(path_type=Path, exists=True), metavar="DIR", required=True,
    help="A directory of int8 .tflite models.",
)  # fmt: skip
@click.option("--cmsis-nn", type=click.Path(path_type=Path), metavar="DIR", help="A checkout.")
@report_options
def command(*, models: Path, cmsis_nn: Path | None, as_json: bool, markdown: Path | None) -> None:
    """Count instructions and bytes of frozen backbones on a Cortex-M4."""
    compiler = find_compiler("gcc")
    found: list[dict[str, Any]] = []
    rows = []
    files = sorted(models.glob("*.tflite"))
    if not files:
        raise UserError("no .tflite is there", mend="name another directory", file=models)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        our_library = our_sources().compiled(compiler, place / "our-objects")
        their_library = None
        if cmsis_nn is not None:
            their_library = their_sources(cmsis_nn).compiled(compiler, place / "their-objects")
        for file in files:
            plan = read_backbone(file)
            sample = _sample(plan)
            work = place / file.stem
            work.mkdir()
            program = our_library.linked(backbone_source.our_source(plan), compiler, work / "ours")
            ours = measured(program, plan, sample)
            theirs = None
            if their_library is not None:
                program = their_library.linked(
                    backbone_source.their_source(plan), compiler, work / "theirs"
                )
                theirs = measured(program, plan, sample)
            found.append(
                {
                    "model": file.stem,
                    "macs": plan.macs,
                    "macs_by_kind": by_kind(plan),
                    "ours": asdict(ours),
                    "cmsis_nn": None if theirs is None else asdict(theirs),
                }
            )
            rows.append(_row(file.stem, plan, ours, theirs))
    heads: tuple[str, ...] = ("model", "MACs", "instructions", "a MAC", "code", "arena")
    if cmsis_nn is not None:
        heads += ("CMSIS-NN", "ours / theirs", "their code", "maps and their buffers")
    title = "A whole inference on a Cortex-M4, up to the features"
    conditions = (compiler.version, "Unicorn, -O2; kernels alone, without an interpreter")
    words = "python -m benchmarks.backbone --models MODELS"
    words += " --cmsis-nn CMSIS-NN" * (cmsis_nn is not None)
    table = Table(title, heads, tuple(rows), words=1)
    data = {"conditions": conditions, "measurements": found}
    Report("backbone", words, conditions, (table,), data).emit(as_json=as_json, markdown=markdown)


def _sample(plan: BackbonePlan) -> NDArray[np.int8]:
    rng = np.random.default_rng(1)
    return rng.integers(-128, 128, plan.sample.shape.size).astype(np.int8)


def _row(name: str, plan: BackbonePlan, ours: Cost, theirs: Cost | None) -> tuple[str, ...]:
    row = (
        name,
        f"{plan.macs:,}",
        f"{ours.instructions:,}",
        f"{ours.instructions / plan.macs:.2f}",
        f"{ours.text_bytes:,}",
        f"{ours.arena_bytes:,}",
    )
    if theirs is None:
        return row
    return (
        *row,
        f"{theirs.instructions:,}",
        f"{ours.instructions / theirs.instructions:.2f}",
        f"{theirs.text_bytes:,}",
        f"{theirs.arena_bytes:,}",
    )


if __name__ == "__main__":
    command()
