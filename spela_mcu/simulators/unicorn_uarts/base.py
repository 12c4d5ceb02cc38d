"""UARTs as firmware sees them: registers, with a queue of bytes on either side.

A firmware that polls an empty receiver would do so for ever: the second such read in a row, with
nothing sent in between, counts as waiting and stops the simulation. The first may have been meant
for the transmitter, whose bit is in the same register.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from spela_mcu.firmware.uart import RATE_TOLERANCE

PAGE = 0x1000


class Bus(Protocol):
    """What a UART can do to the rest of the machine."""

    def stop(self) -> None:
        """Ends the simulation at the next opportunity."""

    def read(self, address: int, length: int) -> bytes:
        """Bytes of memory, by DMA."""

    def write(self, address: int, data: bytes) -> None:
        """Stores bytes in memory, by DMA."""


class UartModel(ABC):
    """A UART at work, with what it depends on: clocks, resets, pins.

    Args:
        base: address of the UART's registers.
        bus: the rest of the machine.
        size: of the UART's registers, in bytes.
        outside: the registers that it depends on, by address, with their value after reset. A
            driver must not access any other address in their pages or in the UART's own.

    Attributes:
        pages: addresses of the pages to map.
        sent: what the firmware has sent.
        waiting: whether it was found polling an empty receiver.
        misuse: what the firmware did wrong, or None.
    """

    def __init__(
        self, base: int, bus: Bus, *, size: int = PAGE, outside: dict[int, int] | None = None
    ) -> None:
        self._base = base
        self._bus = bus
        self._size = size
        self._outside = outside or {}
        self._queue: list[int] = []  # last byte first: removing the last element is quick
        self._empty_looks = 0
        self._is_set_up = False
        self.pages = sorted({address - address % PAGE for address in (base, *self._outside)})
        self.sent = bytearray()
        self.waiting = False
        self.misuse: str | None = None

    def receive(self, data: bytes) -> None:
        """Puts bytes into the receiver, behind those not read yet."""
        self._queue[:0] = data[::-1]
        self._empty_looks = 0
        self.waiting = False
        self.sent = bytearray()

    def load(self, address: int) -> int:
        """A load by the core; runs twice for each byte received."""
        offset = address - self._base
        if 0 <= offset < self._size:
            return self._read(offset)
        return self._load_outside(address)

    def store(self, address: int, value: int) -> None:
        """A store by the core."""
        offset = address - self._base
        if 0 <= offset < self._size:
            self._write(offset, value)
        else:
            self._store_outside(address, value)

    def _load_outside(self, address: int) -> int:
        if address not in self._outside:
            self._fail(f"a load from 0x{address:08x}, which the UART does not depend on")
        return self._outside.get(address, 0)

    def _store_outside(self, address: int, value: int) -> None:
        if address not in self._outside:
            self._fail(f"a store to 0x{address:08x}, which the UART does not depend on")
        self._outside[address] = value

    def _look_at_empty(self) -> None:
        self._empty_looks += 1
        if self._empty_looks >= 2:
            self.waiting = True
            self._bus.stop()

    def _send(self, byte: int) -> None:
        if not self._is_set_up:
            self._check_set_up()
            self._is_set_up = True
        self._empty_looks = 0
        self.sent.append(byte & 0xFF)

    def _fail(self, misuse: str) -> None:
        if self.misuse is None:
            self.misuse = misuse
        self._bus.stop()

    def _check_baud(self, baud: float, wanted: int) -> None:
        if abs(baud / wanted - 1) > RATE_TOLERANCE:
            self._fail(f"the UART runs at {baud:.0f} baud, and the board's line at {wanted}")

    @abstractmethod
    def _check_set_up(self) -> None: ...

    @abstractmethod
    def _read(self, offset: int) -> int:
        """A load from the register at `offset`."""

    @abstractmethod
    def _write(self, offset: int, value: int) -> None:
        """A store to the register at `offset`."""
