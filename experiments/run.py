"""Runs studies: every table of docs/accuracy.md and docs/continual.md, from the repository's root.

python -m experiments.run              # lists the studies and how much of each is measured
python -m experiments.run mnist drift  # these studies; what is measured is not repeated
python -m experiments.run --all
python -m experiments.tables           # the tables into the docs
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from experiments.continual import stream, unknown
from experiments.convolution import compare_rules
from experiments.drift import drift, wearer
from experiments.forgetting import forget, membership
from experiments.learning import learn
from experiments.limits import limits
from experiments.paper_convolution import paper_rule
from experiments.questions import labels, rare_labels
from experiments.rounding import rounding
from experiments.studies import STUDIES
from experiments.tasks import (
    RESULTS,
    Record,
    Task,
    append_record,
    read_records,
    results_file,
    still_to_do,
)
from experiments.wear import silent, worn
from spela_mcu.contenders.workers import workers
from spela_mcu.errors import UserError

MEASURES: dict[str, Callable[[Task], dict[str, float]]] = {
    "learn": learn,
    "drift": drift,
    "wearer": wearer,
    "silent": silent,
    "worn": worn,
    "convolution": compare_rules,
    "paper_convolution": paper_rule,
    "rounding": rounding,
    "stream": stream,
    "forget": forget,
    "membership": membership,
    "unknown": unknown,
    "labels": labels,
    "rare_labels": rare_labels,
    "limits": limits,
}


def measure(task: Task) -> Record:
    """Does one task."""
    return Record(task, MEASURES[task.measure](task))


def run(tasks: list[Task], jobs: int, directory: Path, command: str) -> None:
    """Does tasks in parallel; each result is in its file as soon as it is there."""
    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        results = Parallel(jobs, return_as="generator_unordered")(
            delayed(measure)(task) for task in tasks
        )
        for record in bar.track(results, total=len(tasks), description="runs"):
            append_record(results_file(record.task.study, directory), record, command)


@click.command()
@click.argument("studies", nargs=-1, type=click.Choice(list(STUDIES)), metavar="[STUDY]...")
@click.option("--all", "everything", is_flag=True, help="All studies.")
@click.option("--seeds", type=click.IntRange(1), help="Runs a row [default: the study's].")
@click.option("--row", "rows", multiple=True, help="Only this row (repeatable).")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--dask", metavar="ADDRESS", help="A Dask scheduler to run on, tcp://HOST:PORT.")
@click.option(
    "--results", type=click.Path(file_okay=False, path_type=Path), default=RESULTS,
    help="Directory of the results [default: experiments/results].",
)  # fmt: skip
def command(
    *,
    studies: tuple[str, ...],
    everything: bool,
    seeds: int | None,
    rows: tuple[str, ...],
    jobs: int,
    dask: str | None,
    results: Path,
) -> None:
    """Measure STUDIES; what has a result is not measured again. Without any: list them."""
    try:
        if not studies and not everything:
            _list(results)
            return
        tasks = []
        for name in STUDIES if everything else studies:
            wanted = STUDIES[name].tasks(name, seeds)
            missing = still_to_do(wanted, read_records(results_file(name, results)))
            tasks += [task for task in missing if not rows or task.row in rows]
        with workers(dask):
            run(tasks, jobs, results, "python -m experiments.run " + " ".join(sys.argv[1:]))
    except UserError as error:
        raise click.ClickException(str(error)) from error


def _list(results: Path) -> None:
    for name, study in STUDIES.items():
        tasks = study.tasks(name)
        missing = still_to_do(tasks, read_records(results_file(name, results)))
        done = f"{len(tasks) - len(missing)}/{len(tasks)}"
        click.echo(f"python -m experiments.run {name:<17} # {done:>7} runs: {study.title}")
    click.echo("python -m experiments.tables                # the tables into the docs")


if __name__ == "__main__":
    command()
