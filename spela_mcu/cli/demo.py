"""``spela-mcu demo``: the whole job on one model, and one summary."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from spela_mcu.cli.console import print_json, stderr, stdout
from spela_mcu.cli.data import show_notices
from spela_mcu.cli.options import (
    build_options,
    claimed,
    json_option,
    model_argument,
    output_directory,
    simulator_option,
)
from spela_mcu.cli.verify import exit_code, print_accuracy, require_accuracy_option, verdict
from spela_mcu.commands.verify import CurvePoint, Verification, verify
from spela_mcu.files import write_whole
from spela_mcu.pictures.device_curve import draw_device_curve
from spela_mcu.pipeline import Overrides, prepare, training_directory
from spela_mcu.progress import progress_bars
from spela_mcu.simulators.choice import SimulatorChoice, find_simulator

CURVE_POINTS = 12
BAR = 40


@click.command()
@model_argument
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Directory for all that is made [default: build/demo].",
)  # fmt: skip
@simulator_option()
@build_options
@require_accuracy_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    model: Path,
    output: Path | None,
    as_json: bool,
    require_accuracy: bool,
    simulator_choice: SimulatorChoice,
    **options: Any,  # noqa: ANN401 - click's, passed on by name
) -> None:
    """Do the whole job on MODEL (a model.yaml) and print one summary.

    Trains the float reference, generates and builds the firmware, runs it on a simulated
    Cortex-M, lets it learn on the chip from untrained weights, and compares every bit.

    Exits with 0 if all is equal and the accuracy is not shown to be below the tolerance, with 1
    if not; with --require-accuracy, with 3 where the accuracy is not shown either way.
    """
    directory = output_directory(output, model, "demo")
    overrides = Overrides(start="untrained", **options)
    prepared = prepare(model, overrides, train=True, progress=True)
    show_notices(prepared.dataset.notices)
    simulator = find_simulator(prepared.board, simulator_choice)
    stderr.print("generating and building the firmware ...")
    build = prepared.deploy(claimed(directory) / "firmware")
    steps = prepared.spec.learning.epochs * len(prepared.dataset.train)
    stderr.print(f"learning {steps} samples on a {prepared.board.title} in {simulator} ...")
    with progress_bars() as progress:
        found = verify(
            prepared,
            build,
            simulator,
            learn_steps=steps,
            checkpoints=CURVE_POINTS,
            progress=progress,
        )
    picture = directory / "device_learning_curve.png"
    write_whole(picture, draw_device_curve(found))
    files = {
        "firmware": str(directory / "firmware"),
        "elf": str(build.elf),
        "float_reference": str(training_directory(model)),
        "learning_curve": str(picture),
    }
    if as_json:
        curve = [{"steps": point.steps, "accuracy": point.accuracy} for point in found.curve]
        print_json({**found.to_json(), "learning_curve": curve, "files": files})
    else:
        _print_summary(found, files)
    context.exit(exit_code(found, require_accuracy=require_accuracy))


def _print_summary(found: Verification, files: dict[str, str]) -> None:
    print_accuracy(found)
    stdout.print(_curve_table(found.curve))
    stdout.print(_quantization_table(found))
    stdout.print(_size_table(found))
    stdout.print(verdict(found), soft_wrap=True)
    for what, path in files.items():
        stdout.print(f"{what.replace('_', ' ')}: {os.path.relpath(path)}", soft_wrap=True)


def _curve_table(curve: tuple[CurvePoint, ...]) -> Table:
    table = Table(title="learning on the chip, from untrained weights", title_justify="left")
    table.add_column("samples learned", justify="right")
    table.add_column("accuracy % of the last exit", justify="right")
    table.add_column("", no_wrap=True)
    for point in curve:
        share = point.accuracy[-1]
        table.add_row(str(point.steps), f"{100 * share:.1f}", "█" * round(BAR * share))
    return table


def _quantization_table(found: Verification) -> Table:
    plan = found.prepared.plan
    table = Table(
        title=f"what {plan.weights} weights with {plan.rounding} rounding did to the updates",
        title_justify="left",
    )
    sums = ("sums",) if plan.batch > 1 else ()
    for heading in ("layer", "updates", *sums, "to zero %", "saturated %", "clipped", "halvings"):
        table.add_column(heading, justify="right")
    for index, layer in enumerate(found.quantization):
        table.add_row(
            str(index),
            f"{layer.updates:,}",
            *(f"{layer.applications:,}" for _ in sums),
            f"{100 * layer.rounded_to_zero:.1f}",
            f"{100 * layer.saturated:.2f}",
            str(layer.multipliers_clipped),
            str(layer.halvings),
        )
    return table


def _size_table(found: Verification) -> Table:
    board, macs = found.build.project.board, found.prepared.plan.macs
    table = Table(title=f"cost on {board.title}", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("")
    for what, used, region in (
        ("flash", found.build.flash_bytes, board.flash),
        ("RAM", found.build.ram_bytes, board.ram),
    ):
        share = 100 * used / region.bytes
        table.add_row(what, f"{used:,} B", f"{share:.1f} % of {region.bytes // 1024} KiB")
    table.add_row("stack used", f"{found.stack_bytes:,} B", "within the RAM above")
    counts = [
        ("inference", found.infer_instructions),
        ("learning step", found.learn_instructions),
    ]
    if found.prepared.plan.batch > 1:
        counts[1:] = [
            ("learning step, mean", found.learn_instructions),
            ("the longest of them", found.learn_instructions_most),
        ]
    for what, count in counts:
        if count is not None:
            table.add_row(
                what, f"{count:,} instructions", f"{count / macs:.2f} per MAC of {macs:,}"
            )
    return table
