"""QEMU: a board in a process of its own.

The core runs only during an exchange: a firmware that waits for a byte looks for it all the time,
and would keep this machine busy. In between it stands still, and its memory can be read.
"""

from __future__ import annotations

import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from signal import Signals
from typing import IO

from spela_mcu.firmware.board import Board
from spela_mcu.firmware.build import Build
from spela_mcu.simulators.base import (
    EXCHANGE_TIMEOUT_S,
    STACK_PAINT,
    Call,
    SimulationError,
    Simulator,
)
from spela_mcu.simulators.counting import CountingError, call_of, entries_of
from spela_mcu.simulators.failure import REGISTERS
from spela_mcu.simulators.gdb import GdbError, GdbTarget
from spela_mcu.simulators.qemu_plugin import InstructionCounts, counting_plugin, plugin_option
from spela_mcu.simulators.stream import BOOT_TIMEOUT_S, StreamMachine, ends_an_answer

PROGRAM = "qemu-system-arm"
END_TIMEOUT_S = 10.0
LAST_WORDS_BYTES = 16384

FIRST_WAIT = "port_read"
"""Where a firmware first waits for a byte. What is sent earlier, the UART may not take."""


class QemuSimulator(Simulator):
    """qemu-system-arm."""

    name = "qemu"
    mend = "Debian, Ubuntu: apt install qemu-system-arm"

    def version(self) -> str | None:
        """See `Simulator`."""
        program = shutil.which(PROGRAM)
        return None if program is None else _version(program)

    def _start(self, build: Build) -> QemuMachine:
        machine = QemuMachine(build)
        try:
            machine.boot()
        except BaseException:
            machine.close()
            raise
        return machine


@lru_cache
def _version(program: str) -> str | None:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"version (\d+(\.\d+)+)", done.stdout)
    return found[1] if found else None


class QemuMachine(StreamMachine):
    """One board in one QEMU, at the other end of two sockets: the UART, and GDB's protocol."""

    def __init__(self, build: Build) -> None:
        super().__init__(build)
        self._entries: dict[int, str] = {}
        self._calls: list[Call] = []
        self._counts: InstructionCounts | None = None
        self._no_counts: CountingError | None = None
        program = shutil.which(PROGRAM) or PROGRAM
        plugin: list[str] = []
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._uart, uart = socket.socketpair()
        connection, stub = socket.socketpair()
        self._gdb = GdbTarget(connection)
        inherited = [uart.fileno(), stub.fileno()]
        try:
            library = counting_plugin(program)
            self._counts = counts = InstructionCounts(self._elf)
            inherited.append(counts.fileno())
            where = {"address": counts.address, "bytes": counts.bytes}
            plugin = ["-plugin", plugin_option(library, counts=counts.fileno(), **where)]
        except CountingError as error:
            self._no_counts = error
        with uart, stub:
            self._process = subprocess.Popen(
                [
                    program,
                    *_options(build.project.board, uart.fileno(), stub.fileno()),
                    *plugin,
                    *("-kernel", str(build.elf)),
                ],
                stdin=subprocess.PIPE,  # its end tells the plugin that this program has ended
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                pass_fds=inherited,
            )
        # Called by `close`, or when this object or the interpreter goes.
        held = (self._gdb, self._uart, self._said, self._counts)
        self._end = weakref.finalize(self, _end, self._process, *held)

    def close(self) -> None:
        """See `Machine`."""
        self._end()

    def boot(self) -> None:
        """See `StreamMachine`."""
        with self._failing():
            bottom, top = self.stack_region()
            self._gdb.write_memory(bottom, bytes([STACK_PAINT]) * (top - bottom))
            self._run_to(self._elf.by_name[FIRST_WAIT].address, BOOT_TIMEOUT_S)
        super().boot()

    def exchange(self, request: bytes, timeout_s: float = EXCHANGE_TIMEOUT_S) -> bytes:
        """See `Machine`."""
        try:
            return super().exchange(request, timeout_s)
        finally:
            self._halt()

    def read_memory(self, address: int, length: int) -> bytes:
        """See `Machine`."""
        with self._failing():
            return self._gdb.read_memory(address, length)

    # ------------------------------------------------------------------------- running

    def _send(self, data: bytes, deadline: float) -> None:
        with self._failing():
            self._gdb.resume()
            self._uart.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                self._uart.sendall(data)
            except TimeoutError as error:
                raise self._failure("its UART takes no bytes", self._registers()) from error
            except OSError as error:
                raise self._ended() from error

    def _receive(self, deadline: float) -> bytes:
        with self._failing():
            while True:
                data, stopped = self._wait(deadline)
                if data or not stopped:
                    return data
                self._count_call(deadline)
                self._gdb.resume()

    def _wait(self, deadline: float) -> tuple[bytes, bool]:
        """What comes next: bytes from the UART, or a stop of the core; neither: the deadline."""
        left = max(deadline - time.monotonic(), 0)
        ready = select.select([self._uart, self._gdb], [], [], left)[0]
        if self._uart in ready:
            try:
                data = self._uart.recv(65536)
            except OSError:
                data = b""
            if not data:
                raise self._ended()
            return data, False
        if self._gdb in ready:
            self._gdb.wait_for_stop()
        return b"", bool(ready)

    def _run_to(self, address: int, timeout_s: float) -> None:
        """Runs to an instruction, with nothing said on the way; a fault would be told."""
        deadline = time.monotonic() + timeout_s
        said = bytearray()
        self._gdb.set_breakpoint(address)
        self._gdb.resume()
        stopped = False
        while not stopped:
            data, stopped = self._wait(deadline)
            said += data
            if ends_an_answer(said):
                self._check_for_fault(bytes(said))
            if not data and not stopped:
                raise self._silence(timeout_s, bytes(said))
        self._gdb.clear_breakpoint(address)

    def _halt(self) -> None:
        try:
            self._gdb.interrupt()
        except GdbError:
            pass  # it has ended: whoever asks it anything will be told

    def _registers(self) -> Mapping[str, int]:
        try:
            self._gdb.interrupt()
            return self._gdb.read_registers(REGISTERS)
        except GdbError:
            return {}

    # ------------------------------------------------------------------------- the end

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Whatever fails, fails the machine for good; a stub that is gone, QEMU with it."""
        if self._failed is not None:
            raise self._failed
        try:
            yield
        except GdbError as error:
            self._failed = self._ended(str(error))
            raise self._failed from error
        except SimulationError as error:
            self._failed = error
            raise

    def _ended(self, otherwise: str = "QEMU closed its side") -> SimulationError:
        """QEMU's last words."""
        try:
            code = self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return SimulationError(f"QEMU does not work: {otherwise}", file=self.build.elf)
        self._said.seek(0)
        text = self._said.read()[-LAST_WORDS_BYTES:].decode(errors="replace")
        fatal = re.search(r"^qemu: fatal: (.*)$", text, re.MULTILINE)
        if fatal:
            reason = f"QEMU gave up: {fatal[1].strip()}{_first_exception(text)}"
            return self._failure(reason, _dumped_registers(text[fatal.end() :]))
        words = re.findall(rf"^{PROGRAM}: (?!warning)(.*)$", text, re.MULTILINE)
        how = f"exit code {code}" if code >= 0 else f"signal {Signals(-code).name}"
        return SimulationError(
            f"QEMU ended with {how}{': ' + words[-1] if words else ''}", file=self.build.elf
        )

    # ------------------------------------------------------------------------ counting

    def start_counting(self, symbols: tuple[str, ...], calls: list[Call]) -> None:
        """See `Machine`.

        Raises:
            CountingError: there is no plugin.
        """
        self._entries = entries_of(self.build, self._elf, symbols)
        if self._no_counts is not None:
            self._entries = {}
            raise self._no_counts
        self._calls = calls
        with self._failing():
            self._enable_counts(True)
            for entry in self._entries:
                self._gdb.set_breakpoint(entry)

    def stop_counting(self) -> None:
        """See `Machine`."""
        if self._failed is None:
            with self._failing():
                for entry in self._entries:
                    self._gdb.clear_breakpoint(entry)
                self._enable_counts(False)
        self._entries = {}

    def _enable_counts(self, enabled: bool) -> None:
        counts = self._counts
        assert counts is not None
        counts.enable(enabled)
        # Code that is written is translated again.
        code = self._gdb.read_memory(counts.address, counts.bytes)
        self._gdb.write_memory(counts.address, code)

    def _count_call(self, deadline: float) -> None:
        """Having stopped at the entry of a counted function, runs to its return."""
        registers = self._gdb.read_registers(("sp", "lr", "pc"))
        if registers["pc"] not in self._entries:
            raise self._failure("stopped for no reason", self._registers())
        assert self._counts is not None
        symbol, back = self._entries[registers["pc"]], registers["lr"] & ~1
        before = self._counts.read()
        for entry in self._entries:
            self._gdb.clear_breakpoint(entry)
        self._run_to(back, deadline - time.monotonic())
        executed = self._counts.since(before)
        for entry in self._entries:
            self._gdb.set_breakpoint(entry)
        if self._gdb.read_registers(("sp",))["sp"] != registers["sp"]:
            raise self._failure(f"{symbol} did not return to its caller", self._registers())
        self._calls.append(call_of(self._elf, symbol, executed))


def _options(board: Board, uart: int, stub: int) -> list[str]:
    known = board.simulators.qemu
    assert known is not None  # `Simulator.check` has made sure
    return [
        *("-M", known.machine, "-display", "none", "-monitor", "none", "-nic", "none"),
        *("-chardev", f"socket,id=uart,fd={uart}", "-serial", "chardev:uart"),
        *("-chardev", f"socket,id=stub,fd={stub}", "-gdb", "chardev:stub"),
        "-S",  # the core stands still until it is told to run
        *("-d", "int"),  # exceptions are told; they are rare, and the last thing that happens
    ]


def _end(
    process: subprocess.Popen[bytes],
    gdb: GdbTarget,
    uart: socket.socket,
    said: IO[bytes],
    counts: InstructionCounts | None,
) -> None:
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()
    gdb.close()
    uart.close()
    said.close()
    if counts is not None:
        counts.close()


def _first_exception(log: str) -> str:
    """The first exception that QEMU tells of: the core gave up at a later one."""
    first = re.search(r"^Taking exception \d+ \[(.*)\].*((\n\.\.\.with .*)*)", log, re.MULTILINE)
    found = re.search(r"^Taking exception \d+ \[(.*?)\]((?:.*\n\.\.\.)+.*)", log, re.MULTILINE)
    if not first or not found:
        return ""
    status = re.search(r"^\.\.\.with (.*)$", found[2], re.MULTILINE)
    return f"; first {found[1]}{', ' + status[1] if status else ''}"


def _dumped_registers(dump: str) -> dict[str, int]:
    """The registers of QEMU's dump, named as `failure` does."""
    values = {
        name: int(value, 16) for name, value in re.findall(r"\b(R\d\d|XPSR)=([0-9a-f]{8})", dump)
    }
    dumped = [*(f"R{number:02}" for number in range(16)), "XPSR"]
    return {name: values[key] for name, key in zip(REGISTERS, dumped, strict=True) if key in values}
