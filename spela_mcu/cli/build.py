"""``spela-mcu build``: from a C project to a program."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from spela_mcu.cli.console import print_json, stderr, stdout
from spela_mcu.cli.options import json_option
from spela_mcu.firmware.build import Build, build_with
from spela_mcu.firmware.toolchain import (
    OPTIMIZATIONS,
    CompilerChoice,
    Optimization,
)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--compiler",
    type=click.Choice(["auto", "gcc", "zig"]),
    default="auto",
    show_default=True,
    help="auto: the core's gcc when it is on PATH, else zig.",
)
@click.option(
    "--optimization",
    type=click.Choice(OPTIMIZATIONS),
    help="Optimisation level, instead of the project's.",
)
@json_option
def command(
    directory: Path, compiler: CompilerChoice, optimization: Optimization | None, as_json: bool
) -> None:
    """Compile the generated project in DIRECTORY: ELF, hex, bin and sizes."""
    with stderr.status("building ..."):
        build = build_with(directory, compiler, optimization)
    if build.warnings:
        stderr.print(build.warnings, markup=False)
    if as_json:
        print_json(_summary(build))
        return
    how = f"{build.compiler.version}, -{build.optimization}"
    title = f"{build.project.name} for {build.project.board.title}: {how}"
    stdout.print(title, soft_wrap=True, markup=False)
    stdout.print(_table(build))
    for kind, file in _files(build).items():
        stdout.print(f"{kind:5}{file}", soft_wrap=True, markup=False)


def _files(build: Build) -> dict[str, str]:
    files = {"elf": build.elf, "hex": build.hex_file, "bin": build.bin_file, "map": build.map_file}
    return {kind: str(file) for kind, file in files.items()}


def _summary(build: Build) -> dict[str, object]:
    return {
        "name": build.project.name,
        "board": build.project.board.id,
        "compiler": build.compiler.name,
        "compiler_version": build.compiler.version,
        "optimization": build.optimization,
        "flash_bytes": build.flash_bytes,
        "ram_bytes": build.ram_bytes,
        "sections": {section.name: section.bytes for section in build.sections},
        "warnings": build.warnings,
        "files": _files(build),
    }


def _table(build: Build) -> Table:
    board = build.project.board
    table = Table(box=None, pad_edge=False)
    table.add_column("section")
    table.add_column("address")
    table.add_column("bytes", justify="right")
    table.add_column("")
    for section in build.sections:
        in_ram = board.ram.holds(section.address)
        place = "flash and RAM" if in_ram and section.is_loaded else "RAM" if in_ram else "flash"
        table.add_row(section.name, f"0x{section.address:08x}", f"{section.bytes:,}", place)
    for name, used, region in (
        ("flash", build.flash_bytes, board.flash),
        ("RAM", build.ram_bytes, board.ram),
    ):
        share = f"{100 * used / region.bytes:.1f} % of {region.bytes // 1024} KB"
        table.add_row(name, "", f"{used:,}", share, style="bold")
    return table
