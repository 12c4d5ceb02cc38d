"""The project that ``generate`` writes without ``--as``: one simulated board of each core."""

from __future__ import annotations

from pathlib import Path

from exports.subject import STEPS, Subject, sample
from exports.way import Way
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board, load_boards
from spela_mcu.firmware.deploy import deploy
from spela_mcu.firmware.project import generate_project
from spela_mcu.simulators.choice import SimulatorChoice, find_simulator


def _boards() -> tuple[Board, ...]:
    """The first board of each core that starts at once: Unicorn's, else QEMU's."""
    found: dict[str, Board] = {}
    for simulator in ("unicorn", "qemu"):
        for board in load_boards():
            if simulator in board.simulators.names:
                found.setdefault(board.core, board)
    return tuple(found.values())


def _way(board: Board) -> Way:
    choice: SimulatorChoice = "unicorn" if "unicorn" in board.simulators.names else "qemu"
    machine_name = f"{board.core} ({choice}, {board.id})"

    def missing() -> str | None:
        try:
            find_simulator(board, choice)
        except UserError as error:
            return str(error)
        return None

    def digest(subject: Subject, directory: Path) -> int:
        project = generate_project(subject.model, board)
        build = deploy(project, directory / "firmware", "auto")
        with find_simulator(board, choice).start(build) as machine:
            device = Device(machine)
            for step in range(STEPS):
                x = sample(step, subject.model.inputs)
                device.learn(x, step % subject.model.classes, digest=False)
            return device.counters().digest

    return Way("firmware", "spela-mcu build", machine_name, missing, digest)


WAYS = tuple(_way(board) for board in _boards())
