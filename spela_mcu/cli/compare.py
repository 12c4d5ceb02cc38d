"""``spela-mcu compare``: SPELA on a model's data, against the alternatives."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import click
from rich.table import Table

from spela_mcu.cli.console import print_json, stdout
from spela_mcu.cli.data import show_notices
from spela_mcu.cli.options import (
    STEPS_MAX,
    claimed,
    json_option,
    model_argument,
    output_directory,
)
from spela_mcu.commands.compare import compare
from spela_mcu.contenders.standings import COMPARISON_FILE, Comparison, Standing
from spela_mcu.continual.stream import KINDS, Kind, Shape
from spela_mcu.data.load import load_dataset
from spela_mcu.files import write_whole
from spela_mcu.progress import progress_bars
from spela_mcu.spec.limits import MAX_CLASSES, UINT16_MAX
from spela_mcu.spec.load import load_spec

REHEARSED = 300
"""Samples rehearsed after each later experience, unless told otherwise."""


@click.command()
@model_argument
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Directory for results; what it holds is not done again [default: build/compare].",
)  # fmt: skip
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=3, show_default=True,
    help="Runs of each contender, with seeds from 0.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1, 1024), help="Processes at once [default: one a core]."
)
@click.option("--dask", metavar="ADDRESS", help="Run on the Dask cluster with this scheduler.")
@click.option(
    "--stream", type=click.Choice(KINDS),
    help="Learn the data as a stream of experiences, one after another.",
)  # fmt: skip
@click.option(
    "--first", type=click.IntRange(2, MAX_CLASSES), help="Classes of the first experience [half]."
)
@click.option(
    "--group", type=click.IntRange(1, MAX_CLASSES), help="Classes of each later experience [1]."
)
@click.option(
    "--shots", type=click.IntRange(1, UINT16_MAX), help="Samples of a class in a later one [all]."
)
@click.option(
    "--rehearse", type=click.IntRange(0, STEPS_MAX), metavar="N",
    help=f"Samples rehearsed after each later experience [{REHEARSED}].",
)  # fmt: skip
@json_option
def command(
    *,
    model: Path,
    output: Path | None,
    seeds: int,
    jobs: int | None,
    dask: str | None,
    stream: Kind | None,
    first: int | None,
    group: int | None,
    shots: int | None,
    rehearse: int | None,
    as_json: bool,
) -> None:
    """Compare SPELA on MODEL (a model.yaml) with the alternatives.

    All learn the same training part and answer the same test part: SPELA in float with its three
    losses, quantised after training, and learned from scratch in the chip's int8 and int16, with
    convolutions also in int12;
    backpropagation of the same layers; and TensorFlow Lite Micro, if tensorflow and tflite-micro
    are installed. An interrupted comparison resumes where it stopped.

    With --stream they learn it piece by piece, as a device in the field does: class-incremental,
    classes that come one after another; new-instance, new samples of the same classes; new-user,
    each group of the test part. Beside SPELA that rehearses as learning.rehearsal says stand naive
    learning, learning all at once, backpropagation that rehearses the same, nearest neighbours and
    nearest class means.
    """
    if stream is None:
        given = {"--first": first, "--group": group, "--shots": shots, "--rehearse": rehearse}
        for name, value in given.items():
            if value is not None:
                raise click.UsageError(f"{name} goes with --stream")
    directory = output_directory(output, model, "compare")
    spec = load_spec(model)
    dataset = load_dataset(spec, model, progress=True)
    show_notices(dataset.notices)
    typed = shlex.join(["spela-mcu", *sys.argv[1:]])
    if stream is not None:
        from spela_mcu.cli.compare_stream import show
        from spela_mcu.commands.compare_stream import compare_stream

        with progress_bars() as progress:
            streamed = compare_stream(
                model,
                spec,
                dataset,
                stream,
                Shape(first, group or 1, shots),
                steps=REHEARSED if rehearse is None else rehearse,
                seeds=seeds,
                command=typed,
                jobs=jobs or -1,
                dask=dask,
                progress=progress,
            )
        show(streamed, claimed(directory), as_json=as_json)
        return
    with progress_bars() as progress:
        found = compare(
            model,
            spec,
            dataset,
            claimed(directory),
            seeds=seeds,
            command=typed,
            jobs=jobs or -1,
            dask=dask,
            progress=progress,
        )
    report = found.to_json()
    write_whole(directory / COMPARISON_FILE, (json.dumps(report, indent=2) + "\n").encode())
    if as_json:
        print_json(report)
    else:
        _print(found, directory)


def _print(found: Comparison, directory: Path) -> None:
    train, _, test = found.samples
    count = len(found.seeds)
    table = Table(
        title=f"{found.spec.name}: accuracy in % of {test:,} test samples, mean of {count} "
        f"seed{'s' * (count > 1)} ± standard deviation; {train:,} training samples",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    exits = max(len(one.mean) for one in found.standings)
    table.add_column("", no_wrap=True)
    for exit_ in range(exits - 1):
        table.add_column(f"exit {exit_}", justify="right")
    for heading in ("last exit", "flash", "RAM", "infer", "learn"):
        table.add_column(heading, justify="right")
    for one in found.standings:
        table.add_row(one.contender.title, *_shares(one, exits), *_figures(one))
    stdout.print(table)
    stdout.print(
        "flash and RAM in bytes; infer and learn: instructions of an inference and of a mean "
        f"learning step (learning.batch: {found.spec.learning.batch})",
        soft_wrap=True,
    )
    titles: dict[str, list[str]] = {}
    for one in found.standings:
        if one.cost is not None:
            titles.setdefault(one.cost.note, []).append(one.contender.title)
    for note, those in titles.items():
        stdout.print(f"{'; '.join(those)}: {note}", soft_wrap=True, markup=False)
    for skipped in found.skipped:
        stdout.print(f"left out: {skipped.contender.title}: {skipped.reason}", markup=False)
        stdout.print(f"  mend: {skipped.mend}", markup=False)
    if found.above_tflm is not None:
        points = ", ".join(f"{value:+.2f}" for value in found.above_tflm)
        stdout.print(f"same float weights, our int8 above TFLM's: {points} points", soft_wrap=True)
    stdout.print(f"results: {directory}", soft_wrap=True, markup=False)


def _shares(one: Standing, exits: int) -> list[str]:
    spread = one.spread or (None,) * len(one.mean)
    cells = [
        f"{100 * mean:.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}")
        for mean, deviation in zip(one.mean, spread, strict=True)
    ]
    return [*cells[:-1], *[""] * (exits - len(cells)), cells[-1]]


def _figures(one: Standing) -> list[str]:
    if one.cost is None:
        return [""] * 4
    cost = one.cost
    values = (cost.flash_bytes, cost.ram_bytes, cost.instructions, cost.learn_instructions)
    return ["-" if value is None else f"{value:,}" for value in values]
