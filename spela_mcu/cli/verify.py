"""``spela-mcu verify``: device against reference, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from spela_mcu.cli.console import print_json, stderr, stdout
from spela_mcu.cli.options import (
    COUNT,
    SEED,
    STEPS_MAX,
    build_options,
    json_option,
    model_argument,
    progress_bars,
    simulator_option,
)
from spela_mcu.commands.verify import Verification, verify
from spela_mcu.pipeline import Overrides, prepare, work_directory
from spela_mcu.simulators.choice import SimulatorChoice, find_simulator


@click.command()
@model_argument
@click.option(
    "--learn-steps", type=click.IntRange(0, STEPS_MAX), default=500, show_default=True,
    help="Samples the device learns, its state compared after every one.",
)  # fmt: skip
@click.option(
    "--samples", type=COUNT, default=1000, show_default=True,
    help="Test samples, at most, whose answers are compared at every exit.",
)  # fmt: skip
@click.option(
    "--weights", type=click.Choice(["int8", "int16"]), help="Other weights than model.yaml's."
)
@click.option(
    "--seed", type=SEED,
    help="Another seed of weights, embeddings and order than model.yaml's.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the generated project [default: build/verify].",
)  # fmt: skip
@simulator_option()
@build_options
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    model: Path,
    learn_steps: int,
    samples: int,
    as_json: bool,
    output: Path | None,
    simulator_choice: SimulatorChoice,
    **options: Any,  # noqa: ANN401 - click's, passed on by name
) -> None:
    """Prove that the firmware of MODEL (a model.yaml) computes what the reference says.

    Generates, builds and runs the firmware on a simulated board, lets it learn, and compares
    its learned state after every step and its answers at every exit with the integer reference.
    A float network that starts and learns alike is the yardstick for accuracy.

    Exits with 0 if all is equal and the device's accuracy is within the tolerance of float's.
    """
    prepared = prepare(model, Overrides(**options), progress=not as_json)
    simulator = find_simulator(prepared.board, simulator_choice)
    build = prepared.deploy(output or work_directory(model) / "verify")
    stderr.print(f"simulating {prepared.board.title} in {simulator} ...")
    with progress_bars() as progress:
        found = verify(
            prepared, build, simulator, learn_steps=learn_steps, samples=samples, progress=progress
        )
    if as_json:
        print_json(found.to_json())
    else:
        stdout.print(accuracy_table(found))
        stdout.print(verdict(found), soft_wrap=True)
        if found.not_counted:
            stderr.print(f"instructions were not counted: {found.not_counted}", soft_wrap=True)
    context.exit(0 if found.passed else 1)


def accuracy_table(found: Verification) -> Table:
    """Accuracy per exit: float, integer reference, device."""
    table = Table(
        title=f"{found.prepared.spec.name}: accuracy in % of "
        f"{found.inference.labels.shape[1]} test samples, "
        f"{found.learning.steps} samples learned",
        title_justify="left",
    )
    table.add_column("exit")
    columns = [
        ("float, trained in full", found.float_reference),
        ("float, learned alike", found.float_comparison.accuracy),
        ("integer reference", found.integer_accuracy),
        ("device", found.device_accuracy),
    ]
    shown = [(heading, shares) for heading, shares in columns if shares is not None]
    for heading, _ in shown:
        table.add_column(heading, justify="right")
    for exit_ in range(len(found.device_accuracy)):
        table.add_row(str(exit_), *(f"{100 * shares[exit_]:.2f}" for _, shares in shown))
    return table


def verdict(found: Verification) -> str:
    """What the comparison came to, in words (rich markup)."""
    learning, inference = found.learning, found.inference
    build = found.build
    where = (
        f"{build.project.board.core} ({build.project.board.id}), {build.compiler.name} "
        f"{build.optimization}, {found.simulator}"
    )
    if found.bit_exact:
        count = f"{learning.steps} learned states and {inference.labels.shape[1]} samples"
        head = f"[green]bit-exact[/]: {count} compared on {where}"
    else:
        head = f"[red]not bit-exact[/] on {where}\n  first difference: {found.difference}"
    comparison = found.float_comparison
    side = "below" if comparison.shortfall_points >= 0 else "above"
    below = (
        f"{abs(comparison.shortfall_points):.2f} points {side} float; tolerance "
        f"{found.prepared.spec.verify.tolerance_points:g}, resolution of one run "
        f"{comparison.resolution_points:.2f}"
    )
    mark = "[green]accurate[/]" if comparison.within_tolerance else "[red]not accurate[/]"
    return f"{head}\n{mark}: {below}"
