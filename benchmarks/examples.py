"""The results of `spela-mcu bench` for a model on every core that can be simulated here.

From the repository's root:

    python -m benchmarks.examples examples/mnist/model.yaml
    python -m benchmarks.examples examples/fashion_cnn/model.yaml --samples 60
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from benchmarks.report import Benchmark, Report, Table, report_options
from spela_mcu.cli.console import stderr
from spela_mcu.cli.options import model_argument
from spela_mcu.commands.bench import Bench, Cost, bench, prepare_bench
from spela_mcu.cores import CORES
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.pipeline import Overrides, Prepared
from spela_mcu.progress import progress_bars


def tables(found: list[Bench]) -> tuple[Table, ...]:
    """Instructions and memory, one row per core."""

    def per_mac(one: Bench, cost: Cost | None) -> str:
        return "" if cost is None else f"{cost.per_mac(one.macs):.2f}"

    first = found[0]
    title = f"{first.prepared.spec.name}, {first.macs:,} MACs"
    speed = tuple(
        (
            one.board.core,
            one.board.id,
            per_mac(one, one.infer),
            per_mac(one, one.learn),
            per_mac(one, one.learn_average),
            *(_milliseconds(one, cost) for cost in (one.infer, one.learn_average)),
        )
        for one in found
    )
    memory = tuple(
        (
            one.board.core,
            f"{one.text_bytes:,}",
            f"{one.text_bytes_inference_only:,}",
            f"{one.ram_beyond_weights_bytes:,}",
            f"{one.stack_bytes:,}",
            f"{one.stack_bound_bytes:,}",
        )
        for one in found
    )
    return (
        Table(
            f"{title}, instructions per MAC",
            (
                "core", "board", "infer", "learn, every layer", "learn, mean of 2nd epoch",
                "ms to infer, estimated", "ms to learn (mean), estimated",
            ),
            speed, words=2,
        ),
        Table(
            f"{title}, bytes",
            (
                "core", "code", "code, inference only", "RAM beyond weights", "stack used",
                "stack, bound",
            ),
            memory,
        ),
        *(
            (_beside_backpropagation(found, title),)
            if first.prepared.plan.has_convolutions
            else ()
        ),
    )  # fmt: skip


def _beside_backpropagation(found: list[Bench], title: str) -> Table:
    """What learning takes beyond inferring, and what backpropagation would have to keep."""
    rows = []
    for one in found:
        beyond, kept = one.ram_beyond_weights_bytes, 4 * activations(one.prepared.plan)
        rows.append(
            (
                one.board.core,
                *(_inferences(one, cost) for cost in (one.learn, one.learn_average)),
                f"{one.prepared.memory.weights:,}",
                f"{beyond:,}",
                f"{kept:,}",
                f"{beyond / kept:.2f}",
            )
        )
    return Table(
        f"{title}, a learning step in inferences, and bytes",
        (
            "core", "every layer", "mean of 2nd epoch", "weights", "RAM beyond weights",
            "all activations, float32", "RAM / activations",
        ),
        tuple(rows),
    )  # fmt: skip


def _inferences(one: Bench, cost: Cost | None) -> str:
    return "" if cost is None else f"{cost.instructions / one.infer.instructions:.2f}"


def activations(plan: FixedPointPlan) -> int:
    """Values that backpropagation keeps of a sample: it, and what each layer makes of it.

    Of a convolution that is its map before and after the greatest of each pool are taken.
    """
    values = plan.inputs
    for layer in plan.layers:
        values += layer.outputs
        if layer.convolution is not None and layer.convolution.window.pool.area > 1:
            values += layer.outputs * layer.convolution.window.pool.area
    return values


def _milliseconds(one: Bench, cost: Cost) -> str:
    time = cost.milliseconds(one.board.clock_hz)
    return "" if time is None else f"{time:.2f} at {one.board.clock_hz / 1e6:g} MHz"


@click.command(cls=Benchmark)
@model_argument
@click.option(
    "--core", "cores", multiple=True, type=click.Choice([*CORES]),
    help="Only this core; in the file of --markdown, the rows of others stay. (repeatable)",
)  # fmt: skip
@click.option(
    "--samples", type=click.IntRange(1),
    help="Learn this many of the training samples, twice, and not all of them.",
)  # fmt: skip
@report_options
def command(
    *,
    model: Path,
    cores: tuple[str, ...],
    samples: int | None,
    as_json: bool,
    markdown: Path | None,
) -> None:
    """Run `spela-mcu bench MODEL` for every core that is simulated here."""
    found, left_out = [], []
    simulators: dict[str, None] = {}
    for core in cores or CORES:
        try:
            prepared, simulator = prepare_bench(model, Overrides(), core, "auto")
        except UserError as error:
            if error.file is not None:
                raise
            left_out.append(f"{core} is left out: {error.reason}")
            stderr.print(left_out[-1], soft_wrap=True)
            continue
        simulators[str(simulator)] = None
        if samples is not None:
            prepared = _shortened(prepared, samples)
        with tempfile.TemporaryDirectory() as scratch, progress_bars() as progress:
            found.append(bench(prepared, Path(scratch), simulator, progress))
    if not found:
        raise UserError("no core can be simulated", mend="see `spela-mcu doctor`")
    builds = dict.fromkeys(
        f"{one.build.compiler.version}, -{one.build.optimization}" for one in found
    )
    conditions = (f"{', '.join(builds)}; {', '.join(simulators)}", *left_out)
    command_line = f"python -m benchmarks.examples {os.path.relpath(model)}"
    command_line += "" if samples is None else f" --samples {samples}"
    data = {"conditions": conditions, "benches": [one.to_json() for one in found]}
    report = Report(found[0].prepared.spec.name, command_line, conditions, tables(found), data)
    if cores and markdown is not None:
        report = report.beside(markdown, cores)
    report.emit(as_json=as_json, markdown=markdown)


def _shortened(prepared: Prepared, samples: int) -> Prepared:
    dataset = prepared.dataset
    train = dataset.train.take(np.arange(min(samples, len(dataset.train))))
    return replace(prepared, dataset=replace(dataset, train=train))


if __name__ == "__main__":
    command()
