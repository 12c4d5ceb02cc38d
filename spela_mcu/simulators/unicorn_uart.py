"""UARTs as firmware sees them: registers, with a queue of bytes on either side.

A firmware that polls an empty receiver would poll for ever; the second such look in a row, with
nothing sent in between, is taken as "waiting", and stops the simulation. The first may be a look
at the transmitter, which has its bit in the same register.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from spela_mcu.firmware.board import Board, CmsdkUart, Stm32Pin, Stm32Usart

BAUD_TOLERANCE = 0.025
"""What an asynchronous line of ten bits bears, with a margin for the other side."""

PAGE = 0x1000


class UartModel(ABC):
    """A UART at work.

    Args:
        stop: ends the simulation at the next opportunity.
        peek: the word at an address, for what the UART depends on outside itself.

    Attributes:
        sent: what the firmware has sent.
        waiting: whether it was found polling an empty receiver.
        misuse: what the firmware did wrong, or None.
    """

    def __init__(self, stop: Callable[[], None], peek: Callable[[int], int]) -> None:
        self._stop = stop
        self._peek = peek
        self._queue: list[int] = []  # last byte first: taking one off the end is quick
        self._empty_looks = 0
        self._is_set_up = False
        self.sent = bytearray()
        self.waiting = False
        self.misuse: str | None = None

    def receive(self, data: bytes) -> None:
        """Puts bytes into the receiver, behind those not read yet."""
        self._queue[:0] = data[::-1]
        self._empty_looks = 0
        self.waiting = False
        self.sent = bytearray()

    def _look_at_empty(self) -> None:
        self._empty_looks += 1
        if self._empty_looks >= 2:
            self.waiting = True
            self._stop()

    def _send(self, byte: int) -> None:
        if not self._is_set_up:
            self._check_set_up()
            self._is_set_up = True
        self._empty_looks = 0
        self.sent.append(byte & 0xFF)

    def _fail(self, misuse: str) -> None:
        if self.misuse is None:
            self.misuse = misuse
        self._stop()

    def _check_baud(self, baud: float, wanted: int) -> None:
        if abs(baud / wanted - 1) > BAUD_TOLERANCE:
            self._fail(f"the UART runs at {baud:.0f} baud, and the board's line at {wanted}")

    @abstractmethod
    def _check_set_up(self) -> None: ...

    @abstractmethod
    def read(self, offset: int) -> int:
        """A load from the register at `offset`: runs twice for each byte received."""

    @abstractmethod
    def write(self, offset: int, value: int) -> None:
        """A store to the register at `offset`."""


class CmsdkUartModel(UartModel):
    """UART of Arm's CMSDK (DDI 0479, 4.3)."""

    def __init__(
        self, uart: CmsdkUart, stop: Callable[[], None], peek: Callable[[int], int]
    ) -> None:
        super().__init__(stop, peek)
        self._uart = uart
        self._control = 0
        self._divider = 0

    def read(self, offset: int) -> int:
        """See `UartModel`."""
        if offset == 0x04:
            if self._queue:
                return 2
            self._look_at_empty()
            return 0
        if offset == 0x00:
            return self._queue.pop() if self._queue else 0
        if offset == 0x08:
            return self._control
        if offset == 0x10:
            return self._divider
        self._fail(f"the UART has no register to read at offset {offset:#x}")
        return 0

    def write(self, offset: int, value: int) -> None:
        """See `UartModel`."""
        if offset == 0x00:
            self._send(value)
        elif offset == 0x08:
            self._control = value
        elif offset == 0x10:
            self._divider = value
        elif offset != 0x04:  # writes to the state clear overruns, which never happen here
            self._fail(f"the UART has no register to write at offset {offset:#x}")

    def _check_set_up(self) -> None:
        if self._control & 3 != 3:
            self._fail("the UART sends before transmitter and receiver are enabled")
        elif self._divider < 16:
            self._fail(f"the UART's divider is {self._divider}, and must be 16 or more")
        else:
            self._check_baud(self._uart.clock_hz / self._divider, self._uart.baud)


class Stm32UsartModel(UartModel):
    """USART of STM32F2 and F4 (RM0090, 30.6): works once its clock and its pins are set up."""

    def __init__(
        self, uart: Stm32Usart, stop: Callable[[], None], peek: Callable[[int], int]
    ) -> None:
        super().__init__(stop, peek)
        self._uart = uart
        self._registers = {0x08: 0, 0x0C: 0, 0x10: 0, 0x14: 0}

    def read(self, offset: int) -> int:
        """See `UartModel`."""
        if offset == 0x00:  # TXE and TC are always set: bytes leave at once
            if self._queue:
                return 0xE0
            self._look_at_empty()
            return 0xC0
        if offset == 0x04:
            return self._queue.pop() if self._queue else 0
        if offset not in self._registers:
            self._fail(f"the USART has no register at offset {offset:#x}")
        return self._registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """See `UartModel`."""
        if offset == 0x04:
            self._send(value)
        elif offset in self._registers:
            self._registers[offset] = value
        elif offset != 0x00:
            self._fail(f"the USART has no register at offset {offset:#x}")

    def _check_set_up(self) -> None:
        for enable in self._uart.enables:
            if not self._peek(enable.register_address) >> enable.bit & 1:
                where = f"bit {enable.bit} of 0x{enable.register_address:08x}"
                return self._fail(f"the USART sends before {where} is set")
        for name, pin in (("TX", self._uart.tx), ("RX", self._uart.rx)):
            if not self._is_connected(pin):
                return self._fail(f"the USART sends before its {name} pin is connected")
        if self._registers[0x0C] & 0x200C != 0x200C:
            return self._fail("the USART sends before it is enabled, transmitter and receiver")
        divider = max(self._registers[0x08], 1)
        return self._check_baud(self._uart.clock_hz / divider, self._uart.baud)

    def _is_connected(self, pin: Stm32Pin) -> bool:
        mode = self._peek(pin.port) >> 2 * pin.pin & 3
        alternate = self._peek(pin.port + 0x20 + 4 * (pin.pin // 8)) >> 4 * (pin.pin % 8) & 15
        return mode == 2 and alternate == pin.function


def uart_model(
    board: Board, stop: Callable[[], None], peek: Callable[[int], int]
) -> CmsdkUartModel | Stm32UsartModel:
    """The model of a board's UART."""
    if isinstance(board.uart, CmsdkUart):
        return CmsdkUartModel(board.uart, stop, peek)
    assert isinstance(board.uart, Stm32Usart)
    return Stm32UsartModel(board.uart, stop, peek)


def support_pages(board: Board) -> tuple[int, ...]:
    """Pages of registers that setting the UART up touches, besides its own; plain storage."""
    uart = board.uart
    if not isinstance(uart, Stm32Usart):
        return ()
    addresses = {uart.tx.port, uart.rx.port, *(bit.register_address for bit in uart.enables)}
    return tuple(sorted({address - address % PAGE for address in addresses}))
