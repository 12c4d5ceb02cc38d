"""UART0 of SiFive's FE310, which works once crystal, clock and pins are set up."""

from __future__ import annotations

from spela_mcu.firmware.uart import SifiveUart
from spela_mcu.simulators.unicorn_uarts.base import Bus, UartModel

CRYSTAL, PLL, PINS_ENABLED, PINS_SELECTED = 0x10008004, 0x10008008, 0x10012038, 0x1001203C
CRYSTAL_ENABLED, CRYSTAL_READY = 1 << 30, 1 << 31
PLL_SELECTED, CRYSTAL_BY_PASS = 1 << 16, 6 << 16
PLL_AFTER_RESET = 2 << 16
UART_PINS = 3 << 16

TX_DATA, RX_DATA, TX_CONTROL, RX_CONTROL, DIVIDER = 0x00, 0x04, 0x08, 0x0C, 0x18
RX_EMPTY = 1 << 31


class SifiveUartModel(UartModel):
    """FE310-G000 Manual: UART, clocks (PRCI), GPIO."""

    def __init__(self, uart: SifiveUart, bus: Bus) -> None:
        outside = {CRYSTAL: 0, PLL: PLL_AFTER_RESET, PINS_ENABLED: 0, PINS_SELECTED: UART_PINS}
        super().__init__(uart.base, bus, size=0x20, outside=outside)
        self._uart = uart
        self._registers = {TX_CONTROL: 0, RX_CONTROL: 0, DIVIDER: 0}

    def _load_outside(self, address: int) -> int:
        value = super()._load_outside(address)
        is_ready = address == CRYSTAL and value & CRYSTAL_ENABLED
        return value | CRYSTAL_READY if is_ready else value

    def _store_outside(self, address: int, value: int) -> None:
        super()._store_outside(address, value)
        if address != PLL or not value & PLL_SELECTED:
            return
        if value & CRYSTAL_BY_PASS != CRYSTAL_BY_PASS:
            self._fail("the core's clock is taken from a PLL that is not set up")
        if not self._outside[CRYSTAL] & CRYSTAL_ENABLED:
            self._fail("the core's clock is taken from a crystal that does not oscillate")

    def _read(self, offset: int) -> int:
        if offset == RX_DATA:
            if self._queue:
                return self._queue.pop()
            self._look_at_empty()
            return RX_EMPTY
        if offset == TX_DATA:  # bytes leave at once: there is always room
            return 0
        if offset not in self._registers:
            self._fail(f"the UART has no register to read at offset {offset:#x}")
        return self._registers.get(offset, 0)

    def _write(self, offset: int, value: int) -> None:
        if offset == TX_DATA:
            self._send(value)
        elif offset in self._registers:
            self._registers[offset] = value
        else:
            self._fail(f"the UART has no register to write at offset {offset:#x}")

    def _check_set_up(self) -> None:
        if not self._outside[PLL] & PLL_SELECTED:
            return self._fail("the UART sends before the core runs on the crystal")
        if self._outside[PINS_ENABLED] & ~self._outside[PINS_SELECTED] & UART_PINS != UART_PINS:
            return self._fail("the UART sends before its pins are connected")
        if self._registers[TX_CONTROL] & self._registers[RX_CONTROL] & 1 == 0:
            return self._fail("the UART sends before it is enabled, transmitter and receiver")
        divider = self._registers[DIVIDER] + 1
        return self._check_baud(self._uart.clock_hz / divider, self._uart.baud)
