"""Which simulator runs a board: the one asked for, or the best one available."""

from __future__ import annotations

import os
from typing import Literal

from spela_mcu.cores import CORTEX_M, Family
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board, SimulatorName
from spela_mcu.simulators.base import Simulator

SimulatorChoice = Literal["auto", "renode", "qemu", "unicorn"]

REQUIRE_VARIABLE = "SPELA_REQUIRE_SIMULATORS"
"""Environment variable: simulators, separated by commas, that must be installed."""


def simulator_named(name: SimulatorName, family: Family = CORTEX_M) -> Simulator:
    """The simulator of a name, installed or not.

    Args:
        name: its name.
        family: the cores to be simulated; of QEMU, another program each.
    """
    from spela_mcu.simulators.qemu import QemuSimulator
    from spela_mcu.simulators.renode import RenodeSimulator
    from spela_mcu.simulators.unicorn import UnicornSimulator

    match name:
        case "renode":
            return RenodeSimulator()
        case "qemu":
            return QemuSimulator(family)
        case "unicorn":
            return UnicornSimulator()


def find_simulator(board: Board, choice: SimulatorChoice = "auto") -> Simulator:
    """Chooses a simulator that is installed and knows the board.

    Args:
        board: what is to be simulated.
        choice: ``auto`` prefers Renode, then QEMU, then Unicorn.

    Raises:
        UserError: there is none, or the chosen one is missing.
    """
    known = board.simulators.names
    if choice != "auto":
        simulator = simulator_named(choice, board.family)
        simulator.check(board)
        return simulator
    simulators = [simulator_named(name, board.family) for name in known]
    for simulator in simulators:
        if simulator.is_installed():
            return simulator
    mends = "; or ".join(simulator.mend for simulator in simulators)
    raise UserError(
        f"no simulator that knows the board {board.id} is installed",
        mend=mends or "choose a board that a simulator knows (`spela-mcu boards`)",
    )


def counting_simulator(board: Board, choice: SimulatorChoice = "auto") -> Simulator | None:
    """A simulator that counts by function and knows the board: Unicorn, which is quicker, or QEMU.

    Raises:
        UserError: Renode was asked for.
    """
    if choice == "renode":
        raise UserError(
            "Renode counts the instructions of a call, but not of each function in it",
            mend="take --simulator unicorn or qemu",
            key="--simulator",
        )
    names: tuple[SimulatorName, ...] = ("unicorn", "qemu") if choice == "auto" else (choice,)
    for name in names:
        simulator = simulator_named(name, board.family)
        if simulator.is_installed() and name in board.simulators.names:
            return simulator
    return None


def is_required(name: SimulatorName) -> bool:
    """Whether the environment says that a simulator must be installed.

    Raises:
        UserError: the variable names something that is not a simulator.
    """
    names = [word.strip() for word in os.environ.get(REQUIRE_VARIABLE, "").split(",")]
    unknown = set(names) - {"", "renode", "qemu", "unicorn"}
    if unknown:
        raise UserError(
            f"{REQUIRE_VARIABLE} names {', '.join(sorted(unknown))}",
            mend="the simulators are: renode, qemu, unicorn",
        )
    return name in names
