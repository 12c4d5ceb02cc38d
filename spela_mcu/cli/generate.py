"""``spela-mcu generate``: from model.yaml to a C project."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from spela_mcu.cli.console import command_line, print_json, stdout
from spela_mcu.cli.data import data_summary, show_data, show_notices
from spela_mcu.cli.options import json_option, model_argument, output_directory
from spela_mcu.firmware.manifest import LIBRARY_FORMS, LibraryForm
from spela_mcu.firmware.memory import MemoryPlan
from spela_mcu.firmware.store import SAVES_A_DAY, wear

SAMPLES = 20
"""Test samples that a project carries to be tried with."""


@click.command()
@model_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Directory of the project.  [default: build/firmware beside model.yaml; with --as, "
    "build/FORM]",
)
@click.option(
    "--as",
    "form",
    type=click.Choice(LIBRARY_FORMS),
    help="A library for that ecosystem, in place of a project for the board.",
)
@click.option("--board", help="Board to generate for, instead of model.yaml's.")
@click.option("--inference-only", is_flag=True, help="Leave learning out: weights stay in flash.")
@json_option
def command(
    *,
    model: Path,
    output: Path | None,
    form: LibraryForm | None,
    board: str | None,
    inference_only: bool,
    as_json: bool,
) -> None:
    """Write the C project of MODEL (a model.yaml), if it fits the board."""
    from spela_mcu.firmware.directory import write_project
    from spela_mcu.firmware.project import generate_project
    from spela_mcu.forms.make import make_form
    from spela_mcu.pipeline import Overrides, prepare

    directory = output_directory(output, model, form or "firmware")
    prepared = prepare(model, Overrides(board=board), inference_only=inference_only, progress=True)
    if as_json:
        show_notices(prepared.dataset.notices)
    else:
        show_data(prepared.dataset)
    target = prepared.spec.target
    test = prepared.test_samples(SAMPLES)
    source = prepared.source(inference_only=inference_only)
    samples = (test.samples, test.y)
    project = (
        generate_project(
            source,
            prepared.board,
            optimization=target.optimization,
            inference_only=inference_only,
            samples=samples,
            guard=prepared.guard,
        )
        if form is None
        else make_form(
            form,
            source,
            samples,
            optimization=target.optimization,
            inference_only=inference_only,
        )
    )
    write_project(project, directory)
    if as_json:
        memory = prepared.memory
        parts = ["code", "tables", "weights", "buffers", "pending", "application", "stack"]
        parts += ["front_end"] if memory.front_end else []
        print_json(
            {
                "directory": str(directory),
                "form": project.form,
                "board": memory.board.id,
                "flash_bytes_at_most": memory.flash,
                "ram_bytes": memory.ram,
                "bytes": {part: getattr(memory, part) for part in parts},
                "store": store_json(memory),
                "rehearsal": rehearsal_json(memory),
                "model_digest": f"0x{project.model.digest:08X}",
                "data": data_summary(prepared.dataset),
            }
        )
        return
    stdout.print(memory_table(prepared.memory))
    stdout.print(f"store: {store_text(prepared.memory)}", soft_wrap=True, markup=False)
    stdout.print(f"wrote {directory}", soft_wrap=True, markup=False)
    if prepared.drawn:
        stdout.print("note:  the network starts untrained; it knows nothing before it has learned")
    after = command_line("build", directory) if form is None else f"see {directory / 'README.md'}"
    stdout.print(f"next:  {after}", soft_wrap=True, markup=False)


def store_text(memory: MemoryPlan) -> str:
    """Where learned states are kept, how long a save takes, and how long flash endures it."""
    plan = memory.store
    if plan is None or memory.board.store is None:
        return "none: what is learned is lost with power"
    kept = "the saved state" if len(plan.slots) == 1 else "the saved state and a checkpoint"
    said = f"{kept}, from 0x{memory.board.store.address:08x}; {plan.state_bytes:,} bytes each"
    costs = wear(memory.board, plan)
    if costs is None:
        return said
    return (
        f"{said}; a save takes {costs.save.typical:.2g} s, {costs.save.longest:.2g} s at most; "
        f"{costs.saves:,} saves, {SAVES_A_DAY} a day for {costs.years:.1f} years"
    )


def store_json(memory: MemoryPlan) -> dict[str, object] | None:
    """As `store_text`, for --json; None: nothing is kept."""
    plan = memory.store
    if plan is None or memory.board.store is None:
        return None
    costs = wear(memory.board, plan)
    return {
        "address": memory.board.store.address,
        "state_bytes": plan.state_bytes,
        "slot_bytes": plan.slots[0][0].bytes,
        "checkpoint": len(plan.slots) > 1,
        "wear": None
        if costs is None
        else {
            "save_seconds": costs.save.typical,
            "save_seconds_at_most": costs.save.longest,
            "saves": costs.saves,
            "years_at_four_a_day": round(costs.years, 1),
        },
    }


def rehearsal_json(memory: MemoryPlan) -> dict[str, object] | None:
    """Where samples that are rehearsed lie in flash; None: none do."""
    plan = memory.rehearsal
    if plan is None:
        return None
    return {
        "address": plan.region.address,
        "bytes": plan.region.bytes,
        "block_bytes": plan.block_bytes,
        "samples": plan.blocks * plan.records,
    }


def memory_table(memory: MemoryPlan) -> Table:
    """Flash and RAM needed, item by item, against the board's."""
    table = Table(box=None, pad_edge=False)
    table.add_column(memory.board.id)
    table.add_column("bytes", justify="right")
    table.add_column("share", justify="right")
    flash, ram = memory.board.flash.bytes, memory.board.ram.bytes
    items = [
        ("flash", memory.flash, flash, "at most"),
        ("  code", memory.code, flash, "at most"),
        ("  tables", memory.tables, flash, ""),
        ("RAM", memory.ram, ram, ""),
        ("  weights", memory.weights, ram, ""),
        ("  buffers of the network", memory.buffers, ram, ""),
        ("  pending updates", memory.pending, ram, ""),
        ("  application", memory.application, ram, ""),
        ("  stack", memory.stack, ram, ""),
    ]
    if memory.front_end:
        items.insert(-2, ("  front end", memory.front_end, ram, ""))
    if memory.rehearsal is not None:
        size = memory.rehearsal.region.bytes
        items.insert(3, ("flash for samples rehearsed", size, flash, ""))
    for name, size, available, note in items:
        share = f"{100 * size / available:.1f} %"
        style = None if name.startswith(" ") else "bold"
        table.add_row(f"{name} ({note})" if note else name, f"{size:,}", share, style=style)
    return table
