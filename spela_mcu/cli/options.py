"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from spela_mcu.files import check_directory, locked
from spela_mcu.spec.learning import BATCH_MAX, Format
from spela_mcu.spec.limits import UINT32_MAX

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

SEED = click.IntRange(0, UINT32_MAX)
COUNT = click.IntRange(1, UINT32_MAX)
"""A seed and a limit, as in model.yaml."""

STEPS_MAX = 10_000_000
"""Learning steps in a simulator: the most take days, and their order is held in memory."""


def model_argument(function: Decorated) -> Decorated:
    """The model.yaml a command works on."""
    return click.argument("model", type=click.Path(dir_okay=False, path_type=Path))(function)


def json_option(function: Decorated) -> Decorated:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")(
        function
    )


def simulator_option(
    order: str = "Renode, else QEMU, else Unicorn",
) -> Callable[[Decorated], Decorated]:
    """--simulator; `order` is the order in which auto looks."""
    return click.option(
        "--simulator",
        "simulator_choice",
        type=click.Choice(["auto", "renode", "qemu", "unicorn"]),
        default="auto",
        show_default=True,
        help=f"auto: {order}, of those that know the board.",
    )


def arithmetic_options(function: Decorated) -> Decorated:
    """--weights, --batch: the arithmetic of learning."""
    for option in (
        click.option(
            "--batch",
            type=click.IntRange(1, BATCH_MAX),
            help="Another number of updates summed than model.yaml's.",
        ),
        click.option(
            "--weights",
            type=click.Choice(get_args(Format)),
            help="Other weights than model.yaml's.",
        ),
    ):
        function = option(function)
    return function


def build_options(function: Decorated) -> Decorated:
    """--board, --compiler, --optimization: where the firmware runs and how it is built."""
    for option in (
        click.option(
            "--optimization",
            type=click.Choice(["O0", "O1", "O2", "O3", "Os"]),
            help="Another optimisation level than model.yaml's.",
        ),
        click.option(
            "--compiler",
            type=click.Choice(["auto", "gcc", "zig"]),
            help="Another compiler than model.yaml's.",
        ),
        click.option("--board", help="Another board than model.yaml's (see: spela-mcu boards)."),
    ):
        function = option(function)
    return function


def output_directory(output: Path | None, model: Path, name: str) -> Path:
    """Where a command writes to: -o, or build/NAME beside the model.yaml.

    Asked for first, so that nobody waits for work whose results have no place.

    Raises:
        UserError: nothing can be written there.
    """
    from spela_mcu.pipeline import work_directory

    directory = output or work_directory(model) / name
    check_directory(directory)
    return directory


def claimed(directory: Path) -> Path:
    """The directory, locked against other runs until the command ends."""
    click.get_current_context().with_resource(locked(directory))
    return directory
