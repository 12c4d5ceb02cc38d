"""What every simulator offers: run a build, talk over its UART, count, look into memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board, SimulatorName, load_boards
from spela_mcu.firmware.build import Build

EXCHANGE_TIMEOUT_S = 120.0
"""Real time that one request may take: none needs a tenth of it."""

STACK_PAINT = 0xA5
"""Byte that fills the stack before the start: what still holds it was never used."""


class SimulationError(UserError):
    """The simulated firmware took a fault, hung, or misused the hardware.

    The command line ends with exit code 1: the user's input is not at fault.
    """

    exit_code = 1


@dataclass(frozen=True)
class Call:
    """One counted call of a function.

    Attributes:
        symbol: the function.
        instructions: executed from its first instruction to its return, callees included;
            instructions of an IT block count whether or not their condition held.
        functions: the same, by executed function, in descending order; empty where the simulator
            counts only the total.
        blocks: how often each straight piece of code was executed, by (address, bytes); every
            executed instruction lies in exactly one; empty where `functions` is.
    """

    symbol: str
    instructions: int
    functions: Mapping[str, int]
    blocks: Mapping[tuple[int, int], int]


class Machine(ABC):
    """One simulated board that runs one build; a context manager, closed at the end.

    Attributes:
        build: what it runs.
    """

    build: Build

    @abstractmethod
    def exchange(self, request: bytes, timeout_s: float = EXCHANGE_TIMEOUT_S) -> bytes:
        """Sends bytes over the UART and runs until the firmware waits for more.

        Args:
            request: what the firmware receives.
            timeout_s: real time after which a firmware that is still busy is abandoned.

        Returns:
            What the firmware sent.

        Raises:
            SimulationError: a fault, an access to unmapped memory, or no answer in time.
        """

    def pass_bytes(self, data: bytes) -> bytes:
        """Sends any bytes, a whole request or not; returns the answer, if there is one.

        Raises:
            SimulationError: as `exchange`, except that a missing answer is no error.
        """
        return self.exchange(data)

    @abstractmethod
    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes of flash or RAM.

        Raises:
            ValueError: there is no memory there.
        """

    @abstractmethod
    def start_counting(self, symbols: tuple[str, ...], calls: list[Call]) -> None:
        """From now on, appends every outermost call of one of the functions to `calls`."""

    @abstractmethod
    def stop_counting(self) -> None:
        """Ends `start_counting`: exchanges run at full speed again."""

    @contextmanager
    def counting(self, *symbols: str) -> Iterator[list[Call]]:
        """Counts the instructions of each call of some functions, exactly.

        ::

            with machine.counting("spela_learn") as calls:
                device.learn(sample, label)
            calls[0].instructions

        Args:
            symbols: names of functions with external linkage, which the compiler cannot inline
                into other files.

        Raises:
            UserError: the build has no such function.
        """
        calls: list[Call] = []
        self.start_counting(symbols, calls)
        try:
            yield calls
        finally:
            self.stop_counting()

    def read_store(self) -> bytes:
        """What the board keeps in flash; empty if it has no store."""
        store = self.build.project.board.store
        return b"" if store is None else self.read_memory(store.address, store.bytes)

    def stack_high_water_bytes(self) -> int:
        """The most bytes of stack that were in use at any time since the start."""
        bottom, top = self.stack_region()
        stack = self.read_memory(bottom, top - bottom)
        return len(stack.lstrip(bytes([STACK_PAINT])))

    def stack_region(self) -> tuple[int, int]:
        """The stack's lowest address, and the first address beyond it."""
        symbols = self.build.read_elf().by_name
        return symbols["port_stack_bottom"].address, symbols["port_stack_top"].address

    def close(self) -> None:  # noqa: B027 - not every machine holds something
        """Frees what the simulation holds; the machine cannot be used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Simulator(ABC):
    """A program or library that simulates boards.

    Attributes:
        name: what a user calls it.
        mend: how to install it.
    """

    name: SimulatorName
    mend: str

    @abstractmethod
    def version(self) -> str | None:
        """Its version, or None if it is not installed."""

    def __str__(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version() or '(not installed)'}"

    def is_installed(self) -> bool:
        """Whether it can be used."""
        return self.version() is not None

    def check(self, board: Board) -> None:
        """Makes sure that it can simulate a board.

        Raises:
            UserError: it is not installed, or does not know the board.
        """
        if not self.is_installed():
            raise UserError(f"{self.name} is not installed", mend=self.mend)
        if self.name not in board.simulators.names:
            others = [
                other.id
                for other in load_boards()
                if other.core == board.core and self.name in other.simulators.names
            ]
            raise UserError(
                f"the board {board.id} cannot be simulated by {self.name}",
                mend=f"--simulator can be: {', '.join(board.simulators.names) or 'none'}; or take "
                f"another board with a {board.core}: {', '.join(others) or 'there is none'}",
            )

    def start(self, build: Build, flash: bytes | None = None) -> Machine:
        """Loads a build and runs it until it waits for its first byte.

        Args:
            build: what the board runs.
            flash: the content of the board's store, if it has one; None: it is erased.

        Raises:
            UserError: it is not installed, or does not know the board.
            SimulationError: the firmware does not get that far.
        """
        self.check(build.project.board)
        store = build.project.board.store
        erased = b"" if store is None else b"\xff" * store.bytes
        return self._start(build, erased if flash is None else flash)

    @abstractmethod
    def _start(self, build: Build, flash: bytes) -> Machine:
        """See `start`; the simulator is installed and knows the board."""
