"""``spela-mcu report``: all that can be measured of a model, on one page."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from spela_mcu.cli.console import print_json, stdout
from spela_mcu.cli.data import show_notices
from spela_mcu.cli.options import STEPS_MAX, claimed, json_option, output_directory
from spela_mcu.contenders.standings import (
    COMPARISON_FILE,
    KeptComparison,
    read_comparison,
    settings_digest,
    versions,
)
from spela_mcu.continual.standings import KeptStreamComparison, read_streams
from spela_mcu.errors import UserError
from spela_mcu.files import make_directory, write_whole
from spela_mcu.pipeline import prepare, work_directory
from spela_mcu.progress import progress_bars

PAGE = "report.html"


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Directory for page and pictures [default: build/report].",
)  # fmt: skip
@click.option(
    "--learn-steps", type=click.IntRange(1, STEPS_MAX), default=1000, show_default=True,
    help="Samples the simulated device learns, at most.",
)  # fmt: skip
@json_option
def command(*, run: Path, output: Path | None, learn_steps: int, as_json: bool) -> None:
    """Measure the model of RUN and show it on one self-contained HTML page.

    RUN is a model.yaml, or the directory of a comparison (spela-mcu compare -o), whose model is
    measured. Comparisons in build/compare, or in RUN, are part of the page.
    """
    compared = _found(run)
    model, comparison, streams = compared.model, compared.comparison, compared.streams
    directory = output_directory(output, model, "report")
    prepared = prepare(model, train=True, progress=True)
    show_notices(prepared.dataset.notices)
    from spela_mcu.commands.report import measure
    from spela_mcu.pictures.report import draw_comparison, draw_stream, pictures
    from spela_mcu.report.page import report_page

    with progress_bars() as progress:
        found = measure(prepared, claimed(directory), device_steps=learn_steps, progress=progress)
    fits = comparison is not None and comparison.settings == settings_digest(prepared.spec)
    drawn = pictures(found)
    if comparison is not None and fits:
        drawn["comparison"] = draw_comparison(comparison.contenders)
    fitting = tuple(one for one in streams if one.settings == settings_digest(prepared.spec))
    drawn |= {one.stream.kind: draw_stream(one.learners) for one in fitting}
    page = report_page(
        found,
        drawn,
        comparison if fits else None,
        command=shlex.join(["spela-mcu", *sys.argv[1:]]),
        versions=versions(),
        streams=fitting,
    )
    make_directory(directory / "pictures")
    for name, svg in drawn.items():
        write_whole(directory / "pictures" / f"{name}.svg", svg.encode())
    write_whole(directory / PAGE, page.encode(errors="backslashreplace"))
    if as_json:
        files = {name: str(directory / "pictures" / f"{name}.svg") for name in drawn}
        report = found.verification.to_json()
        print_json({"page": str(directory / PAGE), "pictures": files, "verification": report})
        return
    if len(fitting) < len(streams):
        stdout.print("a stream of other settings is left out: run compare --stream anew")
    if comparison is not None and not fits:
        stdout.print("the comparison, of other settings, is left out: run spela-mcu compare anew")
    right = 100 * float((found.answers.labels[-1] == found.test_labels).mean())
    stdout.print(f"network as used: {right:.2f} %, {found.tested}", soft_wrap=True)
    stdout.print(f"report: {directory / PAGE}", soft_wrap=True, markup=False)


@dataclass(frozen=True)
class _Compared:
    """A model, and the comparisons of it that there are."""

    model: Path
    comparison: KeptComparison | None
    streams: tuple[KeptStreamComparison, ...]


def _found(run: Path) -> _Compared:
    """The model.yaml that is meant, and its comparisons."""
    directory = run if run.is_dir() else work_directory(run) / "compare"
    file = directory / COMPARISON_FILE
    comparison = read_comparison(file) if file.is_file() else None
    streams = read_streams(directory)
    models = [one.model for one in (comparison, *streams) if one is not None]
    if not run.is_dir():
        model = run.absolute()
    elif models:
        model = models[0]
    else:
        raise UserError(
            "holds no comparison",
            file=run,
            mend="name a model.yaml, or the directory that spela-mcu compare wrote to",
        )
    if comparison is not None and comparison.model != model:
        comparison = None
    return _Compared(
        run if not run.is_dir() else model,
        comparison,
        tuple(one for one in streams if one.model == model),
    )
