"""Our runtime beside others on the same networks, cores, compiler, flags and simulator.

From the repository's root, with checkouts of the peers to compare with:

    python -m benchmarks.peers --cmsis-nn CMSIS-NN --aifes AIfES_for_Arduino
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.contender import Aifes, CmsisNn, Contender, Shape, Spela
from benchmarks.measurement import Count, Measurement, measure
from benchmarks.program import Tools, check_c_library, place_for
from benchmarks.report import Benchmark, Report, Table, report_options
from spela_mcu.cli.console import stderr
from spela_mcu.cores import CORES
from spela_mcu.errors import UserError
from spela_mcu.firmware.toolchain import (
    OPTIMIZATIONS,
    CompilerChoice,
    Optimization,
    find_compiler,
)
from spela_mcu.progress import progress_bars

SHAPES = ("784-128-34", "784-128-10", "64-48-16")
MEASURED = tuple(core for core in CORES if core not in {"cortex-m0", "rv32imac"})
"""An M0+ stands for the one, an rv32imc for the other: they run the same instructions."""


def contenders(cmsis_nn: Path | None, aifes: Path | None) -> tuple[Contender, ...]:
    """Our runtime, and the peers whose checkouts are given.

    Raises:
        UserError: a directory is not a checkout of the peer.
    """
    peers: list[Contender] = []
    if cmsis_nn is not None:
        peers.append(CmsisNn(cmsis_nn, "--cmsis-nn"))
    if aifes is not None:
        peers.append(Aifes(aifes, "--aifes"))
    return (Spela(), *peers)


class Comparison:
    """Measurements of several contenders.

    Args:
        names: the contenders', ours first.
        found: in the order shown.
    """

    def __init__(self, names: tuple[str, ...], found: tuple[Measurement, ...]) -> None:
        self.names = names
        self.found = found
        self._by_case: dict[tuple[str, Shape, Optimization], dict[str, Measurement]] = {}
        for one in found:
            case = (one.core, one.shape, one.optimization)
            self._by_case.setdefault(case, {})[one.contender] = one

    def tables(self) -> tuple[Table, ...]:
        """Inference, learning, memory."""
        learners = tuple(
            name
            for name in self.names
            if any(one.contender == name and one.learn is not None for one in self.found)
        )
        return (
            self._speed("Inference, instructions per MAC", self.names, learn=False),
            self._speed(
                "Learning step that updates every weight, instructions per MAC of an inference",
                learners,
                learn=True,
            ),
            self._memory(),
        )

    def _speed(self, title: str, names: tuple[str, ...], *, learn: bool) -> Table:
        rows = []
        for (core, shape, level), by_name in self._by_case.items():
            ours = _count(by_name[self.names[0]], learn=learn)
            counts = {n: _count(by_name[n], learn=learn) for n in names if n in by_name}
            cells = []
            for name in names:
                count = counts.get(name)
                if count is None or ours is None:
                    cells += [""] * (1 if name == self.names[0] else 2)
                    continue
                cells.append(f"{count.instructions / shape.macs:.2f}")
                if name != self.names[0]:
                    cells.append(f"{count.instructions / ours.instructions:.2f}")
            rows.append((core, str(shape), f"-{level}", *cells))
        heads = ["core", "network", "level"]
        for name in names:
            heads += [name] if name == self.names[0] else [name, f"{name} / {self.names[0]}"]
        return Table(title, tuple(heads), tuple(rows), words=3)

    def _memory(self) -> Table:
        """On the core that most contenders run on; of several, the first."""
        cases = list(self._by_case)
        core, _, level = max(cases, key=lambda case: len(self._by_case[case]))
        rows = []
        for case in cases:
            if (case[0], case[2]) != (core, level):
                continue
            for one in self._by_case[case].values():
                learn = "" if one.learn_bytes is None else f"{one.learn_bytes:,}"
                numbers = (one.weight_bytes, one.infer_bytes)
                rest = (one.stack_bytes, one.text_bytes)
                rows.append(
                    (
                        str(one.shape),
                        one.contender,
                        one.number,
                        *(f"{n:,}" for n in numbers),
                        learn,
                        *(f"{n:,}" for n in rest),
                    )
                )
        heads = (
            "network", "", "numbers", "weights", "to infer, beyond", "to learn, beyond",
            "stack used", "code",
        )  # fmt: skip
        return Table(f"Memory in bytes, {core}, -{level}", heads, tuple(rows), words=3)

    def to_json(self) -> list[dict[str, Any]]:
        """Every measurement, with its ratios to ours."""
        return [self._plain(one) for one in self.found]

    def _plain(self, one: Measurement) -> dict[str, Any]:
        ours = self._by_case[one.core, one.shape, one.optimization][self.names[0]]
        plain = asdict(one) | {"shape": str(one.shape), "macs": one.shape.macs}
        for name in ("infer", "learn"):
            count, other = getattr(one, name), getattr(ours, name)
            if count is not None:
                plain[name]["instructions_per_mac"] = round(one.per_mac(count), 4)
                plain[name]["ratio"] = round(count.instructions / other.instructions, 4)
        return plain


def _count(one: Measurement, *, learn: bool) -> Count | None:
    return one.learn if learn else one.infer


def simulated(cores: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The cores that can be simulated here, and why the others cannot."""
    kept, reasons = [], []
    for core in cores:
        try:
            place_for(core)
            kept.append(core)
        except UserError as error:
            reasons.append(f"{core} is left out: {error.reason}")
    return tuple(kept), tuple(reasons)


def _conditions(comparison: Comparison, left_out: tuple[str, ...]) -> tuple[str, ...]:
    found = comparison.found
    versions = dict.fromkeys(f"{one.contender} {one.version} ({one.number})" for one in found)
    tools = dict.fromkeys(f"{one.compiler}; {one.simulator}" for one in found)
    units = dict.fromkeys(one.contender for one in found if one.float_unit)
    shares = [
        one.active / (one.shape.hidden + one.shape.outputs)
        for one in found
        if one.contender == comparison.names[0]
    ]
    lines = [", ".join(versions), *tools]
    if units:
        lines.append(f"with the floating-point unit of the M4, M7 and M33: {', '.join(units)}")
    lines.append(
        f"units of {comparison.names[0]} that were active in the last step counted: "
        + " to ".join(dict.fromkeys(f"{100 * share:.0f} %" for share in (min(shares), max(shares))))
    )
    return (*lines, *left_out)


def _shapes(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> tuple[Shape, ...]:
    try:
        return tuple(Shape.parse(value) for value in values)
    except ValueError as error:
        raise click.BadParameter(f"{error}; a network is INPUTS-HIDDEN-OUTPUTS") from error


@click.command(cls=Benchmark)
@click.option("--cmsis-nn", type=click.Path(path_type=Path), metavar="DIR", help="A checkout.")
@click.option("--aifes", type=click.Path(path_type=Path), metavar="DIR", help="A checkout.")
@click.option(
    "--network", "shapes", multiple=True, default=SHAPES, callback=_shapes,
    metavar="INPUTS-HIDDEN-OUTPUTS", help=f"[default: {', '.join(SHAPES)}] (repeatable)",
)  # fmt: skip
@click.option(
    "--core", "cores", multiple=True, default=MEASURED, type=click.Choice([*CORES]),
    help="Only this core; in the file of --markdown, the rows of others stay. "
    "[default: all that are simulated] (repeatable)",
)  # fmt: skip
@click.option("--compiler", type=click.Choice(["auto", "gcc", "zig"]), default="auto")
@click.option(
    "--optimization", "levels", multiple=True, default=("O2",), show_default=True,
    type=click.Choice(OPTIMIZATIONS), help="(repeatable)",
)  # fmt: skip
@report_options
def command(
    *,
    cmsis_nn: Path | None,
    aifes: Path | None,
    shapes: tuple[Shape, ...],
    cores: tuple[str, ...],
    compiler: CompilerChoice,
    levels: tuple[Optimization, ...],
    as_json: bool,
    markdown: Path | None,
) -> None:
    """Count instructions and bytes of our runtime, and of peers whose checkouts are given."""
    who = contenders(cmsis_nn, aifes)
    chosen = cores
    cores, left_out = simulated(chosen)
    for reason in left_out:
        stderr.print(reason, soft_wrap=True)
    if not cores:
        raise UserError("nothing simulates these cores", mend="see `spela-mcu doctor`")
    compilers = {core: find_compiler(compiler, CORES[core].family) for core in cores}
    if len(who) > 1:
        check_c_library(find_compiler(compiler))
    cases = [
        (contender, shape, core, level)
        for core in cores
        for level in levels
        for shape in shapes
        for contender in who
        if contender.runs_on(core)
    ]
    found = []
    with tempfile.TemporaryDirectory() as scratch, progress_bars() as progress:
        for done, (contender, shape, core, level) in enumerate(cases):
            progress("measuring", done, len(cases))
            tools = Tools(compilers[core], level)
            found.append(measure(contender, shape, core, tools, Path(scratch)))
    comparison = Comparison(tuple(contender.name for contender in who), tuple(found))
    words = ["python -m benchmarks.peers"]
    words += ["--cmsis-nn CMSIS-NN"] * (cmsis_nn is not None)
    words += ["--aifes AIfES_for_Arduino"] * (aifes is not None)
    words += [f"--network {shape}" for shape in shapes if shapes != tuple(map(Shape.parse, SHAPES))]
    words += [f"--core {core}" for core in cores if chosen != MEASURED]
    words += [f"--optimization {level}" for level in levels if levels != ("O2",)]
    conditions = _conditions(comparison, left_out)
    data = {"conditions": conditions, "measurements": comparison.to_json()}
    report = Report("compare", " ".join(words), conditions, comparison.tables(), data)
    if chosen != MEASURED and markdown is not None:
        report = report.beside(markdown, cores)
    report.emit(as_json=as_json, markdown=markdown)


if __name__ == "__main__":
    command()
