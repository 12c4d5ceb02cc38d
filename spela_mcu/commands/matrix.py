"""Proves one model on every core, simulator, compiler, level, weight width and batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from spela_mcu.cores import CORES, CompilerName
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board, SimulatorName, load_boards
from spela_mcu.firmware.build import Build
from spela_mcu.firmware.legality import illegal_instructions
from spela_mcu.firmware.toolchain import OPTIMIZATIONS, Optimization, find_compiler
from spela_mcu.pipeline import Overrides, Prepared, prepare
from spela_mcu.progress import Progress, silent
from spela_mcu.proof.classes import TAUGHT, compare_classes
from spela_mcu.proof.equality import Interruptions, Probes, compare_inference, compare_learning
from spela_mcu.simulators.base import Simulator
from spela_mcu.simulators.choice import simulator_named

SIMULATORS: tuple[SimulatorName, ...] = get_args(SimulatorName)
COMPILERS: tuple[CompilerName, ...] = get_args(CompilerName)

BATCHES = (1, 3, 8)
"""Updates summed: none, an odd number of them, and the default."""

Weights = Literal["int8", "int16"]
WEIGHTS: tuple[Weights, ...] = get_args(Weights)


@dataclass(frozen=True)
class Row:
    """A core in a simulator.

    Attributes:
        board: what represents it; None if nothing does.
        absent: why nothing does.
    """

    core: str
    simulator: SimulatorName
    board: Board | None
    absent: str = ""


@dataclass(frozen=True)
class Column:
    """How the firmware is built, but for the width of its weights.

    Attributes:
        batch: updates of a layer that are summed before the sum is rounded.
    """

    compiler: CompilerName
    optimization: Optimization
    batch: int

    def __str__(self) -> str:
        return f"{self.compiler} {self.optimization} B{self.batch}"


def all_columns() -> tuple[Column, ...]:
    """Every compiler with every level; batches take turns."""
    builds = itertools.product(COMPILERS, OPTIMIZATIONS)
    return tuple(Column(*b, batch) for b, batch in zip(builds, itertools.cycle(BATCHES)))


@dataclass(frozen=True)
class Cell:
    """One build on one simulated core.

    Attributes:
        board: the board's id; empty if there is none.
        outcome: whether device and reference agreed in every bit, or that nothing was run.
        reason: the first difference, or why the cell is absent.
        infer_instructions, learn_instructions: of the last inference and of the last learning
            step, which applies nothing if updates are summed; None where nothing was run.
    """

    core: str
    simulator: SimulatorName
    board: str
    compiler: CompilerName
    optimization: Optimization
    batch: int
    weights: Weights
    outcome: Literal["bit-exact", "different", "absent"]
    reason: str = ""
    infer_instructions: int | None = None
    learn_instructions: int | None = None

    @property
    def column(self) -> Column:
        """How it was built."""
        return Column(self.compiler, self.optimization, self.batch)

    def to_json(self) -> dict[str, object]:
        """The cell as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Extent:
    """How much is run.

    Attributes:
        columns, weights: how the firmware is built; each of both is run.
        cores: what it runs on, in every simulator.
        learn_steps: samples learned in every cell; the state is compared after each.
        samples: test samples inferred after that.
    """

    columns: tuple[Column, ...] = all_columns()
    weights: tuple[Weights, ...] = WEIGHTS
    learn_steps: int = 100
    samples: int = 20
    cores: tuple[str, ...] = tuple(CORES)


def matrix_rows() -> tuple[Row, ...]:
    """Every core in every simulator, with the best-equipped board that represents it."""
    boards = load_boards()
    rows = []
    for core, name in itertools.product(CORES, SIMULATORS):
        simulator = simulator_named(name, CORES[core].family)
        known = [b for b in boards if b.core == core and name in b.simulators.names]
        if not known:
            rows.append(Row(core, name, None, f"no board with a {core} that {name} knows"))
        elif not simulator.is_installed():
            rows.append(Row(core, name, None, f"{name} is not installed"))
        else:
            rows.append(Row(core, name, max(known, key=lambda b: (b.mve, b.ram.bytes))))
    return tuple(rows)


def run_matrix(
    model: Path,
    directory: Path,
    extent: Extent | None = None,
    progress: Progress = silent,
) -> Iterator[Cell]:
    """Runs the matrix, cell by cell.

    Args:
        model: a model.yaml; it starts untrained.
        directory: where projects and builds go; builds of an earlier run are reused.
        extent: how much of it to run.
        progress: told how far the work is.

    Raises:
        UserError: the model is wrong.
    """
    extent = extent or Extent()
    rows = [row for row in matrix_rows() if row.core in extent.cores]
    total = len(rows) * len(extent.columns) * len(extent.weights)
    cells = (
        run_cell(model, directory, extent, row, column, weights=weights)
        for row in rows
        for weights in extent.weights
        for column in extent.columns
    )
    for done, cell in enumerate(cells):
        progress(f"{cell.core} in {cell.simulator}", done + 1, total)
        yield cell


def run_cell(
    model: Path,
    directory: Path,
    extent: Extent,
    row: Row,
    column: Column,
    *,
    weights: Weights,
) -> Cell:
    """Builds and runs one cell; see `run_matrix`."""

    def cell(
        outcome: Literal["bit-exact", "different", "absent"],
        reason: str = "",
        infer: int | None = None,
        learn: int | None = None,
    ) -> Cell:
        board = "" if row.board is None else row.board.id
        how = (column.compiler, column.optimization, column.batch, weights)
        return Cell(row.core, row.simulator, board, *how, outcome, reason, infer, learn)

    if row.board is None:
        return cell("absent", row.absent)
    overrides = Overrides(
        weights=weights,
        batch=column.batch,
        start="untrained",
        board=row.board.id,
        compiler=column.compiler,
        optimization=column.optimization,
    )
    try:
        find_compiler(column.compiler, row.board.family)
        prepared = prepare(model, overrides)
    except UserError as error:
        return cell("absent", error.reason)
    build = prepared.deploy(directory / f"{row.board.id}-{weights}-{column.batch}")
    forbidden = illegal_instructions(build.read_elf(), row.board)
    if forbidden:
        return cell("different", f"an instruction that is not the core's: {forbidden[0]}")
    try:
        return cell(
            *_compare(prepared, build, simulator_named(row.simulator, row.board.family), extent)
        )
    except UserError as error:  # it failed, or answered unlike the reference
        return cell("different", error.reason.splitlines()[0])


def _compare(
    prepared: Prepared, build: Build, simulator: Simulator, extent: Extent
) -> tuple[Literal["bit-exact", "different"], str, int, int]:
    test = prepared.test_samples(extent.samples)
    probes = Probes.of(test)
    reference, sample = prepared.network(), probes.samples[0]
    with simulator.start(build) as machine:
        device = Device(machine)
        stream = prepared.learning_samples(extent.learn_steps)
        asked = Interruptions.spread(probes, extent.learn_steps)
        learning = compare_learning(reference, device, stream, interruptions=asked)
        inference = compare_inference(reference, device, probes)
        difference = learning.difference or inference.difference
        if reference.plan.continual is not None and difference is None:
            lessons = list(prepared.learning_samples(TAUGHT))
            difference = compare_classes(reference, device, lessons, probes).difference
        with machine.counting("spela_infer", "spela_learn") as calls:
            device.infer_last(sample)
            device.learn(sample, 0)
    infer, learn = (call.instructions for call in calls)
    outcome: Literal["bit-exact", "different"] = "bit-exact" if difference is None else "different"
    return outcome, "" if difference is None else str(difference), infer, learn
