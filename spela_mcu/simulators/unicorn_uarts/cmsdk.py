"""UART of Arm's CMSDK (DDI 0479, 4.3)."""

from __future__ import annotations

from spela_mcu.firmware.uart import CmsdkUart
from spela_mcu.simulators.unicorn_uarts.base import Bus, UartModel


class CmsdkUartModel(UartModel):
    """Works once its divider is set and both directions are enabled."""

    def __init__(self, uart: CmsdkUart, bus: Bus) -> None:
        super().__init__(uart.base, bus)
        self._uart = uart
        self._control = 0
        self._divider = 0

    def _read(self, offset: int) -> int:
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

    def _write(self, offset: int, value: int) -> None:
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
