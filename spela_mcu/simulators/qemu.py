"""QEMU: a board in a process of its own.

The core runs only during an exchange, since a firmware that waits for a byte polls all the time and
would keep this machine busy. In between it is stopped, and its memory can be read.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from spela_mcu.cores import CORTEX_M, Family
from spela_mcu.firmware.build import Build
from spela_mcu.simulators.base import (
    EXCHANGE_TIMEOUT_S,
    STACK_PAINT,
    Call,
    SimulationError,
    Simulator,
)
from spela_mcu.simulators.counting import CountingError, call_of, entries_of
from spela_mcu.simulators.gdb import GdbError, GdbTarget
from spela_mcu.simulators.qemu_plugin import InstructionCounts, counting_plugin
from spela_mcu.simulators.qemu_process import QemuProcess, qemu_program, qemu_version
from spela_mcu.simulators.stream import BOOT_TIMEOUT_S, StreamMachine, ends_an_answer

FIRST_WAIT = "port_read"
"""Where a firmware first waits for a byte; its UART may drop what is sent earlier."""


class QemuSimulator(Simulator):
    """QEMU: a program for each family of cores."""

    name = "qemu"

    def __init__(self, family: Family = CORTEX_M) -> None:
        self.mend = f"Debian, Ubuntu: apt install {family.qemu_package}"
        self._family = family

    def version(self) -> str | None:
        """See `Simulator`."""
        return qemu_version(qemu_program(self._family))

    def _start(self, build: Build, flash: bytes) -> QemuMachine:
        return QemuMachine(build, flash).booted()


class QemuMachine(StreamMachine):
    """One board in one QEMU."""

    def __init__(self, build: Build, flash: bytes) -> None:
        super().__init__(build)
        known = build.project.board.simulators.qemu
        assert known is not None  # `Simulator.check` has made sure
        self._counts: InstructionCounts | CountingError
        try:
            counting_plugin(qemu_program(build.project.board.family))
            self._counts = InstructionCounts(self._elf)
        except CountingError as error:
            self._counts = error  # only a machine that is to count needs to know
        counts = None if isinstance(self._counts, CountingError) else self._counts
        store = build.project.board.store
        images = {} if store is None else {store.address: flash}
        family = build.project.board.family
        self._process = QemuProcess(family, known.machine, build.elf, counts, images)
        self._uart = self._process.uart
        self._gdb = GdbTarget(self._process.stub)
        self._sent_early = bytearray()  # sent by the firmware before a stop that was waited for
        self._entries: dict[int, str] = {}
        self._calls: list[Call] = []

    def close(self) -> None:
        """See `Machine`."""
        self._process.close()

    def boot(self) -> None:
        """See `StreamMachine`."""
        with self._failing():
            bottom, top = self.stack_region()
            self._gdb.write_memory(bottom, bytes([STACK_PAINT]) * (top - bottom))
            # A firmware without it never listens and never answers.
            first_wait = self._elf.by_name.get(FIRST_WAIT)
            deadline = time.monotonic() + BOOT_TIMEOUT_S
            if first_wait is not None and not self._run_to(first_wait.address, deadline):
                raise self._silence(BOOT_TIMEOUT_S, b"")
        super().boot()

    def exchange(self, request: bytes, timeout_s: float = EXCHANGE_TIMEOUT_S) -> bytes:
        """See `Machine`."""
        try:
            return super().exchange(request, timeout_s)
        finally:
            with suppress(GdbError):  # if it has ended, the next request reports it
                self._gdb.interrupt()

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
                raise self._ended(str(error)) from error

    def _receive(self, deadline: float) -> bytes:
        with self._failing():
            while True:
                data, stopped = self._wait(deadline)
                if not stopped:
                    return data
                if not self._count_call(deadline):
                    return b""
                self._gdb.resume()
                if self._sent_early:
                    data, self._sent_early = bytes(self._sent_early), bytearray()
                    return data

    def _wait(self, deadline: float) -> tuple[bytes, bool]:
        """Waits for bytes from the UART or a stop of the core; neither: the deadline passed."""
        left = max(deadline - time.monotonic(), 0)
        uart, stub = self._uart.fileno(), self._gdb.fileno()
        ready = select.select([uart, stub], [], [], left)[0]
        if uart in ready:
            try:
                data = self._uart.recv(65536)
            except OSError:
                data = b""
            if not data:
                raise self._ended("it closed its UART")
            return data, False
        if stub in ready:
            self._gdb.wait_for_stop()
        return b"", bool(ready)

    def _run_to(self, address: int, deadline: float) -> bool:
        """Whether it reaches an instruction in time; a fault on the way is reported."""
        self._gdb.set_breakpoint(address)
        self._gdb.resume()
        stopped = False
        while not stopped:
            data, stopped = self._wait(deadline)
            if not data and not stopped:
                return False
            self._sent_early += data
            if ends_an_answer(self._sent_early):
                self._check_for_fault(bytes(self._sent_early))
        self._gdb.clear_breakpoint(address)
        return True

    def _registers(self) -> Mapping[str, int]:
        try:
            self._gdb.interrupt()
            return self._gdb.read_registers(self._elf.family.registers)
        except GdbError:
            return {}

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """A failure within is final for this machine; if the stub is gone, QEMU is too."""
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

    def _ended(self, symptom: str) -> SimulationError:
        """QEMU's last words, or the symptom if it has not ended."""
        words = self._process.last_words()
        if words is None:
            return SimulationError(f"QEMU does not work: {symptom}", file=self.build.elf)
        if not words.registers:
            return SimulationError(words.reason, file=self.build.elf)
        return self._failure(words.reason, words.registers)

    # ------------------------------------------------------------------------ counting

    def start_counting(self, symbols: tuple[str, ...], calls: list[Call]) -> None:
        """See `Machine`.

        Raises:
            CountingError: there is no plugin.
        """
        entries = entries_of(self.build, self._elf, symbols)
        with self._failing():
            self._enable_counts(True)
            for entry in entries:
                self._gdb.set_breakpoint(entry)
        self._entries, self._calls = entries, calls

    def stop_counting(self) -> None:
        """See `Machine`."""
        entries, self._entries = self._entries, {}
        if self._failed is None:
            with self._failing():
                for entry in entries:
                    self._gdb.clear_breakpoint(entry)
                self._enable_counts(False)

    def _enable_counts(self, enabled: bool) -> None:
        counts = self._plugin_counts()
        counts.enable(enabled)
        # QEMU translates code anew once it has been written.
        code = self._gdb.read_memory(counts.address, counts.bytes)
        self._gdb.write_memory(counts.address, code)

    def _plugin_counts(self) -> InstructionCounts:
        if isinstance(self._counts, CountingError):
            raise self._counts
        return self._counts

    def _count_call(self, deadline: float) -> bool:
        """Runs from the entry of a counted function to its return; whether it came in time."""
        counts = self._plugin_counts()
        link = self._elf.family.link
        at_entry = self._gdb.read_registers(("sp", link, "pc"))
        if at_entry["pc"] not in self._entries:
            raise self._failure("stopped for no reason", self._registers())
        symbol = self._entries[at_entry["pc"]]
        for entry in self._entries:
            self._gdb.clear_breakpoint(entry)
        before = counts.read()
        if not self._run_to(at_entry[link] & ~1, deadline):
            return False
        executed = counts.since(before)
        for entry in self._entries:
            self._gdb.set_breakpoint(entry)
        if self._gdb.read_registers(("sp",)) != {"sp": at_entry["sp"]}:
            raise self._failure(f"{symbol} did not return to its caller", self._registers())
        self._calls.append(call_of(self._elf, symbol, executed))
        return True
