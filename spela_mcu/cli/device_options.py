"""What the subcommands of ``spela-mcu device`` have in common: the line, and samples."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from spela_mcu.cli.options import COUNT
from spela_mcu.commands.device import Known, Session, connected
from spela_mcu.commands.device_samples import Chosen, Part
from spela_mcu.device.serial_line import BAUD

BAUD_RATE = click.IntRange(300, 20_000_000)
PARTS = click.Choice(["train", "validation", "test"])


@dataclass(frozen=True)
class Line:
    """What the options of every subcommand say."""

    port: str
    known: Known
    baud: int | None

    def open(self) -> AbstractContextManager[Session]:
        """See `connected`."""
        return connected(self.port, self.known, self.baud)


def line_options(function: Callable[..., object]) -> Any:  # noqa: ANN401
    """-p, -m, --baud: what is at the other end, made into one Line."""

    @wraps(function)
    def with_line(
        *, project: Path | None, model: Path | None, baud: int | None, **rest: object
    ) -> object:
        port = click.get_current_context().obj
        return function(line=Line(port, Known(project, model), baud), **rest)

    decorated: Any = with_line
    for option in (
        click.option(
            "--baud",
            type=BAUD_RATE,
            help=f"Of a serial port.  [default: that of the project's board, else {BAUD}]",
        ),
        click.option(
            "-m", "--model", type=click.Path(dir_okay=False, path_type=Path),
            help="Its model.yaml: the samples' parts and scaling, the reference of diff.",
        ),
        click.option(
            "-p", "--project", type=click.Path(path_type=Path),
            help="Its generated project: what a simulated board runs, the classes' names.",
        ),
    ):  # fmt: skip
        decorated = option(decorated)
    return decorated


def sample_options(function: Callable[..., object]) -> Any:  # noqa: ANN401
    """SAMPLES, --split, --samples, made into one Chosen."""

    @wraps(function)
    def with_chosen(
        *, file: str | None, split: Part | None, samples: int | None, **rest: object
    ) -> object:
        return function(chosen=Chosen(file, split, samples), **rest)

    decorated: Any = with_chosen
    for option in (
        click.option("--samples", type=COUNT, help="At most so many of them."),
        click.option(
            "--split",
            type=PARTS,
            help="This part of the model.yaml's data in place of SAMPLES.",
        ),
        click.argument("file", metavar="[SAMPLES]", required=False),
    ):
        decorated = option(decorated)
    return decorated
