"""``spela-mcu verify``: device against reference, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from spela_mcu.cli.console import print_json, stderr, stdout
from spela_mcu.cli.data import show_notices
from spela_mcu.cli.options import (
    COUNT,
    SEED,
    STEPS_MAX,
    Decorated,
    arithmetic_options,
    build_options,
    claimed,
    json_option,
    model_argument,
    output_directory,
    simulator_option,
)
from spela_mcu.commands.verify import Verification, verify
from spela_mcu.pipeline import Overrides, prepare
from spela_mcu.progress import progress_bars
from spela_mcu.proof.stress import stress
from spela_mcu.simulators.choice import SimulatorChoice, find_simulator


def require_accuracy_option(function: Decorated) -> Decorated:
    """--require-accuracy."""
    return click.option(
        "--require-accuracy",
        is_flag=True,
        help="Exit with 3 unless the accuracy is shown: within the tolerance of float, and better "
        "than always guessing the commonest class.",
    )(function)


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
@arithmetic_options
@click.option(
    "--seed", type=SEED,
    help="Another seed of weights, embeddings and order than model.yaml's.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the generated project [default: build/verify]; that of the stress gets "
    "\"-stress\" at its name's end.",
)  # fmt: skip
@click.option(
    "--stress/--no-stress", "stressed", default=True, show_default=True,
    help="Also run two generated models of the same shape, which update, saturate, halve and clip "
    "in every layer.",
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
    learn_steps: int,
    samples: int,
    stressed: bool,
    require_accuracy: bool,
    as_json: bool,
    output: Path | None,
    simulator_choice: SimulatorChoice,
    **options: Any,  # noqa: ANN401 - click's, passed on by name
) -> None:
    """Prove that the firmware of MODEL (a model.yaml) computes what the reference says.

    Generates, builds and runs the firmware on a simulated board, lets it learn, and compares
    its learned state after every step and its answers at every exit with the integer reference.
    Then two models of the same shape are generated, built and run, whose rates, samples and
    labels force updates, halvings, clipped multipliers and saturated weights in every layer.
    For accuracy, float networks that start and learn alike are the yardstick: the device is
    shown to be within verify.tolerance_points of them, or shown not to be, or the test samples
    are too few to decide (Tango's score interval, one-sided 5 % either way).

    Exits with 0 if all is equal and the accuracy is not shown to be below the tolerance, with 1
    if not; with --require-accuracy, with 3 where the accuracy is not shown either way.
    """
    directory = output_directory(output, model, "verify")
    prepared = prepare(model, Overrides(**options), progress=True)
    show_notices(prepared.dataset.notices)
    simulator = find_simulator(prepared.board, simulator_choice)
    build = prepared.deploy(claimed(directory))
    stderr.print(f"simulating {prepared.board.title} in {simulator} ...")
    with progress_bars() as progress:
        found = verify(
            prepared, build, simulator, learn_steps=learn_steps, samples=samples, progress=progress
        )
        if stressed and found.bit_exact:
            whole = directory.resolve()
            beside = claimed(whole.with_name(f"{whole.name}-stress"))
            found = replace(found, stress=stress(prepared, beside, simulator, progress))
    if as_json:
        print_json(found.to_json())
    else:
        print_accuracy(found)
        stdout.print(_learning_table(found))
        stdout.print(verdict(found), soft_wrap=True)
        if found.not_counted:
            stderr.print(f"instructions were not counted: {found.not_counted}", soft_wrap=True)
    context.exit(exit_code(found, require_accuracy=require_accuracy))


def exit_code(found: Verification, *, require_accuracy: bool) -> int:
    """0: yes; 1: no; 3: the accuracy has to be shown and is not."""
    if not found.passed:
        return 1
    return 3 if require_accuracy and not found.accuracy_shown else 0


def print_accuracy(found: Verification) -> None:
    """Prints accuracy per exit of float, integer reference and device, and that of guessing."""
    stdout.print(
        f"{found.prepared.spec.name}: accuracy in % of {found.samples} test samples, after "
        f"{found.learning.steps:,} learning steps from {found.start}",
        soft_wrap=True,
    )
    stdout.print(_accuracy_table(found))
    stdout.print(
        f'always guessing "{escape(found.majority.name)}": {100 * found.majority.share:.2f}; '
        f"balanced accuracy of the device: {100 * found.majority.balanced:.2f}",
        soft_wrap=True,
    )


def _accuracy_table(found: Verification) -> Table:
    table = Table("exit")
    columns = [
        ("float, trained in full", None if found.trained is None else found.trained.accuracy),
        ("float, learned alike", found.floats.accuracy),
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
    """The outcome of the comparison in words (rich markup)."""
    return "\n".join(
        (
            _exactness(found),
            *_summed(found),
            _accuracy(found),
            *(f"[yellow]warning[/]: {escape(text)}" for text in found.warnings()),
        )
    )


def _learning_table(found: Verification) -> Table:
    """How much of the learning arithmetic was exercised, by layer."""
    table = Table(
        "layer",
        title="learning exercised: updates, halvings of the weights, clipped multipliers",
        title_justify="left",
    )
    parts = [("", [(q.updates, q.halvings, q.multipliers_clipped) for q in found.quantization])]
    if found.stress is not None:
        forced = found.stress.forced()
        parts.append(("stress: ", [(f.updates, f.halvings, f.multipliers_clipped) for f in forced]))
    for whose, _ in parts:
        for what in ("updates", "halvings", "clipped"):
            table.add_column(f"{whose}{what}", justify="right")
    for index in range(len(found.quantization)):
        counts = (count for _, layers in parts for count in layers[index])
        table.add_row(str(index), *(f"{count:,}" for count in counts))
    return table


def _exactness(found: Verification) -> str:
    build = found.build
    where = (
        f"{build.project.board.core} ({build.project.board.id}), {build.compiler.name} "
        f"{build.optimization}, {found.simulator}"
    )
    if found.bit_exact:
        count = f"{found.learning.steps} learned states and {found.samples} samples"
        if found.sensed:
            count += f", {found.sensed} of them from raw readings"
        if found.classes is not None:
            count += f", and {found.classes.steps} changes of classes that come and go,"
        if found.stress is not None:
            count = count.removesuffix(",")
            count += f", and {found.stress.steps} learned states under stress,"
        return f"[green]bit-exact[/]: {count} compared on {where}"
    return f"[red]not bit-exact[/] on {where}\n  first difference: {found.difference}"


def _summed(found: Verification) -> tuple[str, ...]:
    """How updates were summed, in words; nothing if each is applied at once."""
    batch, layers = found.prepared.plan.batch, found.quantization
    if batch == 1 or not found.learning.steps:
        return ()
    updates = sum(layer.updates for layer in layers)
    sums, flushed = (sum(getattr(x, what) for x in layers) for what in ("applications", "flushed"))
    left = sum(found.pending)
    return (
        f"summed: {updates:,} updates of the layers in {sums:,} sums of at most {batch}, {flushed} "
        "of them applied before they were full, since inference or a flush came between; "
        f"{left} update{' was' if left == 1 else 's were'} pending at the end of learning",
    )


def _accuracy(found: Verification) -> str:
    floats = found.floats
    colour = {"within": "green", "below": "red", "undecided": "yellow"}[floats.verdict]
    return f"[{colour}]{floats.heading}[/]: {floats.detail}"
