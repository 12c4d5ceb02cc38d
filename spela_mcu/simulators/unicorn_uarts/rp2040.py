"""PL011 of RP2040, which works once crystal, clocks, resets and pins are set up."""

from __future__ import annotations

from spela_mcu.firmware.uart import Rp2040Uart
from spela_mcu.simulators.unicorn_uarts.base import Bus, UartModel

RESET, RESET_DONE = 0x4000C000, 0x4000C008
IO_BANK, PADS_BANK, UARTS = 1 << 5, 1 << 8, {0x40034000: 1 << 22, 0x40038000: 1 << 23}
XOSC_CONTROL, XOSC_STATUS, XOSC_STARTUP = 0x40024000, 0x40024004, 0x4002400C
CLOCK_REF, CLOCK_REF_CHOSEN, CLOCK_UART = 0x40008030, 0x40008038, 0x40008048
PIN_CONTROL, PAD = 0x40014004, 0x4001C004

DATA, ERRORS, FLAGS, DIVIDER, FRACTION, LINE, CONTROL = 0x00, 0x04, 0x18, 0x24, 0x28, 0x2C, 0x30
RX_EMPTY, TX_EMPTY = 1 << 4, 1 << 7


class Rp2040UartModel(UartModel):
    """UART0 or UART1 (RP2040 Datasheet, 4.2)."""

    def __init__(self, uart: Rp2040Uart, bus: Bus) -> None:
        outside = {
            **{RESET: 0x01FFFFFF, RESET_DONE: 0},
            **{XOSC_CONTROL: 0, XOSC_STATUS: 0, XOSC_STARTUP: 0xC4},
            **{CLOCK_REF: 0, CLOCK_REF_CHOSEN: 1, CLOCK_UART: 0},
            **{PIN_CONTROL + 8 * pin: 0x1F for pin in (uart.tx, uart.rx)},
            **{PAD + 4 * pin: 0x56 for pin in (uart.tx, uart.rx)},
        }
        super().__init__(uart.base, bus, outside=outside)
        self._uart = uart
        self._registers = dict.fromkeys((ERRORS, DIVIDER, FRACTION, LINE, CONTROL), 0)

    def _load_outside(self, address: int) -> int:
        value = super()._load_outside(address)
        if address == RESET_DONE:
            return ~self._outside[RESET] & 0x01FFFFFF
        if address == XOSC_STATUS:
            return 1 << 31 if self._crystal_runs else 0
        if address == CLOCK_REF_CHOSEN:
            return 1 << (self._outside[CLOCK_REF] & 3)
        return value

    def _store_outside(self, address: int, value: int) -> None:
        super()._store_outside(address, value)
        if address == CLOCK_REF and value & 3 == 2 and not self._crystal_runs:
            self._fail("the core's clock is taken from a crystal that does not oscillate")
        bank = {PIN_CONTROL: IO_BANK, PAD: PADS_BANK}.get(address & ~0xFFF | 4)
        if bank is not None and self._outside[RESET] & bank:
            self._fail("a pin is set up while its bank is held in reset")

    @property
    def _crystal_runs(self) -> bool:
        return self._outside[XOSC_CONTROL] == 0xFAB << 12 | 0xAA0

    def _read(self, offset: int) -> int:
        self._check_reset()
        if offset == FLAGS:  # bytes leave at once: the transmitter is always empty
            if self._queue:
                return TX_EMPTY
            self._look_at_empty()
            return TX_EMPTY | RX_EMPTY
        if offset == DATA:
            return self._queue.pop() if self._queue else 0
        if offset not in self._registers:
            self._fail(f"the UART has no register to read at offset {offset:#x}")
        return self._registers.get(offset, 0)

    def _write(self, offset: int, value: int) -> None:
        self._check_reset()
        if offset == DATA:
            self._send(value)
        elif offset in self._registers:
            self._registers[offset] = value
        else:
            self._fail(f"the UART has no register to write at offset {offset:#x}")

    def _check_reset(self) -> None:
        if self._outside[RESET] & UARTS[self._uart.base]:
            self._fail("the UART is used while it is held in reset")

    def _check_set_up(self) -> None:
        if self._outside[CLOCK_REF] & 3 != 2:
            return self._fail("the UART sends before the core runs on the crystal")
        if self._outside[CLOCK_UART] & 0x8E0 != 0x880:
            return self._fail("the UART sends before its clock is the crystal's")
        for name, pin in (("TX", self._uart.tx), ("RX", self._uart.rx)):
            if self._outside[PIN_CONTROL + 8 * pin] & 0x1F != 2:
                return self._fail(f"the UART sends before its {name} pin is connected")
        if self._registers[CONTROL] & 0x301 != 0x301:
            return self._fail("the UART sends before it is enabled, transmitter and receiver")
        if self._registers[LINE] & 0x6E != 0x60:
            return self._fail("the UART does not send 8 data bits, no parity, 1 stop bit")
        divider = self._registers[DIVIDER] + self._registers[FRACTION] / 64
        return self._check_baud(self._uart.clock_hz / (16 * max(divider, 1)), self._uart.baud)
