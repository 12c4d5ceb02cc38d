"""Renode: boards with their peripherals, in a process of its own."""

from __future__ import annotations

import itertools
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Mapping
from functools import cache

from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board
from spela_mcu.firmware.boot_rom import boot_rom
from spela_mcu.firmware.build import Build
from spela_mcu.resources import resource_directory
from spela_mcu.simulators.base import STACK_PAINT, Call, SimulationError, Simulator
from spela_mcu.simulators.counting import entries_of
from spela_mcu.simulators.renode_process import (
    COMMAND_TIMEOUT_S,
    RenodeError,
    RenodeProcess,
    monitor_path,
    shared_renode,
)
from spela_mcu.simulators.stream import StreamMachine

VERSION_TIMEOUT_S = 60
WARNINGS_SHOWN = 3
PAGE = 0x1000

REGISTERS = (*(f"r{n}" for n in range(13)), "sp", "lr", "pc", "xpsr")

STRAY = re.compile(
    r"\[cpu: (0x[0-9A-F]+)\] (Read|Write)\w+ (?:from|to) non existing peripheral at (0x[0-9A-F]+)"
)
"""What Renode logs about an access to an unmapped address."""

EXPECTED = (
    "Unknown baud rate, couldn't trigger the idle line interrupt",  # see _description
    "Unhandled read from offset 0xD38 (BusFaultAddress)",  # the firmware's fault handler
)
"""Messages of Renode that can be ignored."""

_machine_numbers = itertools.count(1)


class RenodeSimulator(Simulator):
    """Renode."""

    name = "renode"
    mend = (
        "install the portable release of Renode (github.com/renode/renode/releases, "
        "renode-*.linux-portable.tar.gz), and put its directory on PATH"
    )

    def version(self) -> str | None:
        """See `Simulator`."""
        program = shutil.which("renode")
        return None if program is None else _version(program)

    def _start(self, build: Build, flash: bytes) -> RenodeMachine:
        program = shutil.which("renode")
        assert program is not None  # see Simulator.check
        return RenodeMachine(build, shared_renode(program), flash).booted()


@cache
def _version(program: str) -> str | None:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True,
            stdin=subprocess.DEVNULL, timeout=VERSION_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"\d+\.\d+(\.\d+)?", done.stdout)  # the rest depends on the build
    return number[0] if number else None


class RenodeMachine(StreamMachine):
    """One board in Renode.

    Args:
        build: what it runs.
        renode: the process that simulates it.
        flash: the content of its store.

    Raises:
        SimulationError: Renode does not take the board's description or the build.
    """

    def __init__(self, build: Build, renode: RenodeProcess, flash: bytes) -> None:
        super().__init__(build)
        self._renode = renode
        self._name = f"{build.project.board.id}-{next(_machine_numbers)}"
        self._early = b""
        self._entries: dict[int, str] = {}
        self._calls: list[Call] = []
        try:
            self._set_up(flash)
        except RenodeError as error:
            self.close()
            raise SimulationError(f"Renode refuses the board: {error}", file=build.elf) from error

    def _set_up(self, flash: bytes) -> None:
        board, renode = self.build.project.board, self._renode
        assert board.simulators.renode is not None  # see Simulator.check
        renode.monitor(f'mach create "{self._name}"')
        renode.monitor(f'machine LoadPlatformDescriptionFromString """{_description(board)}"""')
        renode.monitor(f"sysbus LoadELF {monitor_path(self.build.elf)}")
        renode.monitor(f"cpu VectorTableOffset {self._elf.by_name['port_vectors'].address:#x}")
        renode.call("open", self._name, board.simulators.renode.uart)
        if board.store is not None:
            renode.call("write", self._name, board.store.address, flash)
        if (rom := boot_rom(board)) is not None:
            renode.call("write", self._name, rom.address, rom.content)
        bottom, top = self.stack_region()
        renode.call("write", self._name, bottom, bytes([STACK_PAINT]) * (top - bottom))

    def boot(self) -> None:
        """See `StreamMachine`."""
        # A receiver that is not enabled yet drops what arrives: let the firmware start first. If it
        # sends something now, it is the report of a fault.
        self._early = self._run(0)
        super().boot()
        if _has_idle_line(self.build.project.board):
            self.monitor(f"logLevel 3 sysbus.{self._uart}")

    @property
    def _uart(self) -> str:
        renode = self.build.project.board.simulators.renode
        assert renode is not None
        return renode.uart

    def monitor(self, command: str) -> str:
        """Runs a command of Renode's monitor on this board; returns what it prints.

        Raises:
            UserError: the monitor refuses it.
            SimulationError: Renode has ended.
        """
        try:
            self._renode.monitor(f'mach set "{self._name}"')
            return self._renode.monitor(command)
        except RenodeError as error:
            raise UserError(f"Renode refuses the command: {error}") from error

    def read_memory(self, address: int, length: int) -> bytes:
        """See `Machine`."""
        board = self.build.project.board
        if not any(
            region.address <= address and address + length <= region.end
            for region in (board.flash, board.ram)
        ):
            raise ValueError(f"no memory at {address:#010x}, {length} bytes")
        return self._call("read", address, length)

    def close(self) -> None:
        """See `Machine`."""
        if self._renode.is_alive:
            self._call("close")

    # ------------------------------------------------------------------------ running

    def _send(self, data: bytes, deadline: float) -> None:
        self._call("send", data)

    def _receive(self, deadline: float) -> bytes:
        early, self._early = self._early, b""
        return early or self._run(max(0.0, deadline - time.monotonic()))

    def _run(self, seconds: float) -> bytes:
        """Runs to the end of a frame or to the limit of virtual time; returns what was sent."""
        milliseconds = round(1000 * seconds)
        try:
            sent = self._renode.call(
                "run", self._name, milliseconds, timeout_s=seconds + COMMAND_TIMEOUT_S
            )
        except RenodeError as error:
            raise self._stopped(str(error)) from error
        if self._entries:
            self._take_counts()
        return sent

    def _call(self, function: str, *fields: str | int | bytes) -> bytes:
        try:
            return self._renode.call(function, self._name, *fields)
        except RenodeError as error:
            raise SimulationError(f"Renode: {error}", file=self.build.elf) from error

    def _registers(self) -> Mapping[str, int]:
        return dict(zip(REGISTERS, struct.unpack("<17I", self._call("registers")), strict=True))

    def _stopped(self, problem: str) -> SimulationError:
        """Raises if Renode found something that the firmware must not do."""
        registers = dict(self._registers())
        stray = STRAY.search(problem)
        if stray is None:
            return self._failure(problem, registers)
        pc, kind, address = int(stray[1], 16), stray[2], int(stray[3], 16)
        bottom = self.stack_region()[0]
        hint = " (the stack overflowed)" if bottom - PAGE <= address < bottom else ""
        access = "jump to" if address == pc else "load from" if kind == "Read" else "store to"
        return self._failure(f"{access} nothing at 0x{address:08x}{hint}", registers | {"pc": pc})

    def _failure(self, reason: str, registers: Mapping[str, int] | None = None) -> SimulationError:
        error = super()._failure(reason, registers)
        said = self._call("warnings").decode(errors="replace").splitlines()
        # Each message once, and only the last few.
        shown = [line for line in dict.fromkeys(said) if not line.endswith(EXPECTED)]
        lines = "".join(f"\n  Renode: {line}" for line in shown[-WARNINGS_SHOWN:])
        return SimulationError(error.reason + lines, file=self.build.elf)

    # ----------------------------------------------------------------------- counting

    def start_counting(self, symbols: tuple[str, ...], calls: list[Call]) -> None:
        """See `Machine`."""
        self._entries = entries_of(self.build, self._elf, symbols)
        self._calls = calls
        self._call("count", struct.pack(f"<{len(self._entries)}I", *self._entries))

    def stop_counting(self) -> None:
        """See `Machine`."""
        if self._entries:
            self._entries = {}
            self._call("uncount")

    def _take_counts(self) -> None:
        for entry, instructions in struct.iter_unpack("<II", self._call("counts")):
            self._calls.append(Call(self._entries[entry], instructions, {}, {}))


def _has_idle_line(board: Board) -> bool:
    """Whether Renode's model of the board's UART watches for an idle line."""
    return board.uart.driver == "stm32_usart"


def _description(board: Board) -> str:
    """The board's platform, as used here.

    Renode's model of the older STM32 USART starts a timer for every byte that it receives, to
    detect an idle line, and searches all of them each time: a request of 800 bytes takes half a
    second. The firmware does not ask about idle lines; at an unknown baud rate there is no such
    timer.
    """
    renode = board.simulators.renode
    assert renode is not None
    path = (resource_directory("sim") / "renode" / renode.platform).resolve().as_posix()
    text = f'using "{path}"\n'
    if _has_idle_line(board):
        text += f"\n{renode.uart}:\n    frequency: 0\n"
    return text
