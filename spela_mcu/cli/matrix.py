"""``spela-mcu matrix``: the proof on every core, simulator, compiler, level, width and batch."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.table import Table

from spela_mcu.cli.console import print_json, stdout
from spela_mcu.cli.options import claimed, json_option, model_argument
from spela_mcu.commands.matrix import SIMULATORS, Cell, Column, Extent, run_matrix
from spela_mcu.cores import CORES
from spela_mcu.errors import UserError
from spela_mcu.files import check_file, read_bounded, write_whole
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.pipeline import scratch_directory
from spela_mcu.progress import progress_bars
from spela_mcu.simulators.choice import simulator_named
from spela_mcu.spec.load import load_spec
from spela_mcu.spec.model import ModelSpec

MOST_BYTES = 1 << 20
"""Of a file that has such a table."""

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
    "--core", "cores", multiple=True, type=click.Choice([*CORES]),
    help="Only this core; in the file of --markdown, the rows of others stay. (repeatable)",
)  # fmt: skip
@click.option(
    "--markdown", "markdown_file", type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the table to this file, as Markdown.",
)  # fmt: skip
@json_option
@click.pass_context
def command(
    context: click.Context,
    *,
    model: Path,
    trimmed: bool,
    cores: tuple[str, ...],
    markdown_file: Path | None,
    as_json: bool,
) -> None:
    """Prove MODEL (a model.yaml) on every core in every simulator that is installed.

    Each cell is a build that learned and inferred: '=' if all was equal, 'X' if not, '-' if there
    was nothing to run; the first sign is for int8 weights, the second for int16. B1, B3 and B8 are
    learning.batch, which takes turns over compilers and levels.

    Exits with 0 if no cell is 'X'.
    """
    if markdown_file is not None:
        check_file(markdown_file)
    extent = replace(TRIMMED if trimmed else Extent(), cores=cores or tuple(CORES))
    spec = load_spec(model)
    before = None
    if cores and markdown_file is not None and markdown_file.exists():
        before = read_document(markdown_file)
        make_document(spec, [], extent).beside(before, markdown_file)  # told before the work
    directory = claimed(scratch_directory(model, "matrix"))
    with progress_bars() as progress:
        cells = list(run_matrix(model, directory, extent, progress))
    if markdown_file is not None:
        document = make_document(spec, cells, extent)
        if before is not None:
            document = document.beside(before, markdown_file)
        write_whole(markdown_file, document.markdown())
    if as_json:
        print_json([cell.to_json() for cell in cells])
    else:
        _print(cells, extent)
    context.exit(int(any(cell.outcome == "different" for cell in cells)))


@dataclass(frozen=True)
class Line:
    """A line of the table: a core in a simulator.

    Attributes:
        words: core, simulator, board, and the signs of each column.
        reasons: why cells are absent or differ.
    """

    words: tuple[str, ...]
    reasons: tuple[str, ...]


def _lines(cells: list[Cell], extent: Extent) -> tuple[Line, ...]:
    groups: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.core, cell.simulator].append(cell)
    lines = []
    for where, group in groups.items():
        signs = {cell.column: "" for cell in group}
        for cell in group:
            signs[cell.column] += MARKS[cell.outcome]
        reasons = dict.fromkeys(cell.reason for cell in group if cell.reason)
        columns = (signs[column] for column in extent.columns)
        lines.append(Line((*where, group[0].board, *columns), tuple(reasons)))
    return tuple(lines)


def _numbered(lines: tuple[Line, ...]) -> tuple[list[list[str]], list[str]]:
    """The lines with the numbers of their notes, and the notes."""
    notes = list(dict.fromkeys(reason for line in lines for reason in line.reasons))
    rows = [
        [*line.words, ", ".join(str(notes.index(reason) + 1) for reason in line.reasons)]
        for line in lines
    ]
    return rows, notes


def _headings(extent: Extent) -> list[str]:
    return ["core", "simulator", "board", *map(str, extent.columns), "note"]


def _print(cells: list[Cell], extent: Extent) -> None:
    rows, notes = _numbered(_lines(cells, extent))
    table = Table(box=None, pad_edge=False)
    for heading in _headings(extent):
        table.add_column(heading, no_wrap=heading in ("core", "simulator", "board"))
    for row in rows:
        table.add_row(*row)
    stdout.print(table)
    for number, note in enumerate(notes, 1):
        stdout.print(f"{number}: {note}", soft_wrap=True, markup=False)
    counts = {outcome: sum(cell.outcome == outcome for cell in cells) for outcome in MARKS}
    stdout.print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


@dataclass(frozen=True)
class Document:
    """The table as a Markdown document.

    Attributes:
        introduction: its title, and what was run.
        versions: of compilers and simulators, each beginning with a name.
        headings: of the columns.
        lines: in the order of `CORES`.
    """

    introduction: str
    versions: tuple[str, ...]
    headings: tuple[str, ...]
    lines: tuple[Line, ...]

    def markdown(self) -> str:
        """Its text, with the notes behind the table."""
        rows, notes = _numbered(self.lines)
        table = [self.headings, ["---"] * len(self.headings), *rows]
        text = f"{self.introduction}\n\n{'; '.join(self.versions)}.\n\n"
        text += "".join(f"| {' | '.join(row)} |\n" for row in table)
        return text + "".join(f"\n{number}. {note}" for number, note in enumerate(notes, 1)) + "\n"

    def beside(self, before: Document, file: Path) -> Document:
        """This document with the lines that an earlier one has of other cores.

        Args:
            before: of the same model, run as far, by the same versions.
            file: where it stands.

        Raises:
            UserError: it is another.
        """
        versions = {version.split()[0]: version for version in before.versions}
        ours = {version.split()[0]: version for version in self.versions}
        of_before = (before.introduction, before.headings, versions | ours)
        if of_before != (self.introduction, self.headings, ours | versions):
            raise UserError(
                "was made of another model, or by other versions: its rows do not belong beside "
                "these",
                mend="leave out --core, or name another file",
                file=file,
            )
        new = {line.words[0] for line in self.lines}
        kept = (line for line in before.lines if line.words[0] not in new)
        order = list(CORES)
        lines = sorted([*kept, *self.lines], key=lambda line: order.index(line.words[0]))
        return replace(self, versions=tuple((versions | ours).values()), lines=tuple(lines))


def make_document(spec: ModelSpec, cells: list[Cell], extent: Extent) -> Document:
    """The table as a Markdown document.

    Args:
        spec: the model.
        cells: all of them.
        extent: how much was run.
    """
    ran = [cell for cell in cells if cell.outcome != "absent"]
    compilers = (find_compiler(cell.compiler, CORES[cell.core].family).version for cell in ran)
    compared = "every score" if spec.network.backbone is None else "every feature and score"
    if spec.network.spare_classes or spec.learning.rehearsal is not None:
        compared += ", then met a new class, rehearsed and forgot it, answers and states"
    return Document(
        introduction=(
            f"# The matrix: {spec.name} on every core, in every simulator\n\n"
            "Made by `make matrix`. Each cell is a firmware that was built, checked for "
            "instructions that its core does not have, and run: it learned "
            f"{extent.learn_steps} samples, its learned state compared with the integer reference "
            f"after each, inferred a few samples in between, and {extent.samples} at the end, "
            f"{compared} compared. `=`: equal in every bit; `X`: not; `-`: nothing to run, for the "
            "reason in the note. The first sign is of int8 weights, the second of int16. B is "
            "`learning.batch`: updates summed before they are rounded."
        ),
        versions=(
            *dict.fromkeys(compilers),
            *(str(simulator_named(simulator)) for simulator in SIMULATORS),
        ),
        headings=tuple(_headings(extent)),
        lines=_lines(cells, extent),
    )


def read_document(file: Path) -> Document:
    """A document that `Document.markdown` wrote.

    Raises:
        UserError: it is none.
    """
    text = read_bounded(file, MOST_BYTES).decode(errors="replace")
    parts = re.fullmatch(r"(# .*?\n\n.*?)\n\n(.*?)\.\n\n((?:\|[^\n]*\n)+)(.*)", text, re.DOTALL)
    rows = [] if parts is None else [line[2:-2].split(" | ") for line in parts[3].splitlines()]
    notes = dict(re.findall(r"^(\d+)\. (.*)$", "" if parts is None else parts[4], re.MULTILINE))
    known = [row for row in rows[2:] if row[0] in CORES and len(row) == len(rows[0])]
    if parts is None or len(known) != len(rows) - 2:
        raise UserError("is no table that this command wrote", mend="name another", file=file)
    lines = (
        Line(tuple(row[:-1]), tuple(notes[number] for number in row[-1].split(", ") if number))
        for row in known
    )
    return Document(parts[1], tuple(parts[2].split("; ")), tuple(rows[0]), tuple(lines))
