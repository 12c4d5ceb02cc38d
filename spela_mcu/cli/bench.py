"""``spela-mcu bench``: what a network costs on a core."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from spela_mcu.cli.console import print_json, stderr, stdout
from spela_mcu.cli.options import (
    arithmetic_options,
    build_options,
    claimed,
    json_option,
    model_argument,
    output_directory,
    simulator_option,
)
from spela_mcu.commands.bench import Bench, bench, prepare_bench
from spela_mcu.cores import CORES
from spela_mcu.files import write_whole
from spela_mcu.pictures.functions import draw_functions
from spela_mcu.pipeline import Overrides
from spela_mcu.progress import progress_bars
from spela_mcu.simulators.choice import SimulatorChoice

FUNCTIONS_SHOWN = 6
TITLES = {
    "infer": "inference",
    "infer_early": "inference that may leave early, mean of test samples",
    "backbone": "  of it, the backbone",
    "learn": "learning step, every layer updated",
    "learn_keeping": "  a step that keeps its updates for later",
    "learn_applying": "  a step that applies the kept ones of a layer or more",
    "learn_average": "learning step, mean of the second epoch",
    "push": "front end: one reading taken",
    "row": "front end: one row of features",
}


@click.command()
@model_argument
@click.option(
    "--core", type=click.Choice(CORES),
    help="A core: the model's board if it has it, else the largest one that has.",
)  # fmt: skip
@arithmetic_options
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Directory for all that is made [default: build/bench].",
)  # fmt: skip
@simulator_option("Unicorn, else QEMU")
@build_options
@json_option
def command(
    *,
    model: Path,
    core: str | None,
    output: Path | None,
    simulator_choice: SimulatorChoice,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - click's, passed on by name
) -> None:
    """Measure what MODEL (a model.yaml) costs on a core.

    Counts the instructions of inference and learning exactly, by function, in a simulator that
    can (Unicorn or QEMU), over two epochs of the model's own stream from untrained weights.
    Cycles and milliseconds are estimated from the core's published timings, for memory without
    wait states.
    """
    directory = output_directory(output, model, "bench")
    prepared, simulator = prepare_bench(model, Overrides(**options), core, simulator_choice)
    directory = claimed(output or directory / prepared.board.core)
    stderr.print(f"simulating {prepared.board.title} in {simulator} ...")
    with progress_bars() as progress:
        found = bench(prepared, directory, simulator, progress)
    picture = directory / "instructions.png"
    write_whole(picture, draw_functions(found))
    if as_json:
        print_json({**found.to_json(), "picture": str(picture)})
        return
    _print(found)
    stdout.print(f"picture: {os.path.relpath(picture)}", soft_wrap=True)


def _print(found: Bench) -> None:
    board = found.board
    stdout.print(
        f"{found.prepared.spec.name} on {board.core} ({board.title}), "
        f"{found.build.compiler.name} {found.build.optimization}, {found.macs:,} MACs",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("", "instructions", "per MAC", "cycles, estimated", "ms, estimated"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, cost in found.costs().items():
        time, per_mac = cost.milliseconds(board.clock_hz), found.per_mac(name)
        table.add_row(
            TITLES[name],
            f"{cost.instructions:,.0f}",
            "" if per_mac is None else f"{per_mac:.3f}",
            "not published" if cost.cycles is None else f"{cost.cycles:,.0f}",
            "" if time is None else f"{time:.2f}",
        )
    stdout.print(table)
    stdout.print(f"at {board.clock_hz / 1e6:g} MHz, memory without wait states")
    stdout.print(_latency(found), soft_wrap=True)
    for name, cost in found.costs().items():
        parts = list(cost.functions.items())[:FUNCTIONS_SHOWN]
        shares = ", ".join(
            f"{function} {100 * n / cost.instructions:.1f} %" for function, n in parts
        )
        stdout.print(f"{TITLES[name]}: {shares}", soft_wrap=True, highlight=False)
    backbone = f"; the backbone's {found.backbone_text_bytes:,}" if found.backbone else ""
    if found.row is not None:
        backbone += f"; the front end's {found.front_end_text_bytes:,}"
    stdout.print(
        f"runtime code {found.text_bytes:,} bytes, {found.text_bytes_inference_only:,} without "
        f"learning{backbone}; RAM beyond weights {found.ram_beyond_weights_bytes:,} bytes; stack "
        f"{found.stack_bytes} bytes used, {found.stack_bound_bytes} at most",
        soft_wrap=True,
    )


def _latency(found: Bench) -> str:
    """How long the longest step takes, in words."""
    longest, batch = found.longest_step, found.prepared.plan.batch
    time = longest.milliseconds(found.board.clock_hz)
    estimated = "" if time is None else f", an estimated {time:.2f} ms"
    text = (
        f"the longest learning step of those counted took {longest.instructions:,.0f} instructions"
        f"{estimated}: {longest.instructions / found.learn_average.instructions:.1f} times the mean"
    )
    if batch == 1:
        return text
    return (
        f"{text}; {batch} updates of a layer are summed and applied at once, and an inference "
        "right after learning first applies what is pending, which can take as long"
    )
