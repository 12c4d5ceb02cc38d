"""What the runtime takes of a chip: its code on each core, a model's tables and RAM.

From the repository's root:

    python -m benchmarks.sizes --markdown docs/sizes.md

Code depends on the core, the compiler, its level and the width of the weights, not on the model;
tables and RAM depend on the model alone. So each is a table of its own. Nothing is simulated.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import click
import numpy as np

from benchmarks.contender import CLASSES, Shape
from benchmarks.report import Benchmark, Report, Table, read_rows, report_options
from spela_mcu.cli.console import stdout
from spela_mcu.cores import CORTEX_M, RISCV
from spela_mcu.data.dataset import InputScaling
from spela_mcu.firmware.board import Board, load_board
from spela_mcu.firmware.deploy import deploy
from spela_mcu.firmware.elf import runtime_text_bytes
from spela_mcu.firmware.memory import NetworkMemory, network_memory
from spela_mcu.firmware.model import model_source
from spela_mcu.firmware.project import generate_project
from spela_mcu.firmware.stack import worst_case_stack
from spela_mcu.firmware.toolchain import Optimization, find_compiler
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan, make_plan
from spela_mcu.progress import progress_bars
from spela_mcu.spec.data import SklearnData
from spela_mcu.spec.learning import Exits, FixedPoint
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Dense, Network

BOARDS = ("nucleo-g071rb", "bluepill", "nrf52840dk", "mps3-an547", "riscv-virt")
"""One for each set of kernels: a Cortex-M0+, M3, M4 and M55, and RISC-V."""

LEVELS: Final[tuple[Optimization, ...]] = ("O2", "Os")

SECTION = "sizes"

Weights = Literal["int8", "int16"]
WIDTHS: Final[tuple[Weights, ...]] = ("int8", "int16")


@dataclass(frozen=True)
class Model:
    """A network whose memory is told."""

    shape: Shape
    weights: Weights = "int8"
    bias: bool = False
    early_exits: bool = False

    def __str__(self) -> str:
        features = ["bias"] * self.bias + ["early exits"] * self.early_exits
        return ", ".join((str(self.shape), self.weights, *features))

    def plan(self) -> FixedPointPlan:
        """Its formats."""
        layers = (Dense(units=self.shape.hidden), Dense(units=self.shape.outputs))
        spec = ModelSpec(
            name="benchmark",
            data=SklearnData(source="sklearn"),
            network=Network(layers=layers, bias=self.bias),
            fixed_point=FixedPoint(weights=self.weights),
            exits=Exits(early=self.early_exits),
        )
        return make_plan(spec, self.shape.inputs, CLASSES)


SMALL, LARGE = Shape(64, 48, 16), Shape(784, 128, 34)
MODELS = (
    *(Model(SMALL, weights) for weights in WIDTHS),
    Model(SMALL, bias=True),
    Model(LARGE),
    Model(LARGE, early_exits=True),
)


@dataclass(frozen=True)
class Code:
    """What one build takes of a core.

    Attributes:
        text_bytes: code of the runtime (spela/).
        stack_bound_bytes: the static bound of the whole firmware's stack.
    """

    core: str
    weights: Weights
    optimization: Optimization
    inference_only: bool
    text_bytes: int
    stack_bound_bytes: int


@dataclass(frozen=True)
class Memory:
    """What a model takes of any core.

    Attributes:
        drawn: the chip draws its weights and learns.
        inference_only: its weights lie in flash, and learning is left out.
    """

    model: Model
    drawn: NetworkMemory
    inference_only: NetworkMemory


def measure_code(
    board: Board,
    weights: Weights,
    optimization: Optimization,
    directory: Path,
    *,
    inference_only: bool,
) -> Code:
    """Builds the small network's firmware by gcc.

    Raises:
        UserError: the compiler is missing, or it does not compile.
    """
    network = IntegerNetwork.untrained(Model(SMALL, weights).plan())
    scaling = InputScaling(np.zeros(SMALL.inputs, np.float32), np.ones(SMALL.inputs, np.float32))
    names = tuple(f"class {index}" for index in range(CLASSES))
    source = model_source(
        "benchmark",
        network,
        names,
        scaling,
        drawn=not inference_only,
        inference_only=inference_only,
    )
    project = generate_project(
        source, board, optimization=optimization, inference_only=inference_only
    )
    place = directory / f"{board.id}-{weights}-{optimization}-{inference_only}"
    build = deploy(project, place, "gcc")
    return Code(
        core=board.core,
        weights=weights,
        optimization=optimization,
        inference_only=inference_only,
        text_bytes=runtime_text_bytes(build.elf),
        stack_bound_bytes=worst_case_stack(build.read_elf()).bytes,
    )


def memory_of(model: Model) -> Memory:
    """What the memory plan says, to the byte."""
    plan = model.plan()
    return Memory(
        model,
        drawn=network_memory(plan, weights_in_flash=False, inference_only=False),
        inference_only=network_memory(plan, weights_in_flash=True, inference_only=True),
    )


def build_table(title: str, found: list[Code], numbers: list[int]) -> Table:
    """A row for each core and width, of one number a build."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for one, number in zip(found, numbers, strict=True):
        head = f"-{one.optimization}" + ", inference only" * one.inference_only
        rows.setdefault((one.core, one.weights), {})[head] = f"{number:,}"
    heads = next(iter(rows.values()))
    return Table(
        title,
        ("core", "weights", *heads),
        tuple((*row, *cells.values()) for row, cells in rows.items()),
        words=2,
    )


def memory_table(found: list[Memory]) -> Table:
    """A row for each model: weights, RAM beyond them, tables."""
    rows = []
    for one in found:
        weights = one.drawn.arena_bytes - one.drawn.buffer_bytes
        numbers = (
            weights,
            one.drawn.buffer_bytes,
            one.drawn.table_bytes,
            one.inference_only.buffer_bytes,
            one.inference_only.table_bytes,
        )
        rows.append((str(one.model), *(f"{number:,}" for number in numbers)))
    heads = (
        "weights", "RAM beyond weights", "tables",
        "RAM, inference only", "tables and weights, inference only",
    )  # fmt: skip
    return Table("Memory of a model, bytes", ("model", *heads), tuple(rows))


def differences(file: Path, *tables: Table) -> list[str]:
    """What tables say otherwise than they do in a Markdown file, a line a number.

    Raises:
        UserError: the file has no section of sizes.
    """
    lines = []
    for table in tables:
        words = table.words
        before = {
            row[:words]: row[words:] for row in read_rows(file, SECTION, table.title, table.heads)
        }
        now = {row[:words]: row[words:] for row in table.rows}
        told = table.title.removesuffix(", bytes")
        lines += [f"{told}: {', '.join(row)}: no longer there" for row in before.keys() - now]
        for row, numbers in now.items():
            if row not in before:
                lines.append(f"{told}: {', '.join(row)}: new")
                continue
            for head, old, new in zip(table.heads[words:], before[row], numbers, strict=True):
                if old != new:
                    change = int(new.replace(",", "")) - int(old.replace(",", ""))
                    where = ", ".join((*row, head))
                    lines.append(f"{told}: {where}: {old} -> {new} bytes ({change:+,})")
    return lines


@click.command(cls=Benchmark)
@click.option(
    "--check", type=click.Path(dir_okay=False, exists=True, path_type=Path), metavar="FILE",
    help="Print what differs from the tables of a Markdown file. The exit code is 1 if tables or "
    "RAM do; code and stack depend on the compiler's version as well.",
)  # fmt: skip
@report_options
@click.pass_context
def command(
    context: click.Context, *, check: Path | None, as_json: bool, markdown: Path | None
) -> None:
    """Tell code, tables, RAM and stack of a set of models."""
    compilers = [find_compiler("gcc", family) for family in (CORTEX_M, RISCV)]
    cases = [
        (load_board(board), weights, level, inference_only)
        for board in BOARDS
        for weights in WIDTHS
        for level in LEVELS
        for inference_only in (False, True)
    ]
    code = []
    with tempfile.TemporaryDirectory() as scratch, progress_bars() as progress:
        for done, (board, weights, level, inference_only) in enumerate(cases):
            progress("building", done, len(cases))
            code.append(
                measure_code(board, weights, level, Path(scratch), inference_only=inference_only)
            )
    memory = [memory_of(model) for model in MODELS]
    of_code = (
        build_table("Code of the runtime, bytes", code, [one.text_bytes for one in code]),
        build_table(
            "Bound of the firmware's stack, bytes", code, [one.stack_bound_bytes for one in code]
        ),
    )
    of_memory = memory_table(memory)
    changes = {
        "code": [] if check is None else differences(check, *of_code),
        "memory": [] if check is None else differences(check, of_memory),
    }
    conditions = tuple(compiler.version for compiler in compilers)
    data = {
        "conditions": conditions,
        "code": [asdict(one) for one in code],
        "memory": [asdict(one) | {"model": str(one.model)} for one in memory],
        "changes": changes,
    }
    Report(SECTION, "python -m benchmarks.sizes", conditions, (*of_code, of_memory), data).emit(
        as_json=as_json, markdown=markdown
    )
    if check is None:
        return
    if not as_json:
        for line in (*changes["code"], *changes["memory"]) or ("nothing differs",):
            stdout.print(f"{check}: {line}", soft_wrap=True)
    if changes["memory"]:
        context.exit(1)


if __name__ == "__main__":
    command()
