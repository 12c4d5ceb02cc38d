"""The results of `spela-mcu bench` for a model on every core that can be simulated here.

From the repository's root:

    python -m benchmarks.examples examples/mnist/model.yaml
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from benchmarks.report import Benchmark, Report, Table, report_options
from spela_mcu.cli.console import stderr
from spela_mcu.cli.options import model_argument
from spela_mcu.commands.bench import Bench, Cost, bench, prepare_bench
from spela_mcu.cores import CORES
from spela_mcu.errors import UserError
from spela_mcu.pipeline import Overrides
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
    )  # fmt: skip


def _milliseconds(one: Bench, cost: Cost) -> str:
    time = cost.milliseconds(one.board.clock_hz)
    return "" if time is None else f"{time:.2f} at {one.board.clock_hz / 1e6:g} MHz"


@click.command(cls=Benchmark)
@model_argument
@click.option(
    "--core", "cores", multiple=True, type=click.Choice([*CORES]),
    help="Only this core; in the file of --markdown, the rows of others stay. (repeatable)",
)  # fmt: skip
@report_options
def command(*, model: Path, cores: tuple[str, ...], as_json: bool, markdown: Path | None) -> None:
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
        with tempfile.TemporaryDirectory() as scratch, progress_bars() as progress:
            found.append(bench(prepared, Path(scratch), simulator, progress))
    if not found:
        raise UserError("no core can be simulated", mend="see `spela-mcu doctor`")
    builds = dict.fromkeys(
        f"{one.build.compiler.version}, -{one.build.optimization}" for one in found
    )
    conditions = (f"{', '.join(builds)}; {', '.join(simulators)}", *left_out)
    command_line = f"python -m benchmarks.examples {os.path.relpath(model)}"
    data = {"conditions": conditions, "benches": [one.to_json() for one in found]}
    report = Report("examples", command_line, conditions, tables(found), data)
    if cores and markdown is not None:
        report = report.beside(markdown, cores)
    report.emit(as_json=as_json, markdown=markdown)


if __name__ == "__main__":
    command()
