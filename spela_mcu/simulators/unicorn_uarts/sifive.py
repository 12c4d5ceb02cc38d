"""UART0 of SiFive's FE310, which works once crystal, clock and pins are set up."""

from __future__ import annotations

from spela_mcu.firmware.uart import SifiveUart
from spela_mcu.simulators.unicorn_uarts.base import Bus, UartModel

RING, CRYSTAL, PLL, DIVIDER_OF_PLL = 0x10008000, 0x10008004, 0x10008008, 0x1000800C
PINS_ENABLED, PINS_SELECTED = 0x10012038, 0x1001203C
CLOCK_ENABLED, CLOCK_READY = 1 << 30, 1 << 31
PLL_SELECTED, CRYSTAL_BY_PASS = 1 << 16, 6 << 16
PLL_OF_BOOT_LOADER = 3 << 16 | 1 << 10 | 31 << 4 | 1
DIVIDES_BY_1 = 1 << 8
UART_PINS = 3 << 16

TX_DATA, RX_DATA, TX_CONTROL, RX_CONTROL, DIVIDER = 0x00, 0x04, 0x08, 0x0C, 0x18
RX_EMPTY = 1 << 31


class SifiveUartModel(UartModel):
    """FE310-G000 Manual: UART, clocks (PRCI), GPIO.

    It is found as a boot loader may leave it: the core runs on the PLL, no other oscillator is on
    but the PLL's, and what the PLL gives is divided.
    """

    def __init__(self, uart: SifiveUart, bus: Bus) -> None:
        outside = {
            RING: 0,
            CRYSTAL: 0,
            PLL: PLL_OF_BOOT_LOADER,
            DIVIDER_OF_PLL: 0,
            PINS_ENABLED: 0,
            PINS_SELECTED: UART_PINS,
        }
        super().__init__(uart.base, bus, size=0x20, outside=outside)
        self._uart = uart
        self._registers = {TX_CONTROL: 0, RX_CONTROL: 0, DIVIDER: 0}

    def _load_outside(self, address: int) -> int:
        value = super()._load_outside(address)
        is_ready = address in (RING, CRYSTAL) and value & CLOCK_ENABLED
        return value | CLOCK_READY if is_ready else value

    def _store_outside(self, address: int, value: int) -> None:
        before = self._outside[PLL]
        super()._store_outside(address, value)
        if address in (PLL, DIVIDER_OF_PLL) and before & self._outside[PLL] & PLL_SELECTED:
            self._fail("the PLL is changed while the core runs on it")
        if address == PLL and value & PLL_SELECTED:
            if value & CRYSTAL_BY_PASS != CRYSTAL_BY_PASS:
                self._fail("the core's clock is taken from a PLL that is not set up")
            if not self._outside[DIVIDER_OF_PLL] & DIVIDES_BY_1:
                self._fail("the core's clock is the crystal's divided")
        source = CRYSTAL if self._outside[PLL] & PLL_SELECTED else RING
        if address == PLL and not self._outside[source] & CLOCK_ENABLED:
            self._fail("the core's clock is taken from an oscillator that does not oscillate")

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
