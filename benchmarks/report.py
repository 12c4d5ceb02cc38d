"""A benchmark's results on the terminal, as JSON, or as a section of a Markdown file."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click
import rich.table

from spela_mcu.cli.console import print_error, print_json, stdout
from spela_mcu.cores import CORES
from spela_mcu.errors import UserError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True)
class Table:
    """A table whose first `words` columns hold words, the others numbers."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1

    def markdown(self) -> str:
        """The table in Markdown, under its title."""
        rule = ["---"] * self.words + ["---:"] * (len(self.heads) - self.words)
        lines = ("| " + " | ".join(row) + " |" for row in (self.heads, rule, *self.rows))
        return f"{self.title}:\n\n" + "\n".join(lines)

    def show(self) -> None:
        """Prints it on the terminal."""
        table = rich.table.Table(title=self.title, title_justify="left", box=None, pad_edge=False)
        for index, head in enumerate(self.heads):
            table.add_column(head, justify="left" if index < self.words else "right")
        for row in self.rows:
            table.add_row(*row)
        stdout.print(table, soft_wrap=True)
        stdout.print()


@dataclass(frozen=True)
class Report:
    """The results of a benchmark.

    Attributes:
        name: of its section in a Markdown file.
        command: the command that produces them, without paths of this machine.
        conditions: the conditions of the measurement, one per line.
        tables: the results.
        data: the same, and more, as plain data.
    """

    name: str
    command: str
    conditions: tuple[str, ...]
    tables: tuple[Table, ...]
    data: dict[str, Any]

    def markdown(self) -> str:
        """The section's text."""
        conditions = "\n".join(f"- {line}" for line in self.conditions)
        tables = "\n\n".join(table.markdown() for table in self.tables)
        return f"```\n{self.command}\n```\n\n{conditions}\n\n{tables}\n"

    def beside(self, file: Path, cores: Collection[str]) -> Report:
        """The section in a file, with the rows of some cores as this report has them.

        Args:
            file: a Markdown file with the section; a row begins with its core.
            cores: those that this report is of.

        Returns:
            This report, if the section has no table.

        Raises:
            UserError: the file has no section for it.
        """
        section = _section(file, self.name)
        before = tuple(_tables(section))
        if not before:
            return self
        order = list(CORES)

        def merged(table: Table) -> Table:
            for new in self.tables:
                width = len(new.heads)
                if (new.title, new.heads) == (table.title, table.heads[:width]):
                    blank = ("",) * (len(table.heads) - width)  # what was not run this time
                    rows = [row for row in table.rows if row[0] not in cores]
                    rows += [(*row, *blank) for row in new.rows]
                    return replace(
                        table, rows=tuple(sorted(rows, key=lambda row: order.index(row[0])))
                    )
            return table

        (command,) = re.findall(r"^```\n(.*)\n```$", section, re.MULTILINE)
        conditions = re.findall(r"^- (.*)$", section, re.MULTILINE)
        conditions += [line for line in self.conditions if not any(line in c for c in conditions)]
        return replace(
            self,
            command=command,
            conditions=tuple(conditions),
            tables=tuple(merged(table) for table in before),
        )

    def emit(self, *, as_json: bool, markdown: Path | None) -> None:
        """Prints it, as tables or JSON, and puts it into a Markdown file if one is given.

        Raises:
            UserError: the file has no section for it.
        """
        if markdown is not None:
            write_section(markdown, self.name, self.markdown())
        if as_json:
            print_json(self.data)
            return
        for table in self.tables:
            table.show()
        for line in self.conditions:
            stdout.print(line, soft_wrap=True)


def write_section(file: Path, name: str, text: str) -> None:
    """Replaces what stands between a section's two markers.

    Args:
        file: a Markdown file; made, with the section alone, if there is none.
        name: the section's name in its markers.
        text: the new content.

    Raises:
        UserError: the file does not have exactly one such section.
    """
    begin, end = _markers(name)
    section = f"{begin}\n\n{text}\n{end}"
    if file.exists():
        before = file.read_text(encoding="utf-8")
        after = before.replace(_section(file, name), section)
    else:
        after = section + "\n"
    partial = file.with_name(file.name + ".partial")
    partial.write_text(after, encoding="utf-8")
    partial.replace(file)


def read_rows(file: Path, name: str, title: str, heads: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The rows of a table in a section that `write_section` wrote; none if it is not there.

    Args:
        file: the Markdown file.
        name: the section's name in its markers.
        title: the table's.
        heads: the table's; with others, it is another table.

    Raises:
        UserError: the file does not have exactly one such section.
    """
    found = _tables(_section(file, name))
    return [
        row for table in found if (table.title, table.heads) == (title, heads) for row in table.rows
    ]


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- begin {name} -->", f"<!-- end {name} -->"


def _tables(section: str) -> Iterator[Table]:
    """The tables that a section has."""
    pattern = r"^(.*):\n\n((?:\|.*\n)+)"
    for title, text in re.findall(pattern, section + "\n", re.MULTILINE):
        heads, rule, *rows = (
            tuple(line.removeprefix("| ").removesuffix(" |").split(" | "))
            for line in text.splitlines()
        )
        yield Table(title, heads, tuple(rows), words=rule.count("---"))


def _section(file: Path, name: str) -> str:
    """A section, its markers included."""
    begin, end = _markers(name)
    pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
    found = re.findall(pattern, file.read_text(encoding="utf-8"), re.DOTALL)
    if len(found) != 1:
        raise UserError(
            f"has {len(found)} sections between {begin} and {end}, not one",
            mend="put these two lines where the tables are to go, once",
            file=file,
        )
    section: str = found[0]
    return section


class Benchmark(click.Command):
    """A command that reports errors as spela-mcu does."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's
        """See click."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            print_error(error)
            ctx.exit(error.exit_code)


def report_options(function: Decorated) -> Decorated:
    """--json and --markdown."""
    for option in (
        click.option(
            "--markdown", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
            help="Refresh this benchmark's section in a Markdown file.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
    ):  # fmt: skip
        function = option(function)
    return function
