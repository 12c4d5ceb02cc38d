"""Flash controllers for Unicorn, which has none: as strict as the UARTs beside them."""

from __future__ import annotations

from typing import Protocol

from spela_mcu.firmware import boot_rom
from spela_mcu.firmware.board import StoreRegion

ERASED_BYTE = 0xFF
WORD_BYTES = 4


class Bus(Protocol):
    """What a controller can do to the rest of the machine."""

    def read(self, address: int, length: int) -> bytes:
        """Bytes of memory."""

    def write(self, address: int, data: bytes) -> None:
        """Stores bytes in memory, flash included."""

    def show_flash(self, *, is_shown: bool) -> None:
        """Whether the core can read flash, and run from it."""


class FlashModel:
    """What every controller of a store's flash has.

    Attributes:
        registers: pairs (address, bytes) that the controller answers at.
        misuse: what the firmware did wrong, or None.
    """

    registers: tuple[tuple[int, int], ...]

    def __init__(self, region: StoreRegion, bus: Bus) -> None:
        self._region = region
        self._bus = bus
        self.misuse: str | None = None

    def has(self, address: int) -> bool:
        """Whether a register lies there."""
        return any(start <= address < start + size for start, size in self.registers)

    def load(self, address: int) -> int:
        """A load of a register."""
        raise NotImplementedError

    def store(self, address: int, value: int) -> None:
        """A store to a register."""
        raise NotImplementedError

    def program(self, address: int, size: int, before: int) -> None:
        """The core stores to flash, where `before` is; what it must not do is misuse."""
        raise NotImplementedError

    def _check_word(self, address: int, size: int, before: int, *, is_enabled: bool) -> None:
        if not is_enabled:
            self.misuse = f"flash at 0x{address:08x} is written, and the controller not told so"
        elif size != WORD_BYTES:
            self.misuse = f"flash at 0x{address:08x} is written by {size} bytes, not a word"
        elif before != 0xFFFFFFFF:
            self.misuse = f"flash at 0x{address:08x} is written twice without an erase"


class NvmcModel(FlashModel):
    """The controller of nRF51 and nRF52."""

    BASE, FICR = 0x4001E000, 0x10000000
    READY, CONFIG, ERASE_PAGE = 0x400, 0x504, 0x508
    WRITE, ERASE = 1, 2

    registers = ((BASE, 0x1000), (FICR, 0x1000))

    def __init__(self, region: StoreRegion, bus: Bus) -> None:
        super().__init__(region, bus)
        self._config = 0

    def load(self, address: int) -> int:
        """See `FlashModel`."""
        if address == self.FICR + 0x10:
            return self._region.block_bytes
        if address == self.BASE + self.READY:
            return 1
        return self._config if address == self.BASE + self.CONFIG else 0

    def store(self, address: int, value: int) -> None:
        """See `FlashModel`."""
        if address == self.BASE + self.CONFIG:
            self._config = value
        elif address == self.BASE + self.ERASE_PAGE:
            if self._config != self.ERASE or not self._region.holds(value):
                self.misuse = f"the page at 0x{value:08x} cannot be erased"
            else:
                self._bus.write(value, bytes([ERASED_BYTE]) * self._region.block_bytes)

    def program(self, address: int, size: int, before: int) -> None:
        """See `FlashModel`."""
        self._check_word(address, size, before, is_enabled=self._config == self.WRITE)


class Stm32F4Model(FlashModel):
    """The controller of STM32F4 with one bank (RM0090, 3)."""

    BASE = 0x40023C00
    ACR, KEYR, SR, CR = 0x00, 0x04, 0x0C, 0x10
    KEYS = (0x45670123, 0xCDEF89AB)
    PG, SER, STRT, LOCK = 1 << 0, 1 << 1, 1 << 16, 1 << 31
    START = 0x08000000
    SECTORS = (*[0x4000] * 4, 0x10000, *[0x20000] * 7)

    registers = ((BASE, 0x400),)

    def __init__(self, region: StoreRegion, bus: Bus) -> None:
        super().__init__(region, bus)
        self._acr, self._control = 0, self.LOCK
        self._keys: tuple[int, ...] = ()

    def load(self, address: int) -> int:
        """See `FlashModel`."""
        return {self.ACR: self._acr, self.CR: self._control}.get(address - self.BASE, 0)

    def store(self, address: int, value: int) -> None:
        """See `FlashModel`."""
        offset = address - self.BASE
        if offset == self.ACR:
            self._acr = value
        elif offset == self.KEYR:
            self._keys = (*self._keys, value)[-2:]
            if self._keys == self.KEYS:
                self._control &= ~self.LOCK
        elif offset == self.CR and not self._control & self.LOCK:
            self._control = value & ~self.STRT
            if value & self.STRT and value & self.SER:
                self._erase(value >> 3 & 15)

    def _erase(self, sector: int) -> None:
        start = self.START + sum(self.SECTORS[:sector])
        if sector >= len(self.SECTORS) or not self._region.holds(start):
            self.misuse = f"sector {sector} does not belong to the store"
        else:
            self._bus.write(start, bytes([ERASED_BYTE]) * self.SECTORS[sector])

    def program(self, address: int, size: int, before: int) -> None:
        """See `FlashModel`."""
        is_enabled = not self._control & self.LOCK and bool(self._control & self.PG)
        self._check_word(address, size, before, is_enabled=is_enabled)


class Stm32L5Model(FlashModel):
    """The controller of STM32L5 with 512 KB in two banks (RM0438, 6); the cache is off."""

    BASE, ICACHE = 0x40022000, 0x40030400
    NSKEYR, NSCR, OPTR = 0x08, 0x28, 0x40
    KEYS = (0x45670123, 0xCDEF89AB)
    PG, PER, BKER, STRT, LOCK = 1 << 0, 1 << 1, 1 << 11, 1 << 16, 1 << 31
    DBANK = 1 << 22
    START, PAGE, PAGES_PER_BANK = 0x08000000, 0x800, 128

    registers = ((BASE, 0x400), (ICACHE, 0x400))

    def __init__(self, region: StoreRegion, bus: Bus) -> None:
        super().__init__(region, bus)
        self._control = self.LOCK
        self._keys: tuple[int, ...] = ()
        self._half: int | None = None

    def load(self, address: int) -> int:
        """See `FlashModel`."""
        return {self.NSCR: self._control, self.OPTR: self.DBANK}.get(address - self.BASE, 0)

    def store(self, address: int, value: int) -> None:
        """See `FlashModel`."""
        offset = address - self.BASE
        if offset == self.NSKEYR:
            self._keys = (*self._keys, value)[-2:]
            if self._keys == self.KEYS:
                self._control &= ~self.LOCK
        elif offset == self.NSCR and not self._control & self.LOCK:
            self._control = value & ~self.STRT
            if self._half is not None:
                self.misuse = f"flash at 0x{self._half:08x}: half a double word is written"
            if value & self.STRT and value & self.PER:
                self._erase((value >> 3 & 127) + (self.PAGES_PER_BANK if value & self.BKER else 0))

    def _erase(self, page: int) -> None:
        start = self.START + page * self.PAGE
        if not self._region.holds(start):
            self.misuse = f"page {page} does not belong to the store"
        else:
            self._bus.write(start, bytes([ERASED_BYTE]) * self.PAGE)

    def program(self, address: int, size: int, before: int) -> None:
        """See `FlashModel`."""
        is_enabled = not self._control & self.LOCK and bool(self._control & self.PG)
        self._check_word(address, size, before, is_enabled=is_enabled)
        if address != (address & ~7 if self._half is None else self._half + 4):
            self.misuse = f"flash at 0x{address:08x} is not written by double words"
        self._half = address if self._half is None else None


class Rp2040Model(FlashModel):
    """RP2040's flash interface, and the controller that spela-mcu's boot ROM tells what to do.

    From flash_exit_xip to flash_enter_cmd_xip the core cannot read flash.
    """

    SSI, CONTROLLER = 0x18000000, 0x1F000000
    CTRLR0, SSIENR, BAUDR = 0x00, 0x08, 0x14
    START, SECTOR, PAGE = 0x10000000, 0x1000, 0x100

    registers = ((SSI, 0x1000), (CONTROLLER, 0x1000))

    def __init__(self, region: StoreRegion, bus: Bus) -> None:
        super().__init__(region, bus)
        # As spela-mcu's second stage of the boot leaves them.
        self._ssi = {self.CTRLR0: 0x001F0300, self.SSIENR: 1, self.BAUDR: 4}
        self._arguments: dict[int, int] = {}
        self._steps: list[int] = []

    def load(self, address: int) -> int:
        """See `FlashModel`."""
        return self._ssi.get(address - self.SSI, 0)

    def store(self, address: int, value: int) -> None:
        """See `FlashModel`."""
        if address < self.CONTROLLER:
            if address == self.SSI + self.BAUDR and self._ssi[self.SSIENR]:
                self.misuse = "the clock of flash is changed while its interface is on"
            self._ssi[address - self.SSI] = value
            self._bus.show_flash(is_shown=self._ssi[self.SSIENR] == 1)
            return
        register = address - self.CONTROLLER
        self._arguments[register] = value
        if register == boot_rom.STEP:
            self._step(value)
        elif register == boot_rom.ERASE:
            self._change(b"\xff" * value, value % self.SECTOR)
        elif register == boot_rom.PROGRAM:
            data = self._bus.read(self._arguments[boot_rom.DATA], value)
            before = self._bus.read(self.START + self._arguments[boot_rom.OFFSET], value)
            both = bytes(old & new for old, new in zip(before, data, strict=True))
            self._change(both, value % self.PAGE)

    def program(self, address: int, size: int, before: int) -> None:
        """See `FlashModel`."""
        self.misuse = f"flash at 0x{address:08x} is stored to, and only the boot ROM programs it"

    def _step(self, step: int) -> None:
        self._steps.append(step)
        if step == boot_rom.EXIT_XIP:
            self._bus.show_flash(is_shown=False)
        elif step == boot_rom.ENTER_XIP:
            if self._steps != [
                boot_rom.CONNECT,
                boot_rom.EXIT_XIP,
                boot_rom.FLUSH,
                boot_rom.ENTER_XIP,
            ]:
                self.misuse = "the boot ROM's functions are called in another order"
            self._steps = []
            self._bus.show_flash(is_shown=True)

    def _change(self, content: bytes, rest: int) -> None:
        start = self.START + self._arguments[boot_rom.OFFSET]
        if rest or start % len(content) or not self._region.holds(start):
            self.misuse = f"flash at 0x{start:08x} cannot be changed by {len(content)} bytes"
        elif self._steps != [boot_rom.CONNECT, boot_rom.EXIT_XIP]:
            self.misuse = "flash is changed while it is read by the core"
        else:
            self._bus.write(start, content)


MODELS: dict[str, type[FlashModel]] = {
    "nrf_nvmc": NvmcModel,
    "rp2040": Rp2040Model,
    "stm32f4": Stm32F4Model,
    "stm32l5": Stm32L5Model,
}
"""By the driver of a board's store; one that is plain memory has no controller
(firmware/store/drivers/flash_memory.c)."""
