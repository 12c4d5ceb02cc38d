"""``spela-mcu matrix``: the proof on every core, simulator, compiler, level, width and batch."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import click
from rich.table import Table

from spela_mcu.cli.console import print_json, stdout
from spela_mcu.cli.options import claimed, json_option, model_argument
from spela_mcu.commands.matrix import SIMULATORS, Cell, Column, Extent, run_matrix
from spela_mcu.cores import CORES
from spela_mcu.files import check_file, write_whole
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.pipeline import scratch_directory
from spela_mcu.progress import progress_bars
from spela_mcu.simulators.choice import simulator_named
from spela_mcu.spec.load import load_spec
from spela_mcu.spec.model import ModelSpec

MARKS = {"bit-exact": "=", "different": "X", "absent": "-"}

TRIMMED = Extent(
    columns=(Column("gcc", "O2", 1), Column("gcc", "O2", 8), Column("zig", "O2", 3)),
    learn_steps=30,
    samples=5,
)


@click.command()
@model_argument
@click.option("--trimmed", is_flag=True, help="Only -O2, and fewer steps: some minutes less.")
@click.option(
    "--markdown", "markdown_file", type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the table to this file, as Markdown.",
)  # fmt: skip
@json_option
@click.pass_context
def command(
    context: click.Context, model: Path, trimmed: bool, markdown_file: Path | None, as_json: bool
) -> None:
    """Prove MODEL (a model.yaml) on every core in every simulator that is installed.

    Each cell is a build that learned and inferred: '=' if all was equal, 'X' if not, '-' if there
    was nothing to run; the first sign is for int8 weights, the second for int16. B1, B3 and B8 are
    learning.batch, which takes turns over compilers and levels.

    Exits with 0 if no cell is 'X'.
    """
    if markdown_file is not None:
        check_file(markdown_file)
    extent = TRIMMED if trimmed else Extent()
    spec = load_spec(model)
    directory = claimed(scratch_directory(model, "matrix"))
    with progress_bars() as progress:
        cells = list(run_matrix(model, directory, extent, progress))
    if markdown_file is not None:
        write_whole(markdown_file, markdown(spec, cells, extent))
    if as_json:
        print_json([cell.to_json() for cell in cells])
    else:
        _print(cells, extent)
    context.exit(int(any(cell.outcome == "different" for cell in cells)))


def _lines(cells: list[Cell], extent: Extent) -> tuple[list[list[str]], list[str]]:
    """The table's lines, and the notes that they refer to by number."""
    groups: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.core, cell.simulator].append(cell)
    notes: list[str] = []
    lines = []
    for (core, simulator), group in groups.items():
        signs = {cell.column: "" for cell in group}
        for cell in group:
            signs[cell.column] += MARKS[cell.outcome]
        reasons = dict.fromkeys(cell.reason for cell in group if cell.reason)
        for reason in reasons:
            if reason not in notes:
                notes.append(reason)
        numbers = ", ".join(str(notes.index(reason) + 1) for reason in reasons)
        columns = [signs[column] for column in extent.columns]
        lines.append([core, simulator, group[0].board, *columns, numbers])
    return lines, notes


def _headings(extent: Extent) -> list[str]:
    return ["core", "simulator", "board", *map(str, extent.columns), "note"]


def _print(cells: list[Cell], extent: Extent) -> None:
    lines, notes = _lines(cells, extent)
    table = Table(box=None, pad_edge=False)
    for heading in _headings(extent):
        table.add_column(heading, no_wrap=heading in ("core", "simulator", "board"))
    for line in lines:
        table.add_row(*line)
    stdout.print(table)
    for number, note in enumerate(notes, 1):
        stdout.print(f"{number}: {note}", soft_wrap=True, markup=False)
    counts = {outcome: sum(cell.outcome == outcome for cell in cells) for outcome in MARKS}
    stdout.print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


def markdown(spec: ModelSpec, cells: list[Cell], extent: Extent) -> str:
    """The table as a Markdown document, with its notes.

    Args:
        spec: the model.
        cells: all of them.
        extent: how much was run.
    """
    lines, notes = _lines(cells, extent)
    rows = [_headings(extent), ["---"] * len(_headings(extent)), *lines]
    ran = [cell for cell in cells if cell.outcome != "absent"]
    compilers = (find_compiler(cell.compiler, CORES[cell.core].family).version for cell in ran)
    versions = [
        *dict.fromkeys(compilers),
        *(str(simulator_named(simulator)) for simulator in SIMULATORS),
    ]
    compared = "every score" if spec.network.backbone is None else "every feature and score"
    if spec.network.spare_classes or spec.learning.rehearsal is not None:
        compared += ", then met a new class, rehearsed and forgot it, answers and states"
    text = (
        f"# The matrix: {spec.name} on every core, in every simulator\n\n"
        "Made by `make matrix`. Each cell is a firmware that was built, checked for instructions "
        f"that its core does not have, and run: it learned {extent.learn_steps} samples, its "
        "learned state compared with the integer reference after each, inferred a few samples in "
        f"between, and {extent.samples} at the end, {compared} compared. `=`: equal in every bit; "
        "`X`: not; `-`: nothing to run, for the reason in the note. The first sign is of int8 "
        "weights, the second of int16. B is `learning.batch`: updates summed before they are "
        f"rounded.\n\n{'; '.join(versions)}.\n\n"
    )
    text += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return text + "".join(f"\n{number}. {note}" for number, note in enumerate(notes, 1)) + "\n"
