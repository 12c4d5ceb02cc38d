"""UART of the kind of the 16550 (PC16550D, National Semiconductor, 8)."""

from __future__ import annotations

from spela_mcu.firmware.uart import Ns16550Uart
from spela_mcu.simulators.unicorn_uarts.base import Bus, UartModel

DATA, FIFO, LINE, STATUS = 0, 2, 3, 5
RX_FULL, TX_EMPTY = 0x01, 0x60
DIVIDER_ACCESS = 0x80


class Ns16550UartModel(UartModel):
    """Works once its divider is set; while that is accessible, data are not."""

    def __init__(self, uart: Ns16550Uart, bus: Bus) -> None:
        super().__init__(uart.base, bus, size=8)
        self._uart = uart
        self._line = 0
        self._fifo = 0
        self._divider = [0, 0]

    def _read(self, offset: int) -> int:
        if offset == STATUS:
            if self._queue:
                return RX_FULL | TX_EMPTY
            self._look_at_empty()
            return TX_EMPTY
        if offset == DATA and not self._line & DIVIDER_ACCESS:
            return self._queue.pop() if self._queue else 0
        self._fail(f"the UART has no register to read at offset {offset:#x}")
        return 0

    def _write(self, offset: int, value: int) -> None:
        if offset < 2 and self._line & DIVIDER_ACCESS:
            self._divider[offset] = value & 0xFF
        elif offset == DATA:
            self._send(value)
        elif offset == FIFO:
            self._fifo = value
        elif offset == LINE:
            self._line = value & 0xFF
        else:
            self._fail(f"the UART has no register to write at offset {offset:#x}")

    def _check_set_up(self) -> None:
        divider = self._divider[0] | self._divider[1] << 8
        if self._line != 3:
            self._fail("the UART does not send 8 data bits without parity")
        elif self._fifo & 1 == 0:
            self._fail("the UART sends before its FIFO is enabled")
        elif divider == 0:
            self._fail("the UART sends before its divider is set")
        else:
            self._check_baud(self._uart.clock_hz / (16 * divider), self._uart.baud)
