"""``spela-mcu demo``: the whole job on one model, and one summary."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
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
from spela_mcu.commands.demo import Confirmation, Demo, demo, other_simulators
from spela_mcu.commands.verify import CurvePoint, Verification
from spela_mcu.files import write_whole
from spela_mcu.pictures.device_curve import draw_device_curve
from spela_mcu.pipeline import Overrides, prepare, training_directory
from spela_mcu.progress import progress_bars
from spela_mcu.simulators.choice import SimulatorChoice, find_simulator

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
    Cortex-M, lets it learn on the chip from untrained weights, and compares every bit. Without
    --simulator, it then learns and infers a little in every other simulator that is installed.
    Features of a backbone are computed once a sample, and compared with those of TensorFlow Lite
    Micro if tflite-micro is installed.

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
    others = other_simulators(prepared, simulator) if simulator_choice == "auto" else ()
    with progress_bars() as progress:
        found = demo(prepared, build, simulator, others, progress)
    picture = directory / "device_learning_curve.png"
    write_whole(picture, draw_device_curve(found.verification))
    files = {
        "firmware": str(directory / "firmware"),
        "elf": str(build.elf),
        "float_reference": str(training_directory(model)),
        "learning_curve": str(picture),
    }
    if as_json:
        print_json({**found.to_json(), "files": files})
    else:
        _print_summary(found, files)
    code = exit_code(found.verification, require_accuracy=require_accuracy)
    context.exit(code if found.passed else 1)


def _print_summary(made: Demo, files: dict[str, str]) -> None:
    found = made.verification
    print_accuracy(found)
    stdout.print(_curve_table(found.curve))
    stdout.print(_quantization_table(found))
    stdout.print(_size_table(made))
    stdout.print(verdict(found), soft_wrap=True)
    for line in (*map(_confirmed, made.confirmations), *_beside_tflm(made)):
        stdout.print(line, soft_wrap=True)
    for what, path in files.items():
        stdout.print(f"{what.replace('_', ' ')}: {os.path.relpath(path)}", soft_wrap=True)


def _confirmed(one: Confirmation) -> str:
    """What another simulator said (rich markup)."""
    if one.difference is None:
        count = f"{one.steps} learned states and {one.samples} samples"
        return f"[green]bit-exact[/]: {count} compared in {one.simulator}"
    return f"[red]not bit-exact[/] in {one.simulator}\n  first difference: {one.difference}"


def _beside_tflm(made: Demo) -> Iterator[str]:
    """How the backbone stands beside TensorFlow Lite Micro (rich markup)."""
    if made.backbone is None:
        return
    if made.tflm is None:
        yield f"not compared with TensorFlow Lite Micro: {escape(made.tflm_absent)}"
        return
    if made.tflm.differing:
        yield (
            f"[red]unlike TensorFlow Lite Micro[/]: {made.tflm.differing} of the features of "
            f"{made.tflm.samples} samples"
        )
    else:
        yield (
            f"[green]as TensorFlow Lite Micro[/]: the features of {made.tflm.samples} samples, in "
            "every byte"
        )
    yield (
        f"arena of the backbone: {made.backbone.arena_bytes:,} B; of TensorFlow Lite Micro, for "
        f"the whole .tflite on a 64-bit machine: {made.tflm.arena_bytes:,} B. Its instructions: "
        "docs/performance.md"
    )


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


def _size_table(made: Demo) -> Table:
    found = made.verification
    board = found.build.project.board
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
    plan = found.prepared.plan
    counts = [
        ("inference", found.infer_instructions, plan.infer_macs),
        ("learning step", found.learn_instructions, plan.macs),
    ]
    if found.recalls:
        counts[1:] = [("learning step, its features recalled", found.learn_instructions, plan.macs)]
    elif plan.front is not None:
        counts[1:] = [("learning step", found.learn_instructions, plan.infer_macs)]
    if plan.batch > 1:
        counts[1:] = [
            (f"{counts[1][0]}, mean", *counts[1][1:]),
            ("the longest of them", found.learn_instructions_most, counts[1][2]),
        ]
    for what, count, macs in counts:
        if count is not None:
            table.add_row(
                what, f"{count:,} instructions", f"{count / macs:.2f} per MAC of {macs:,}"
            )
    return table
