"""``spela-mcu device PORT record`` and ``monitor``: what goes on until somebody ends it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from spela_mcu.cli.console import print_json, stdout
from spela_mcu.cli.device_options import BAUD_RATE, Line, line_options, sample_options
from spela_mcu.cli.device_view import Monitor, say
from spela_mcu.cli.options import COUNT, json_option
from spela_mcu.commands.device import SIMULATED
from spela_mcu.commands.device_record import LABEL, record
from spela_mcu.commands.device_samples import STDIN, Chosen, Stream, open_stream
from spela_mcu.commands.device_stream import Tally, infer, learn
from spela_mcu.commands.device_tables import label_column
from spela_mcu.device.serial_line import BAUD, SerialLine
from spela_mcu.errors import UserError
from spela_mcu.progress import progress_bars, silent

EVERY_S = 1.0
POINT_SAMPLES = 25
"""Samples between two points of the curve that `monitor` draws."""


@click.command("record")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--label", help="Of all samples.  [default: the last word of each line]")
@click.option(
    "--bare",
    is_flag=True,
    help="Write lines of numbers alone, as the data forwarder has them: no names, no labels.",
)
@click.option("--samples", type=COUNT, help="End after so many.")
@click.option("--baud", type=BAUD_RATE, default=BAUD, show_default=True)
@click.option(
    "-m", "--model", type=click.Path(dir_okay=False, path_type=Path),
    help="Name the columns as this model.yaml's data do.",
)  # fmt: skip
@json_option
@click.pass_obj
def record_command(
    port: str,
    file: Path,
    *,
    label: str | None,
    bare: bool,
    samples: int | None,
    baud: int,
    model: Path | None,
    as_json: bool,
) -> None:
    """Append labelled samples to a CSV.

    Samples that PORT sends as lines of text become rows of FILE, for `data.source: csv`; readings
    of a sensor do, for `data.source: series`. For a board whose firmware prints them, one a line,
    numbers with commas or spaces between, as for Edge Impulse's data forwarder; the application of
    a generated project sends none by itself. PORT may be -, the standard input. Ctrl-C ends it;
    what was recorded stays.
    """
    if port.startswith(SIMULATED):
        raise UserError(
            "a simulated board sends no samples by itself",
            mend="record from a serial port, or from the standard input: PORT is -",
        )
    if bare and label is not None:
        raise click.UsageError("--bare excludes --label")
    names: tuple[str, ...] | None = None
    column: str | None = None if bare else LABEL
    is_series = bare
    if model is not None and not bare:
        names, column, is_series = _columns_of(model)
    recorded = skipped = 0
    with _text_lines(port, baud) as lines, progress_bars() as progress, suppress(KeyboardInterrupt):
        for done in record(lines, file, label, names, column, apart=is_series):
            recorded, skipped = done.samples, done.skipped
            progress("recorded", recorded, samples or recorded)
            if recorded == samples:
                break
    if as_json:
        print_json({"file": str(file), "samples": recorded, "skipped": skipped})
        return
    say(f"{recorded} samples recorded in {file}")
    if skipped:
        say(f"{skipped} lines held none, and were skipped")


@contextmanager
def _text_lines(port: str, baud: int) -> Iterator[Iterator[str]]:
    if port == STDIN:
        yield iter(sys.stdin.readline, "")
        return
    with SerialLine(port, baud) as line:
        yield islice(line.lines(), 1, None)  # the first may have begun before the port was opened


def _columns_of(model: Path) -> tuple[tuple[str, ...], str, bool]:
    """Names of the inputs, and of the label's column; or of a reading's axes, and True."""
    from spela_mcu.data.load import load_dataset
    from spela_mcu.spec.data import SeriesData
    from spela_mcu.spec.load import load_spec

    spec = load_spec(model)
    if isinstance(spec.data, SeriesData):  # there may be no recording yet
        return spec.data.axes, label_column(spec), True
    dataset = load_dataset(spec, model, progress=True)
    if dataset.front_end is not None:
        return dataset.front_end.axes, label_column(spec), True
    return dataset.input_names, label_column(spec), False


@click.command("monitor")
@sample_options
@click.option("--learn", "teach", is_flag=True, help="Learn SAMPLES, rather than infer them.")
@click.option("--once", is_flag=True, help="Show one view, at the end of SAMPLES if there are any.")
@line_options
def monitor_command(*, line: Line, chosen: Chosen, teach: bool, once: bool) -> None:
    """Show accuracy and figures live.

    While SAMPLES, those of `infer`, are streamed; without any, every second. Ctrl-C ends it.
    """
    with line.open() as session, suppress(KeyboardInterrupt):
        monitor, device = Monitor(session), session.device
        console = stdout if stdout.is_terminal else Console(file=sys.stdout, highlight=False)
        live = nullcontext() if once else Live(console=console, auto_refresh=False)
        with live as view:
            for _ in _watched(monitor, chosen, teach=teach, once=once):
                if view is not None:
                    view.update(monitor.view(device.statistics()), refresh=True)
        if once:
            stdout.print(monitor.view(device.statistics()))


def _watched(monitor: Monitor, chosen: Chosen, *, teach: bool, once: bool) -> Iterator[None]:
    """Yields whenever there is something new to be seen."""
    if not chosen:
        while not once:
            yield
            time.sleep(EVERY_S)
        return
    tally, stream = Tally(), open_stream(monitor.session, chosen)
    do = learn if teach else infer
    shown = 0.0
    for _ in do(monitor.session.device, stream, tally, silent):
        if tally.recent is not None and tally.samples % POINT_SAMPLES == 0:
            monitor.add(tally.recent)
        if time.monotonic() - shown > EVERY_S / 4:
            monitor.note = _watching(stream, tally, teach=teach)
            yield
            shown = time.monotonic()
    monitor.note = _watching(stream, tally, teach=teach)
    yield


def _watching(stream: Stream, tally: Tally, *, teach: bool) -> str:
    of = "" if stream.total is None else f" of {stream.total}"
    return f"{tally.samples}{of} samples {'learned' if teach else 'inferred'}, {tally.told()}"
