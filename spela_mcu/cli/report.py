"""``spela-mcu report``: all that can be measured of a model, on one page."""

from __future__ import annotations

import shlex
import sys
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
    measured. A comparison in build/compare, or in RUN, is part of the page.
    """
    model, comparison = _found(run)
    directory = output_directory(output, model, "report")
    prepared = prepare(model, train=True, progress=True)
    show_notices(prepared.dataset.notices)
    from spela_mcu.commands.report import measure
    from spela_mcu.pictures.report import draw_comparison, pictures
    from spela_mcu.report.page import report_page

    with progress_bars() as progress:
        found = measure(prepared, claimed(directory), device_steps=learn_steps, progress=progress)
    fits = comparison is not None and comparison.settings == settings_digest(prepared.spec)
    drawn = pictures(found)
    if comparison is not None and fits:
        drawn["comparison"] = draw_comparison(comparison.contenders)
    page = report_page(
        found,
        drawn,
        comparison if fits else None,
        command=shlex.join(["spela-mcu", *sys.argv[1:]]),
        versions=versions(),
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
    if comparison is not None and not fits:
        stdout.print("the comparison, of other settings, is left out: run spela-mcu compare anew")
    right = 100 * float((found.answers.labels[-1] == found.test_labels).mean())
    stdout.print(f"network as used: {right:.2f} %, {found.tested}", soft_wrap=True)
    stdout.print(f"report: {directory / PAGE}", soft_wrap=True, markup=False)


def _found(run: Path) -> tuple[Path, KeptComparison | None]:
    """The model.yaml, and the comparison if there is one."""
    if run.is_dir():
        file = run / COMPARISON_FILE
        if not file.is_file():
            raise UserError(
                "holds no comparison",
                file=run,
                mend="name a model.yaml, or the directory that spela-mcu compare wrote to",
            )
        comparison = read_comparison(file)
        return comparison.model, comparison
    file = work_directory(run) / "compare" / COMPARISON_FILE
    if not file.is_file():
        return run, None
    comparison = read_comparison(file)
    return run, comparison if comparison.model == run.absolute() else None
