"""Classes that come and go, bit for bit on every core, each in one simulator.

From the repository's root:

    python -m benchmarks.classes --markdown docs/continual.md
"""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.report import Benchmark, Report, Table, report_options
from spela_mcu.commands.matrix import Cell, Column, Extent, matrix_rows, run_cell
from spela_mcu.cores import CompilerName
from spela_mcu.firmware.toolchain import Optimization

MODELS = {
    "samples": Path("experiments/models/classes_samples.yaml"),
    "means": Path("experiments/models/classes_means.yaml"),
}
QUICKEST = ("unicorn", "qemu", "renode")
LEVELS: tuple[Optimization, ...] = ("O2", "Os")
EXTENT = Extent(learn_steps=20, samples=3)


def run(directory: Path) -> list[tuple[str, Cell]]:
    """What is kept, and the cell of each core: what is kept, levels and batches take turns."""
    rows = {
        row.core: row
        for row in sorted(matrix_rows(), key=lambda row: -QUICKEST.index(row.simulator))
        if row.board is not None
    }
    cells = []
    for number, (row, kept) in enumerate(zip(rows.values(), itertools.cycle(MODELS), strict=False)):
        compiler: CompilerName = "zig" if row.core.startswith("rv") else "gcc"
        column = Column(compiler, LEVELS[number // 2 % 2], (1, 3)[number // 3 % 2])
        cell = run_cell(MODELS[kept], directory, EXTENT, row, column, weights="int8")
        cells.append((kept, cell))
    return cells


@click.command(cls=Benchmark)
@report_options
def command(*, as_json: bool, markdown: Path | None) -> None:
    """Have every core meet a new class, rehearse, and forget it."""
    with tempfile.TemporaryDirectory() as directory:
        cells = run(Path(directory))
    table = Table(
        "Answers, and the learned state after every step, beside the integer reference",
        ("core", "simulator", "board", "compiler", "batch", "what is kept", "outcome"),
        tuple(
            (
                cell.core,
                cell.simulator,
                cell.board,
                f"{cell.compiler} -{cell.optimization}",
                str(cell.batch),
                kept,
                cell.outcome,
            )
            for kept, cell in cells
        ),
        words=7,
    )
    Report(
        "classes",
        "python -m benchmarks.classes --markdown docs/continual.md",
        (
            f"{EXTENT.learn_steps} samples are learned first; then a class that nobody trained is "
            "added and taught, with rehearsal beside each sample and alone, answered, forgotten, "
            "and taught anew",
        ),
        (table,),
        {"cells": [{"kept": kept, **asdict(cell)} for kept, cell in cells]},
    ).emit(as_json=as_json, markdown=markdown)


if __name__ == "__main__":
    command()
