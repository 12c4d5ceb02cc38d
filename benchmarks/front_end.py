"""What a front end costs: instructions on each core, memory of any.

From the repository's root:

    python -m benchmarks.front_end --markdown docs/front-end.md

With --cmsis-dsp, a checkout of CMSIS-DSP with CMSIS's Core headers, the real transform is set
beside its arm_rfft_q15 on a Cortex-M4.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.front_end_case import Case, built, network_behind
from benchmarks.front_end_peer import Transforms, compare
from benchmarks.report import Benchmark, Report, Table, report_options
from spela_mcu.device.device import Device
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.elf import runtime_text_bytes
from spela_mcu.firmware.runtime import FRONT_END_DIRECTORY
from spela_mcu.front_end.plan import FrontEndPlan
from spela_mcu.front_end.structures import front_end_structure
from spela_mcu.progress import progress_bars
from spela_mcu.simulators.choice import counting_simulator

BOARDS = ("nucleo-g071rb", "bluepill", "stm32f4_discovery", "mps3-an547", "riscv-virt")
"""A Cortex-M0+, M3, M4 and M55, and an RV32IMC."""

CASES = (
    Case("means of 4 readings, 6 axes", 6, 100, 50, {"decimate": 4}),
    Case(
        "mean and deviation of 20 readings, 6 axes", 6, 100, 50,
        {"statistics": {"of": ["mean", "deviation"], "length": 20, "hop": 10}},
    ),
    Case(
        "all statistics of 100 readings, 3 axes", 3, 100, 50, {"statistics": {}},
    ),
    Case(
        "24 bands of 256 points, 2 axes", 2, 512, 1600,
        {"spectrum": {"points": 256, "hop": 128, "bands": 24}},
    ),
    Case(
        "log-mel, 25 ms of 16 kHz, 40 bands", 1, 1600, 16000,
        {"log_mel": {"frame_ms": 25, "hop_ms": 20, "bands": 40}},
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What a case costs on a core: instructions of a reading and of a row, bytes of code."""

    case: Case
    core: str
    push: float
    row: float
    text_bytes: int


def noise(case: Case, windows: int) -> NDArray[np.int32]:
    """Raw readings [windows, window, axes]."""
    values = np.random.default_rng(0).normal(0, 4000, (windows, case.window, case.axes))
    return np.rint(values).clip(-32768, 32767).astype(np.int32)


def plan_of(case: Case) -> FrontEndPlan:
    """Its plan, with scales measured on noise."""
    return case.plan(noise(case, 4))


def measure(case: Case, board_id: str, directory: Path) -> Found:
    """Builds a small network behind the front end, and counts."""
    board, front_end = load_board(board_id), plan_of(case)
    build = built(network_behind(front_end), board, directory / board_id)
    simulator = counting_simulator(board)
    assert simulator is not None
    windows = noise(case, 2)[:, : front_end.needed].astype(front_end.readings)
    with simulator.start(build) as machine:
        device = Device(machine)
        with machine.counting(f"spela_push_{front_end.readings}") as pushes:
            device.push(windows[0], restart=True)
        with machine.counting("spela_sample_ready") as asked:
            device.push(windows[1], restart=True)
    counts = sorted(call.instructions for call in asked)[-front_end.rows :]
    return Found(
        case,
        board.core,
        float(np.mean([call.instructions for call in pushes])),
        float(np.mean(counts)),
        runtime_text_bytes(build.elf, FRONT_END_DIRECTORY),
    )


def _speed(found: list[Found]) -> Table:
    cores = list(dict.fromkeys(one.core for one in found))
    rows: dict[str, list[str]] = {}
    for one in found:
        rows.setdefault(one.case.title, []).append(f"{one.row:,.0f} + {one.push:,.0f}")
    return Table(
        "Instructions of a row, and of each reading pushed",
        ("a row", *cores),
        tuple((title, *cells) for title, cells in rows.items()),
    )


def _memory(found: list[Found]) -> Table:
    rows = []
    for case in CASES:
        made = front_end_structure(plan_of(case))
        code = [one.text_bytes for one in found if one.case is case]
        numbers = (made.ram_bytes - made.sample, made.sample, made.flash_bytes)
        rows.append(
            (case.title, *(f"{one:,}" for one in numbers), f"{min(code):,} to {max(code):,}")
        )
    heads = ("front end", "RAM", "the sample", "tables", "code, by core")
    return Table("Bytes", heads, tuple(rows))


def _transforms(found: tuple[Transforms, ...]) -> Table:
    rows = tuple(
        (str(one.points), f"{one.ours:,}", f"{one.peer:,}", f"{one.ours / one.peer:.2f}")
        for one in found
    )
    return Table(
        "Instructions of a real transform on a Cortex-M4, reordering and powers included in ours",
        ("points", "ours", "arm_rfft_q15", "ratio"),
        rows,
    )


@click.command(cls=Benchmark)
@click.option(
    "--board", "boards", multiple=True, default=BOARDS, metavar="BOARD",
    help="Only this board (repeatable).",
)  # fmt: skip
@click.option(
    "--cmsis-dsp", type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIRECTORY", help="A checkout of CMSIS-DSP, beside CMSIS/Core/Include.",
)  # fmt: skip
@report_options
def command(
    *, boards: tuple[str, ...], cmsis_dsp: Path | None, as_json: bool, markdown: Path | None
) -> None:
    """Count what front ends cost."""
    found = []
    with tempfile.TemporaryDirectory() as scratch, progress_bars() as progress:
        for number, case in enumerate(CASES):
            for index, board in enumerate(boards):
                done = number * len(boards) + index
                progress("front ends", done, len(CASES) * len(boards))
                found.append(measure(case, board, Path(scratch) / str(number)))
        tables = [_speed(found), _memory(found)]
        if cmsis_dsp is not None:
            tables.append(_transforms(compare(cmsis_dsp, Path(scratch))))
    data = [
        {"case": one.case.title, "core": one.core, "push": one.push, "row": one.row}
        for one in found
    ]
    Report(
        "front-end",
        "python -m benchmarks.front_end --cmsis-dsp CHECKOUT",
        ("gcc -O2; counted in Unicorn, on the Cortex-M55 in QEMU",),
        tuple(tables),
        {"front_ends": data},
    ).emit(as_json=as_json, markdown=markdown)


if __name__ == "__main__":
    command()
