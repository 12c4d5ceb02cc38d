"""Results as Markdown tables: `python -m experiments.tables` writes them into the docs."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from experiments.studies import STUDIES, Study
from experiments.tasks import RESULTS, Record, read_records, results_file
from spela_mcu.errors import UserError

DOCUMENTS = Path("docs/accuracy.md"), Path("docs/continual.md")
_PLACE = re.compile(r"(<!-- study: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

BASE_COLUMN = "last exit"
"""The column that compares rows with a study's reference."""


def study_table(name: str, study: Study, records: list[Record]) -> str:
    """A study's rows: the mean over its seeds ± the standard deviation of one run, in %.

    Results of tasks that are not, or no longer, part of the study are left out.
    """
    wanted = {task.key: task for task in study.tasks(name)}
    values: dict[str, dict[int, dict[str, float]]] = defaultdict(dict)
    for record in records:
        if record.task.key in wanted:
            values[record.task.row][record.task.seed] = record.values
    measured = [row.name for row in study.rows if row.name in values]
    columns = list(
        dict.fromkeys(c for row in measured for run in values[row].values() for c in run)
    )
    heads = ["", "runs", *columns]
    if study.reference in values:
        heads.append(f"{BASE_COLUMN}, above {study.reference}")
    rows = []
    for row in measured:
        runs = values[row]
        cells = [_cell([run[c] for run in runs.values() if c in run]) for c in columns]
        if study.reference in values:
            cells.append(_above(runs, values[study.reference]) if row != study.reference else "")
        rows.append([row, str(len(runs)), *cells])
    return _markdown(heads, rows)


def with_tables(document: str, tables: dict[str, str]) -> str:
    """The document with each study's table in its place."""

    def placed(match: re.Match[str]) -> str:
        start, name, end = match.groups()
        return f"{start}\n{tables[name]}\n\n{end}" if name in tables else match[0]

    return _PLACE.sub(placed, document)


def _above(runs: dict[int, dict[str, float]], reference: dict[int, dict[str, float]]) -> str:
    both = sorted(runs.keys() & reference.keys())
    return _cell([runs[s][BASE_COLUMN] - reference[s][BASE_COLUMN] for s in both], "+")


def _cell(found: list[float], sign: str = "") -> str:
    values: NDArray[np.float64] = np.array(found)
    if len(values) == 0:
        return ""
    spread = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():{sign}.2f}{spread}"


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, rule, *rows])


@click.command()
@click.argument("documents", nargs=-1, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--results", type=click.Path(file_okay=False, path_type=Path), default=RESULTS)
def command(*, documents: tuple[Path, ...], results: Path) -> None:
    """Write the tables of all measured studies into DOCUMENTS [default: those in docs/].

    A table stands between `<!-- study: NAME -->` and `<!-- end -->`.
    """
    tables = {}
    try:
        for name, study in STUDIES.items():
            records = read_records(results_file(name, results))
            if records:
                tables[name] = study_table(name, study, records)
    except UserError as error:
        raise click.ClickException(str(error)) from error
    for document in documents or DOCUMENTS:
        document.write_text(with_tables(document.read_text(), tables))


if __name__ == "__main__":
    command()
