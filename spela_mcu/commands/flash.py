"""Writes a build to the flash of a real board, through a debug probe and pyOCD."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from spela_mcu.errors import UserError
from spela_mcu.firmware.build import Build
from spela_mcu.progress import Progress, silent

PROGRESS_STEPS = 100


class FlashError(UserError):
    """The probe or the chip failed to do what was asked.

    The command line ends with exit code 1: the user's input is not at fault.
    """

    exit_code = 1


@dataclass(frozen=True)
class Flashed:
    """What was written.

    Attributes:
        probe: the debug probe's description and unique id.
        target: the chip's name in pyOCD.
        bytes: bytes written and read back.
    """

    probe: str
    target: str
    bytes: int


def flash(
    build: Build,
    probe_id: str | None = None,
    progress: Progress = silent,
    *,
    erase_learned: bool = False,
) -> Flashed:
    """Writes a build to its board's flash, reads it back, and resets the board.

    Only the sectors that it writes are erased: what the board has learned stays in its store.

    Args:
        build: what to write; its board names the chip.
        probe_id: part of the probe's unique id; None: the only one that is connected.
        progress: told how far the work is.
        erase_learned: erase the store as well, so that the board starts anew.

    Raises:
        UserError: the board has no store to erase, pyOCD is not installed, there is no such probe
            or more than one, or pyOCD does not know the chip.
        FlashError: the flash cannot be written, or reads back differently.
    """
    board = build.project.board
    if board.pyocd is None:
        raise UserError(
            f"no probe flashes the board {board.id}",
            mend="simulate it, or write the .hex file with the board's own tool",
        )
    if erase_learned and board.store is None:
        raise UserError(
            f"the board {board.id} keeps nothing that it learns in flash",
            mend="leave --erase-learned out",
            key="--erase-learned",
        )
    if importlib.util.find_spec("pyocd") is None:
        raise UserError("pyOCD is not installed", mend="pip install 'spela-mcu[flash]'")
    from pyocd.core.exceptions import Error, TargetSupportError
    from pyocd.core.session import Session

    probe = _probe(probe_id)
    options = {
        "target_override": board.pyocd,
        "hide_programming_progress": True,
        "chip_erase": "sector",  # whatever the user's pyocd.yaml says
    }
    try:
        # In pyOCD, opening a session connects to the chip; leaving it lets the chip run.
        with Session(probe, options=options) as session:
            if erase_learned:
                _erase_store(session, build)
            written = _program(session, build, progress)
    except TargetSupportError as error:
        raise UserError(
            f"pyOCD does not know the chip {board.pyocd}: {error}",
            mend=f"`pyocd pack install {board.pyocd}` fetches its description",
        ) from error
    except Error as error:
        raise FlashError(
            f"the board could not be flashed: {error}",
            mend="check cable, power and that no other debugger is connected; reset the board",
        ) from error
    return Flashed(f"{probe.description} {probe.unique_id}", board.pyocd, written)


def _probe(probe_id: str | None) -> Any:  # noqa: ANN401 - pyOCD's DebugProbe
    from pyocd.core.helpers import ConnectHelper

    probes = ConnectHelper.get_all_connected_probes(blocking=False, unique_id=probe_id)
    if len(probes) == 1:
        return probes[0]
    listed = ", ".join(f"{probe.unique_id} ({probe.description})" for probe in probes)
    if probes:
        raise UserError(
            f"{len(probes)} debug probes are connected: {listed}",
            mend="name one with --probe",
            key="--probe",
        )
    matching = "" if probe_id is None else f' whose unique id holds "{probe_id}"'
    raise UserError(
        f"no debug probe{matching} is connected",
        mend="connect the board's USB port for debugging; on Linux, `pyocd list` shows the probes "
        "that udev rules let you use",
    )


def _erase_store(session: Any, build: Build) -> None:  # noqa: ANN401
    from pyocd.flash.eraser import FlashEraser

    store = build.project.board.store
    assert store is not None  # `flash` has made sure
    region = f"0x{store.address:x}-0x{store.end:x}"
    FlashEraser(session, FlashEraser.Mode.SECTOR).erase([region])


def _program(session: Any, build: Build, progress: Progress) -> int:  # noqa: ANN401
    """Writes, verifies and resets; returns the number of bytes."""
    from pyocd.flash.loader import FlashLoader

    def show(share: float) -> None:
        progress("programming", round(PROGRESS_STEPS * share), PROGRESS_STEPS)

    segments = build.read_elf().load_segments
    loader = FlashLoader(session, progress=show)
    for address, data in segments:
        try:
            loader.add_data(address, list(data))
        except ValueError as error:
            raise FlashError(
                f"the chip {build.project.board.pyocd} has no flash at 0x{address:08x}: {error}",
                mend="generate the project for the board that is connected",
                file=build.elf,
            ) from error
    loader.commit()
    for done, (address, data) in enumerate(segments):
        _verify(session.target, address, data)
        progress("verifying", done + 1, len(segments))
    session.target.reset()
    return sum(len(data) for _, data in segments)


def _verify(target: Any, address: int, data: bytes) -> None:  # noqa: ANN401 - pyOCD's Target
    found = bytes(target.read_memory_block8(address, len(data)))
    if found == data:
        return
    at = next(i for i, (one, other) in enumerate(zip(found, data, strict=False)) if one != other)
    raise FlashError(
        f"flash holds 0x{found[at]:02x} at 0x{address + at:08x}, and 0x{data[at]:02x} was written",
        mend="write it again; if it stays so, the flash is worn out or protected",
    )
