"""Frozen backbones: our kernels on each core; on a Cortex-M4 CMSIS-NN's and tinyengine's beside.

CMSIS-NN's are called as TensorFlow Lite Micro calls them, but without its interpreter, whose own
instructions are therefore not in the count. From the repository's root:

    python -m benchmarks.backbone --models DIRECTORY --cmsis-nn CMSIS-NN --tinyengine TINYENGINE
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks import backbone_tinyengine
from benchmarks.backbone_cmsis_nn import cmsis_nn_source
from benchmarks.backbone_program import BOARDS, SAMPLE, Core, Library, Sources
from benchmarks.backbone_source import our_source
from benchmarks.report import Benchmark, Report, Table, report_options
from spela_mcu.backbone.add import Add
from spela_mcu.backbone.convolution import Convolution
from spela_mcu.backbone.depthwise import Depthwise
from spela_mcu.backbone.fully_connected import FullyConnected
from spela_mcu.backbone.load import read_backbone
from spela_mcu.backbone.network import run
from spela_mcu.backbone.operator import LoweredOperator
from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.errors import UserError
from spela_mcu.firmware.elf import Elf
from spela_mcu.firmware.toolchain import Compiler, find_compiler
from spela_mcu.resources import resource_directory

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


def our_sources() -> Sources:
    """The runtime."""
    firmware = resource_directory("firmware")
    return Sources(firmware, OUR_SOURCES, (firmware / "spela", firmware / "backbone"))


def their_sources(checkout: Path) -> Sources:
    """CMSIS-NN, compiled as its users do: its warnings do not count."""
    return Sources(checkout / "Source", THEIR_SOURCES, (checkout / "Include",), ("-fhosted", "-w"))


def measured(library: Library, program: Elf, plan: BackbonePlan) -> Cost:
    """What one inference takes; its features are numpy's.

    Raises:
        UserError: they are not.
    """
    core, sample = Core(program, library.board), _sample(plan)
    core.write(SAMPLE, sample.tobytes())
    arena = core.run("benchmark_start")
    if arena == 0:
        raise UserError("the backbone is refused", mend="report it")
    features, functions = core.counted("benchmark_run", SAMPLE)
    if core.read(features, plan.features.shape.size) != run(plan, sample[None]).tobytes():
        raise UserError("the features differ from numpy's", mend="take a version that is as exact")
    return Cost(functions.total(), dict(functions.most_common()), _text_bytes(program), arena)


def _text_bytes(program: Elf) -> int:
    return sum(
        symbol.bytes
        for symbol in program.symbols
        if symbol.name.startswith(("spela_", "arm_")) and symbol.is_function
    )


def measured_by_kind(library: Library, program: Elf, plan: BackbonePlan) -> dict[str, int]:
    """Instructions of each kind of operator, in one inference of ours."""
    core = Core(program, library.board)
    core.write(SAMPLE, _sample(plan).tobytes())
    found: Counter[str] = Counter()
    for number, step in enumerate(plan.steps):
        _, functions = core.counted("benchmark_step", SAMPLE, number)
        found[kind_of(step.operator)] += functions.total()
    return dict(found)


def kind_of(operator: LoweredOperator) -> str:
    """What an operator is called in the tables."""
    match operator:
        case Convolution() if operator.window.is_point:
            return "pointwise"
        case Convolution() | Depthwise():
            name = "convolution" if isinstance(operator, Convolution) else "depthwise"
            return f"{name} {operator.window.size.height} x {operator.window.size.width}"
    return {FullyConnected: "fully connected", Add: "add"}.get(type(operator), "other")


def of_tinyengine(
    checkout: Path, model: Path, compiler: Compiler, place: Path
) -> tuple[int, int] | None:
    """Instructions and bytes of maps and buffers; None if it does not run the model.

    Its features are not compared: it pads as another framework does, and has another rounding.
    """
    code = backbone_tinyengine.generated(checkout, model, place)
    if code is None:
        return None
    folders = (code.directory / "Include", *backbone_tinyengine.includes(checkout))
    flags = backbone_tinyengine.FLAGS
    kernels = Sources(checkout, backbone_tinyengine.PATTERNS, folders, flags)
    own = Sources(code.directory, ("Source/genModel.c", "Source/*_CHW.c"), folders, flags)
    library = kernels.compiled(compiler, place / "kernels")
    both = (*library.objects, *own.compiled(compiler, place / "own").objects)
    try:
        program = Library(both, library.flags, library.board).linked(
            backbone_tinyengine.MAIN, compiler, place / "program"
        )
    except UserError:
        return None  # it calls a kernel that is not there, or is only there in floating point
    _, functions = Core(program, library.board).counted("benchmark_run", SAMPLE)
    return functions.total(), code.buffer_bytes


def by_kind(plan: BackbonePlan) -> dict[str, int]:
    """Multiply-accumulates of each kind of operator."""
    macs: Counter[str] = Counter()
    for step in plan.steps:
        macs[kind_of(step.operator)] += step.operator.macs
    return dict(macs)


@dataclass(frozen=True)
class Contenders:
    """Who is measured, compiled where that can be done once.

    Attributes:
        ours: by the name of the core.
    """

    compiler: Compiler
    ours: Mapping[str, Library]
    cmsis_nn: Library | None
    tinyengine: Path | None


@dataclass(frozen=True)
class Found:
    """What was measured of a model.

    Attributes:
        macs, instructions: by kind of operator; of instructions first by core.
        ours: on the M4, as are the others.
        tinyengine: instructions, and bytes of maps and buffers.
    """

    model: str
    macs: Mapping[str, int]
    instructions: Mapping[str, Mapping[str, int]]
    ours: Cost
    cmsis_nn: Cost | None
    tinyengine: tuple[int, int] | None


def measure(model: Path, contenders: Contenders, place: Path) -> Found:
    """Everything of a model; `place` is a new directory."""
    place.mkdir()
    plan, compiler = read_backbone(model), contenders.compiler
    instructions, ours = {}, {}
    for core, library in contenders.ours.items():
        program = library.linked(our_source(plan), compiler, place / core)
        ours[core] = measured(library, program, plan)
        instructions[core] = measured_by_kind(library, program, plan)
    theirs = None
    if contenders.cmsis_nn is not None:
        program = contenders.cmsis_nn.linked(cmsis_nn_source(plan), compiler, place / "cmsis-nn")
        theirs = measured(contenders.cmsis_nn, program, plan)
    others = None
    if contenders.tinyengine is not None:
        others = of_tinyengine(contenders.tinyengine, model, compiler, place / "tinyengine")
    return Found(model.stem, by_kind(plan), instructions, ours["M4"], theirs, others)


@click.command(cls=Benchmark)
@click.option(
    "--models", type=click.Path(path_type=Path, exists=True), metavar="DIR", required=True,
    help="A directory of int8 .tflite models.",
)  # fmt: skip
@click.option("--cmsis-nn", type=click.Path(path_type=Path), metavar="DIR", help="A checkout.")
@click.option(
    "--tinyengine", type=click.Path(path_type=Path), metavar="DIR",
    help="A checkout with its submodule CMSIS at 5.8.0.",
)  # fmt: skip
@report_options
def command(
    *, models: Path, cmsis_nn: Path | None, tinyengine: Path | None,
    as_json: bool, markdown: Path | None,
) -> None:  # fmt: skip
    """Count instructions and bytes of frozen backbones."""
    compiler = find_compiler("gcc")
    files = sorted(models.glob("*.tflite"))
    if not files:
        raise UserError("no .tflite is there", mend="name another directory", file=models)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        ours = {
            core: our_sources().compiled(compiler, place / f"ours-{core}", board)
            for core, board in BOARDS.items()
        }
        theirs = None
        if cmsis_nn is not None:
            theirs = their_sources(cmsis_nn).compiled(compiler, place / "their-objects")
        contenders = Contenders(compiler, ours, theirs, tinyengine)
        found = [measure(file, contenders, place / file.stem) for file in files]
    conditions = (compiler.version, "Unicorn, -O2; kernels alone, without an interpreter")
    words = "python -m benchmarks.backbone --models MODELS"
    words += " --cmsis-nn CMSIS-NN" * (cmsis_nn is not None)
    words += " --tinyengine TINYENGINE" * (tinyengine is not None)
    data = {"conditions": conditions, "measurements": [asdict(one) for one in found]}
    tables = (_whole(found), _kinds(found))
    Report("backbone", words, conditions, tables, data).emit(as_json=as_json, markdown=markdown)


def _sample(plan: BackbonePlan) -> NDArray[np.int8]:
    rng = np.random.default_rng(1)
    return rng.integers(-128, 128, plan.sample.shape.size).astype(np.int8)


def _whole(found: Sequence[Found]) -> Table:
    heads: tuple[str, ...] = ("model", "MACs", "instructions", "a MAC", "code", "arena")
    if found[0].cmsis_nn is not None:
        heads += ("CMSIS-NN", "ours / theirs", "their code", "maps and their buffers")
    if any(one.tinyengine for one in found):
        heads += ("tinyengine", "ours / theirs", "its maps and buffers")
    rows = []
    for one in found:
        ours, macs = one.ours, sum(one.macs.values())
        row = [one.model, f"{macs:,}", f"{ours.instructions:,}", f"{ours.instructions / macs:.2f}"]
        row += [f"{ours.text_bytes:,}", f"{ours.arena_bytes:,}"]
        if (theirs := one.cmsis_nn) is not None:
            ratio = f"{ours.instructions / theirs.instructions:.2f}"
            row += [f"{theirs.instructions:,}", ratio]
            row += [f"{theirs.text_bytes:,}", f"{theirs.arena_bytes:,}"]
        if one.tinyengine is not None:
            count, buffers = one.tinyengine
            row += [f"{count:,}", f"{ours.instructions / count:.2f}", f"{buffers:,}"]
        rows.append((*row, *[""] * (len(heads) - len(row))))
    title = "A whole inference on a Cortex-M4, up to the features"
    return Table(title, heads, tuple(rows), words=1)


def _kinds(found: Sequence[Found]) -> Table:
    rows = []
    for one in found:
        for kind, macs in one.macs.items():
            if macs:
                counts = (one.instructions[core][kind] / macs for core in BOARDS)
                rows.append((one.model, kind, f"{macs:,}", *(f"{count:.2f}" for count in counts)))
    title = "Our instructions a multiply-accumulate, by core"
    return Table(title, ("model", "kind", "MACs", *BOARDS), tuple(rows), words=2)


if __name__ == "__main__":
    command()
