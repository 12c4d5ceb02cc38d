"""``spela-mcu init``: a starter to adapt."""

from __future__ import annotations

from pathlib import Path

import click

from spela_mcu.cli.console import command_line, stdout


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=".")
def command(directory: Path) -> None:
    """Write a commented model.yaml into DIRECTORY (default: here); it works as it is."""
    from spela_mcu.spec.starter import write_starter

    path = write_starter(directory)
    stdout.print(f"wrote {path}", soft_wrap=True, markup=False)
    stdout.print(f"next:  {command_line('verify', path)}", soft_wrap=True, markup=False)
