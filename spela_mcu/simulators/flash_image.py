"""A simulated board's flash in a file, which outlives the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spela_mcu.device.protocol import CHANGES, Command, ProtocolError, decode_frame
from spela_mcu.errors import UserError
from spela_mcu.files import read_bounded, write_whole
from spela_mcu.firmware.board import Board
from spela_mcu.firmware.build import Build
from spela_mcu.simulators.base import EXCHANGE_TIMEOUT_S, Machine, Simulator

ERASED = b"\xff"
MAY_WRITE_FLASH = CHANGES - {Command.NAME, Command.FREEZE, Command.RATE, Command.THRESHOLDS}


class PoweredBoard:
    """A simulated board with the flash of a file; a transport for `Device`.

    The file is written after every request that may have changed flash: however the simulation
    ends, the next starts from what was saved.
    """

    def __init__(self, machine: Machine, file: Path, image: bytes) -> None:
        self.machine = machine
        self._file = file
        self._image = image

    def exchange(self, request: bytes, timeout_s: float = EXCHANGE_TIMEOUT_S) -> bytes:
        """See `Machine`."""
        try:
            return self.machine.exchange(request, timeout_s)
        finally:
            if _command(request) in MAY_WRITE_FLASH:
                self.save()

    def save(self) -> None:
        """Writes flash to the file, if it has changed."""
        image = self.machine.read_store()
        if image != self._image:
            write_whole(self._file, image)
            self._image = image


@contextmanager
def powered(simulator: Simulator, build: Build, file: Path) -> Iterator[PoweredBoard]:
    """Switches a simulated board on, with the flash of a file; at the end, off.

    Args:
        simulator: what simulates it.
        build: what it runs.
        file: the content of its store; absent: erased. It is written when it changes.

    Raises:
        UserError: the board has no store, or the file is not the content of one.
    """
    board = build.project.board
    if board.store is None:
        raise UserError(
            f"the board {board.id} keeps nothing in flash",
            mend="take a board with a store (docs/boards.md)",
        )
    image = _read(file, board)
    with simulator.start(build, flash=image) as machine:
        yield PoweredBoard(machine, file, image)


def _read(file: Path, board: Board) -> bytes:
    assert board.store is not None
    if not file.exists():
        return ERASED * board.store.bytes
    image = read_bounded(file, board.store.bytes)
    if len(image) != board.store.bytes:
        raise UserError(
            f"is {len(image):,} bytes, and the store of {board.id} has {board.store.bytes:,}",
            mend="name the file of this board's flash, or one that does not exist yet",
            file=file,
        )
    return image


def _command(request: bytes) -> int:
    """The command of the last frame in a request; NONE if it cannot be read."""
    frames = [frame for frame in request.split(b"\0") if frame]
    try:
        return decode_frame(frames[-1])[0]
    except (ProtocolError, IndexError):
        return Command.NONE
