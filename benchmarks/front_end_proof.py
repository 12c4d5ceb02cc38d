"""The proof of front ends: raw readings in, samples and answers out, on every core.

From the repository's root:

    python -m benchmarks.front_end_proof --markdown docs/front-end.md

A stream of readings goes through each kind of front end, on the chip reading by reading and in
Python window by window; every value of every sample and every answer is compared. Fails at a
difference. Some minutes.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.front_end_case import Case, built, network_behind
from benchmarks.report import Benchmark, Report, Table, report_options
from spela_mcu.device.device import SAME_SAMPLE, Device, Transport
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board, load_board
from spela_mcu.fixed_point.exit_answer import ExitAnswer
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.front_end.plan import FrontEndPlan
from spela_mcu.front_end.raw import limits
from spela_mcu.front_end.rows import samples
from spela_mcu.progress import progress_bars
from spela_mcu.proof.equality import INFERENCE, find_differences
from spela_mcu.simulators.base import Simulator
from spela_mcu.simulators.choice import counting_simulator

WINDOWS = 2000
"""Of each chain: 10,000 of the five."""

BOARDS = (
    *("nucleo-g071rb", "bluepill", "stm32f4_discovery", "nucleo-h743zi", "stm32l552"),
    *("mps3-an547", "riscv-virt"),
)
"""A Cortex-M0+, M3, M4, M7, M33 and M55, and an RV32IMC."""

CHAINS = (
    Case(
        "int8, 3 axes: statistics, scaled", 3, 32, 50,
        {"readings": "int8", "step": 16, "statistics": {"length": 16, "hop": 8}},
    ),
    Case(
        "int32, 2 axes: averages of 4, statistics", 2, 64, 200,
        {"readings": "int32", "shift": 13, "step": 32, "decimate": 4,
         "statistics": {"length": 8, "hop": 4}},
    ),
    Case(
        "int16, 2 axes: spectrum of 32 points", 2, 64, 200,
        {"step": 32, "spectrum": {"points": 32, "hop": 16, "bands": 6}},
    ),
    Case(
        "int16, sound: log-mel, 25 ms of 16 kHz, 40 bands", 1, 720, 16000,
        {"step": 320, "log_mel": {"frame_ms": 25, "hop_ms": 20, "bands": 40}},
    ),
    Case(
        "uint8, 3 axes: the readings themselves", 3, 8, 50,
        {"readings": "uint8", "step": 4, "scale": {"per": "all"}},
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Expected:
    """What a chain makes of a stream in Python.

    Attributes:
        stream: raw readings [readings, axes], in the chip's type.
        samples: int8 [windows, inputs].
        answers: of each sample, those of every exit.
    """

    network: IntegerNetwork
    stream: NDArray[np.int32]
    samples: NDArray[np.int8]
    answers: tuple[tuple[ExitAnswer, ...], ...]

    @property
    def front_end(self) -> FrontEndPlan:
        """Of the chain."""
        plan = self.network.plan.front_end
        assert plan is not None
        return plan


@dataclass(frozen=True)
class Outcome:
    """A chain on a core.

    Attributes:
        values: of samples and answers, compared.
        differences: how many of them differ.
    """

    values: int
    differences: int


def readings(case: Case, count: int) -> NDArray[np.int32]:
    """A stream [count, axes] that goes everywhere: noise, hums, ramps, rest, clicks, both ends."""
    rng = np.random.default_rng(0)
    low, high = limits(case.keys.get("readings", "int16"))
    stream = np.empty((count, case.axes))
    for axis in range(case.axes):
        at = 0
        while at < count:
            time = np.arange(min(int(rng.integers(2, 3 * case.window)), count - at))
            shapes = (
                rng.normal(0, 0.3, len(time)),
                np.sin(time * rng.uniform(0.01, np.pi)),
                np.linspace(-1, 1, len(time)),
                np.zeros(len(time)),
                1.0 * (time % 17 == 0),
                rng.choice([-1.0, 1.0], len(time)),
            )
            level = (low + high) / 2 if rng.random() < 0.5 else rng.uniform(low, high)
            loudness = (high - low) ** rng.uniform(0.25, 1)
            stream[at : at + len(time), axis] = level + loudness * shapes[rng.integers(6)]
            at += len(time)
    return np.rint(stream).clip(low, high).astype(np.int64).astype(np.int32)


@functools.cache
def expected(case: Case, windows: int) -> Expected:
    """What a chain makes of so many windows."""
    step = case.keys["step"]
    stream = readings(case, case.window + (windows - 1) * step)
    cut = np.lib.stride_tricks.sliding_window_view(stream, case.window, axis=0)
    cut = cut[::step].transpose(0, 2, 1)
    network = network_behind(case.plan(cut[: windows // 2]))
    front_end = network.plan.front_end
    assert front_end is not None
    found = samples(front_end, cut)
    answers = tuple(tuple(network.infer(sample)) for sample in found)
    return Expected(network, stream.astype(front_end.readings), found, answers)


def prove(wanted: Expected, transport: Transport) -> Outcome:
    """Gives a device the stream, and compares each sample that becomes of it, and its answer."""
    device, plan, at = Device(transport), wanted.front_end, 0
    values = differences = 0
    for number, (sample, answers) in enumerate(zip(wanted.samples, wanted.answers, strict=True)):
        end = plan.needed + number * plan.step
        if not device.push(wanted.stream[at:end], restart=number == 0):
            raise click.ClickException(f"no sample after {end} readings of {plan.readings}")
        at = end
        differences += int(np.count_nonzero(device.sample() != sample))
        theirs = device.infer(SAME_SAMPLE)
        differences += len(
            find_differences(wanted.network.plan, number, answers, theirs, INFERENCE)
        )
        values += len(sample) + sum(3 + len(one.scores) for one in answers)
    return Outcome(values, differences)


def run_on(board: Board, simulator: Simulator, windows: int) -> Iterator[tuple[Case, Outcome]]:
    """Every chain on a simulated board."""
    with tempfile.TemporaryDirectory() as scratch:
        for number, case in enumerate(CHAINS):
            wanted = expected(case, windows)
            build = built(wanted.network, board, Path(scratch) / str(number))
            with simulator.start(build) as machine:
                yield case, prove(wanted, machine)


def table(found: dict[tuple[str, str], Outcome], windows: int, cores: list[str]) -> Table:
    """Differences by chain and core."""
    rows = []
    for case in CHAINS:
        of_core = [found[case.title, core] for core in cores]
        figures = (windows, len(expected(case, windows).stream), of_core[0].values)
        rows.append(
            (case.title, *(f"{one:,}" for one in figures), *(str(o.differences) for o in of_core))
        )
    return Table(
        "Differences between the chip and Python",
        ("readings, and what becomes of them", "windows", "readings pushed", "values compared",
         *cores),
        tuple(rows),
    )  # fmt: skip


def report(
    found: dict[tuple[str, str], Outcome], simulators: dict[str, str], windows: int
) -> Report:
    """What was found, by chain and core.

    Args:
        found: outcomes by a chain's title and a core.
        simulators: by core.
        windows: of each chain.
    """
    outcomes = [
        {"chain": title, "core": core, "values": one.values, "differences": one.differences}
        for (title, core), one in found.items()
    ]
    return Report(
        "front-end-proof",
        "python -m benchmarks.front_end_proof",
        (
            f"{windows * len(CHAINS):,} windows on each core, of streams that overlap as the steps "
            "say; gcc -O2",
            ", ".join(f"{core} in {name}" for core, name in simulators.items()),
        ),
        (table(found, windows, list(simulators)),),
        {"windows": windows, "outcomes": outcomes},
    )


@click.command(cls=Benchmark)
@click.option(
    "--windows", type=click.IntRange(1), default=WINDOWS, metavar="N", show_default=True,
    help="Windows of each kind of front end.",
)  # fmt: skip
@report_options
def command(*, windows: int, as_json: bool, markdown: Path | None) -> None:
    """Prove front ends on every core."""
    found: dict[tuple[str, str], Outcome] = {}
    simulators: dict[str, str] = {}
    with progress_bars() as progress:
        for board in map(load_board, BOARDS):
            simulator = counting_simulator(board)  # these are the quick ones
            if simulator is None:
                raise UserError(f"no simulator of {board.id} is installed", mend="install QEMU")
            simulators[board.core] = simulator.name
            for case, outcome in run_on(board, simulator, windows):
                found[case.title, board.core] = outcome
                progress(board.core, len(found), len(CHAINS) * len(BOARDS))
    report(found, simulators, windows).emit(as_json=as_json, markdown=markdown)
    sys.exit(int(any(one.differences for one in found.values())))


if __name__ == "__main__":
    command()
