"""Unicorn: a core in this process, started in milliseconds.

It has only a CPU and memory: no system control block, no exceptions. So a fault does not reach the
firmware's handler; it ends the run here, with the registers and the symbol at PC.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from typing import Any

from spela_mcu.firmware.board import Region
from spela_mcu.firmware.boot_rom import boot_rom
from spela_mcu.firmware.build import Build
from spela_mcu.simulators.base import (
    EXCHANGE_TIMEOUT_S,
    STACK_PAINT,
    Call,
    Machine,
    SimulationError,
    Simulator,
)
from spela_mcu.simulators.counting import call_of, entries_of
from spela_mcu.simulators.failure import failure
from spela_mcu.simulators.unicorn_core import unicorn_core
from spela_mcu.simulators.unicorn_flash import MODELS, FlashModel
from spela_mcu.simulators.unicorn_uarts import PAGE, UartModel, uart_model
from spela_mcu.simulators.watchdog import Watchdog

BOOT_TIMEOUT_S = 20.0
NOWHERE = 0xFFFFFFFE
"""An address that is never executed: emulation ends only when it is stopped."""

INVALID_ACCESSES = {
    19: "load from nothing",
    20: "store to nothing",
    21: "jump to nothing",
    22: "store to flash",
    24: "jump into data",
}
"""Unicorn's UC_MEM_*_UNMAPPED and UC_MEM_*_PROT."""


MEM_READ = 16
"""Unicorn's UC_MEM_READ."""


class UnicornSimulator(Simulator):
    """Cores from M0 to M33 and of RISC-V, in process."""

    name = "unicorn"
    mend = "pip install unicorn"

    def version(self) -> str | None:
        """See `Simulator`."""
        if importlib.util.find_spec("unicorn") is None:
            return None
        return metadata.version("unicorn")

    def _start(self, build: Build, flash: bytes) -> UnicornMachine:
        return UnicornMachine(build, flash)


class _Bus:
    """The machine as its UART and its flash see it."""

    def __init__(self, uc: Any) -> None:  # noqa: ANN401
        self._uc = uc
        self._flash: list[tuple[int, int, int]] = []
        self.hides_flash = False

    def map_flash(self, start: int, size: int, protection: int) -> None:
        self._uc.mem_map(start, size, protection)
        self._flash.append((start, size, protection))

    def stop(self) -> None:
        self._uc.emu_stop()

    def read(self, address: int, length: int) -> bytes:
        return bytes(self._uc.mem_read(address, length))

    def write(self, address: int, data: bytes) -> None:
        self._uc.mem_write(address, data)

    def show_flash(self, *, is_shown: bool) -> None:
        if is_shown == self.hides_flash:
            for start, size, protection in self._flash:
                self._uc.mem_protect(start, size, protection if is_shown else 0)
            self.hides_flash = not is_shown


class UnicornMachine(Machine):
    """One board in Unicorn."""

    def __init__(self, build: Build, flash: bytes) -> None:
        # Through importlib, because Unicorn is only half typed.
        unicorn: Any = importlib.import_module("unicorn")
        self.build = build
        self._elf = build.read_elf()
        board = build.project.board
        self._core = unicorn_core(board)
        self._error = unicorn.UcError
        self._uc = uc = self._core.uc
        read, write = unicorn.UC_PROT_READ, unicorn.UC_PROT_WRITE
        touched = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        run = unicorn.UC_PROT_EXEC
        self._bus = _Bus(uc)
        self._map_memory(board.program, read | run, touched, self._bus.map_flash)
        self._flash: FlashModel | None = None
        if board.store is not None:
            controller = MODELS.get(board.store.driver)  # none: plain memory
            protection = read | write if controller is None else read
            self._map_memory(board.store, protection, touched, self._bus.map_flash)
            uc.mem_write(board.store.address, flash)
            if controller is not None:
                self._flash = controller(board.store, self._bus)
                # A hook of every store would take loads and stores everywhere off the fast path.
                uc.hook_add(
                    unicorn.UC_HOOK_MEM_WRITE_PROT,
                    self._on_store_to_flash,
                    begin=board.store.address,
                    end=board.store.end - 1,
                )
        self._map_memory(board.ram, read | write, touched, uc.mem_map)
        for start, end in self._elf.code_ranges:
            if board.ram.holds(start):  # code that start-up copies there
                pages = start // PAGE * PAGE, -(-end // PAGE) * PAGE
                uc.mem_protect(pages[0], pages[1] - pages[0], read | write | run)
        if (rom := boot_rom(board)) is not None:
            uc.mem_map(rom.address, rom.size, read | run)
            uc.mem_write(rom.address, rom.content)
        self._uart = uart_model(board, self._bus)
        flash_registers = () if self._flash is None else self._flash.registers
        flash_pages = {start // PAGE * PAGE for start, _ in flash_registers}
        for page in sorted({*self._uart.pages, *flash_pages}):
            self._map_registers(page)
        uc.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid_access)
        self._block_hook = unicorn.UC_HOOK_BLOCK
        self._fault: str | None = None
        self._entries: dict[int, str] = {}
        self._calls: list[Call] = []
        self._block_instructions: dict[tuple[int, int], tuple[int, ...]] = {}
        for address, data in self._elf.load_segments:
            uc.mem_write(address, data)
        bottom, top = self.stack_region()
        uc.mem_write(bottom, bytes([STACK_PAINT]) * (top - bottom))
        # Where a boot ROM, which is not simulated, would have jumped in the end.
        self._pc = self._core.reset(self._elf)
        self._watchdog = Watchdog(uc.emu_stop)
        self.exchange(b"", BOOT_TIMEOUT_S)

    def _map_memory(
        self,
        region: Region,
        protection: int,
        touched: int,
        map_pages: Callable[[int, int, int], None],
    ) -> None:
        """Maps a region. Unicorn maps whole pages, so accesses to the rest of them are watched."""
        start, end = region.address // PAGE * PAGE, -(-region.end // PAGE) * PAGE
        map_pages(start, end - start, protection)
        for low, high in ((start, region.address), (region.end, end)):
            if low < high:
                self._uc.hook_add(touched, self._on_access_beside, begin=low, end=high - 1)

    def _map_registers(self, page: int) -> None:
        uart, flash = self._uart, self._flash
        has_flash = flash is not None and any(
            start < page + PAGE and page < start + size for start, size in flash.registers
        )

        def model(address: int) -> UartModel | FlashModel:
            return flash if has_flash and flash is not None and flash.has(address) else uart

        def read(uc: Any, offset: int, size: int, data: Any) -> int:  # noqa: ANN401
            return model(page + offset).load(page + offset)

        def write(uc: Any, offset: int, size: int, value: int, data: Any) -> None:  # noqa: ANN401
            model(page + offset).store(page + offset, value)

        self._uc.mmio_map(page, PAGE, read, None, write, None)

    def exchange(self, request: bytes, timeout_s: float = EXCHANGE_TIMEOUT_S) -> bytes:
        """See `Machine`."""
        self._uart.receive(request)
        self._run(timeout_s)
        while not self._uart.waiting:
            self._count_call(timeout_s)
            self._run(timeout_s)
        return bytes(self._uart.sent)

    def read_memory(self, address: int, length: int) -> bytes:
        """See `Machine`."""
        try:
            return bytes(self._uc.mem_read(address, length))
        except self._error as error:
            raise ValueError(f"no memory at {address:#010x}, {length} bytes") from error

    def close(self) -> None:
        """See `Machine`."""
        self._watchdog.close()

    # ------------------------------------------------------------------------ running

    def _run(self, timeout_s: float) -> None:
        """Runs to the next stop: the UART waits, an exit address is reached, or an error."""
        error = None
        try:
            with self._watchdog.limit(timeout_s):
                self._uc.emu_start(self._core.entry(self._pc), NOWHERE)
        except self._error as raised:
            error = str(raised)
        self._pc = self._core.pc()
        if error is not None:
            raise self._failure(self._fault or error)
        flash_misuse = None if self._flash is None else self._flash.misuse
        for reason in (self._fault, self._uart.misuse, flash_misuse):
            if reason is not None:
                raise self._failure(reason)
        if self._watchdog.expired:
            raise self._failure(f"no answer within {timeout_s:g} s")

    def _on_interrupt(self, uc: Any, number: int, data: Any) -> None:  # noqa: ANN401
        self._fault = f"unexpected {self._core.exception(number)}"
        uc.emu_stop()

    def _on_invalid_access(
        self,
        uc: Any,  # noqa: ANN401
        access: int,
        address: int,
        *rest: object,
    ) -> bool:
        kind = INVALID_ACCESSES.get(access, f"invalid access {access}")
        if self._bus.hides_flash:
            kind = "flash is busy, and touched"
        self._refuse(kind, address)
        return False

    def _on_access_beside(
        self,
        uc: Any,  # noqa: ANN401
        access: int,
        address: int,
        *rest: object,
    ) -> None:
        self._refuse("load from nothing" if access == MEM_READ else "store to nothing", address)
        uc.emu_stop()

    def _on_store_to_flash(
        self,
        uc: Any,  # noqa: ANN401
        access: int,
        address: int,
        size: int,
        value: int,
        *rest: object,
    ) -> bool:
        """Carries out a store, which Unicorn then leaves out; says whether there was flash."""
        if self._flash is None or self._bus.hides_flash:
            return False
        before = int.from_bytes(uc.mem_read(address, size), "little")
        self._flash.program(address, size, before)
        if self._flash.misuse is not None:
            uc.emu_stop()
        self._bus.write(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))
        return True

    def _refuse(self, kind: str, address: int) -> None:
        bottom = self.stack_region()[0]
        hint = " (the stack overflowed)" if bottom - PAGE <= address < bottom else ""
        self._fault = f"{kind} at 0x{address:08x}{hint}"

    def _failure(self, reason: str) -> SimulationError:
        """What happened, and where the core stood."""
        # The core cannot continue from here: every later request fails in the same way.
        self._fault = reason
        return failure(self.build, self._elf, reason, self._core.registers())

    # ----------------------------------------------------------------------- counting

    def start_counting(self, symbols: tuple[str, ...], calls: list[Call]) -> None:
        """See `Machine`."""
        self._entries = entries_of(self.build, self._elf, symbols)
        self._calls = calls
        self._uc.ctl_exits_enabled(True)
        self._stop_at([*self._entries])

    def stop_counting(self) -> None:
        """See `Machine`."""
        self._entries = {}
        self._stop_at([])
        self._uc.ctl_exits_enabled(False)

    def _stop_at(self, addresses: list[int]) -> None:
        # Ends are compiled into the translated blocks, as hooks are.
        self._uc.ctl_set_exits(addresses)
        self._uc.ctl_flush_tb()

    def _count_call(self, timeout_s: float) -> None:
        """Having stopped at the entry of a counted function, runs to its return."""
        if self._pc not in self._entries:
            raise self._failure("stopped for no reason")
        symbol = self._entries[self._pc]
        stack_pointer, back = self._core.register("sp"), self._core.return_address()
        blocks: Counter[tuple[int, int]] = Counter()

        def count(uc: Any, address: int, size: int, data: Any) -> None:  # noqa: ANN401
            blocks[address, size] += 1

        self._stop_at([back])
        hook = self._uc.hook_add(self._block_hook, count)
        try:
            self._run(timeout_s)
        finally:
            self._uc.hook_del(hook)
            self._stop_at([*self._entries])
        if self._pc != back or self._core.register("sp") != stack_pointer:
            raise self._failure(f"{symbol} did not return to its caller")
        executed: Counter[int] = Counter()
        for (address, size), times in blocks.items():
            if address != back:  # the caller decides where the run ends
                for instruction in self._instructions_in(address, size):
                    executed[instruction] += times
        self._calls.append(call_of(self._elf, symbol, executed))

    def _instructions_in(self, address: int, size: int) -> tuple[int, ...]:
        """Addresses of a block's instructions."""
        key = (address, size)
        if key not in self._block_instructions:
            sizes = self._elf.instruction_set.sizes(self.read_memory(address, size))
            starts = itertools.accumulate(sizes, initial=address)
            self._block_instructions[key] = tuple(starts)[:-1]
        return self._block_instructions[key]
