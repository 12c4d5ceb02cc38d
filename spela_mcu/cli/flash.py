"""``spela-mcu flash``: a built project onto a real board."""

from __future__ import annotations

from pathlib import Path

import click

from spela_mcu.cli.console import print_json, stderr, stdout
from spela_mcu.cli.options import json_option
from spela_mcu.commands.flash import flash
from spela_mcu.firmware.build import build_with
from spela_mcu.firmware.toolchain import CompilerChoice
from spela_mcu.progress import progress_bars


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--probe", help="Part of the debug probe's unique id, if there are several.")
@click.option(
    "--compiler", type=click.Choice(["auto", "gcc", "zig"]), default="auto", show_default=True,
    help="What to build with, if there is no build yet.",
)  # fmt: skip
@click.option(
    "--erase-learned", is_flag=True,
    help="Erase what the board has learned as well; without it, its store stays as it is.",
)  # fmt: skip
@json_option
def command(
    directory: Path,
    probe: str | None,
    compiler: CompilerChoice,
    erase_learned: bool,
    as_json: bool,
) -> None:
    """Write the generated project in DIRECTORY to its board through a debug probe (pyOCD).

    Builds it if needed, reads the flash back, and resets the board. Exits with 1 if the board
    cannot be written or reads back otherwise.
    """
    with stderr.status("building ..."):
        build = build_with(directory, compiler)
    with progress_bars() as progress:
        flashed = flash(build, probe, progress, erase_learned=erase_learned)
    if as_json:
        board = build.project.board.id
        print_json({"board": board, "elf": str(build.elf), **vars(flashed), "verified": True})
        return
    stdout.print(
        f"{flashed.bytes:,} bytes written to {flashed.target} and verified, through "
        f"{flashed.probe}; the board runs {build.project.name}",
        soft_wrap=True,
        markup=False,
    )
