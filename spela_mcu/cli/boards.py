"""``spela-mcu boards``: the boards that a project can run on."""

from __future__ import annotations

from typing import Literal

import click
from rich.table import Table

from spela_mcu.cli.console import print_json, stdout
from spela_mcu.cli.options import json_option


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the boards a project can be generated for."""
    from spela_mcu.firmware.board import load_boards

    boards = load_boards()
    if as_json:
        print_json([board.model_dump(mode="json", by_alias=True) for board in boards])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("board", "core", "extensions", "flash", "RAM", "simulators"):
        justify: Literal["left", "right"] = "right" if heading in ("flash", "RAM") else "left"
        table.add_column(heading, justify=justify, no_wrap=True)
    for board in boards:
        table.add_row(
            board.id,
            board.core.removeprefix("cortex-").replace("plus", "+").upper(),
            " ".join(name for name in ("fpu", "dsp", "mve") if getattr(board, name)),
            f"{board.flash.bytes // 1024} KB",
            f"{board.ram.bytes // 1024} KB",
            " ".join(board.simulators.names),
        )
    stdout.print(table)
