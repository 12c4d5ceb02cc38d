"""UARTs of nRF51 and nRF52, which work once the crystal runs and the pins are set up."""

from __future__ import annotations

from abc import abstractmethod

from spela_mcu.firmware.board import Region
from spela_mcu.firmware.uart import Nrf51Uart, Nrf52Uarte
from spela_mcu.simulators.unicorn_uarts.base import Bus, UartModel

START_CRYSTAL, CRYSTAL_STARTED = 0x40000000, 0x40000100
GPIO, GPIO_PORT_BYTES = 0x50000000, 0x300
OUT_SET, PIN_CONFIGURATION = 0x508, 0x700

START_RX, START_TX = 0x000, 0x008
RX_READY, RX_END, TX_READY, TX_END, ERROR = 0x108, 0x110, 0x11C, 0x120, 0x124
ERROR_SOURCE, ENABLE, PIN_TX, PIN_RX, BAUD = 0x480, 0x500, 0x50C, 0x514, 0x524
RX_DATA, TX_DATA = 0x518, 0x51C
RX_POINTER, RX_BYTES_MAX, TX_POINTER, TX_BYTES_MAX = 0x534, 0x538, 0x544, 0x548

BAUD_STEP = 16_000_000 / 2**32


class _NrfModel(UartModel):
    """What both have in common: events are registers that the firmware clears."""

    REGISTERS: tuple[int, ...]
    ENABLED: int

    def __init__(self, uart: Nrf51Uart | Nrf52Uarte, bus: Bus) -> None:
        outside = {START_CRYSTAL: 0, CRYSTAL_STARTED: 0}
        for pin in (uart.tx, uart.rx):
            outside |= {_port(pin) + OUT_SET: 0, _configuration(pin): 2}
        super().__init__(uart.base, bus, outside=outside)
        self._uart = uart
        common = (ERROR, ERROR_SOURCE, ENABLE, BAUD)
        self._registers = dict.fromkeys((*common, *self.REGISTERS), 0)
        self._registers |= {PIN_TX: 0xFFFFFFFF, PIN_RX: 0xFFFFFFFF}
        self._receives = False

    def _store_outside(self, address: int, value: int) -> None:
        super()._store_outside(address, value)
        if address == START_CRYSTAL:
            self._outside[CRYSTAL_STARTED] = 1

    def _read(self, offset: int) -> int:
        if offset not in self._registers:
            self._fail(f"the UART has no register to read at offset {offset:#x}")
        return self._registers.get(offset, 0)

    def _write(self, offset: int, value: int) -> None:
        if offset in (START_RX, START_TX):
            if value == 1:
                self._start(offset)
        elif offset in self._registers:
            self._registers[offset] = value
        else:
            self._fail(f"the UART has no register to write at offset {offset:#x}")

    @abstractmethod
    def _start(self, task: int) -> None: ...

    def _check_set_up(self) -> None:
        if self._outside[CRYSTAL_STARTED] != 1:
            return self._fail("the UART sends before the crystal oscillator is started")
        if self._registers[ENABLE] != self.ENABLED:
            return self._fail("the UART sends before it is enabled")
        for name, register, pin in (
            ("TX", PIN_TX, self._uart.tx),
            ("RX", PIN_RX, self._uart.rx),
        ):
            output, no_input = 1, 2
            configuration = self._outside[_configuration(pin)]
            is_set_up = configuration & 3 in ((output, output | no_input) if name == "TX" else (0,))
            if self._registers[register] != pin or not is_set_up:
                return self._fail(f"the UART sends before its {name} pin is connected")
        return self._check_baud(self._registers[BAUD] * BAUD_STEP, self._uart.baud)


class Nrf51UartModel(_NrfModel):
    """UART of nRF51 (nRF51 Series Reference Manual 3.0, 29)."""

    REGISTERS = (RX_READY, TX_READY, RX_DATA, TX_DATA)
    ENABLED = 4

    def __init__(self, uart: Nrf51Uart, bus: Bus) -> None:
        super().__init__(uart, bus)
        self._arrived: int | None = None
        self._transmits = False

    def receive(self, data: bytes) -> None:
        """See `UartModel`."""
        super().receive(data)
        self._arrive()

    def _arrive(self) -> None:
        """Moves the next byte of the queue up, once the register is free."""
        if self._arrived is None and self._receives and self._queue:
            self._arrived = self._queue.pop()
            self._registers[RX_READY] = 1

    def _read(self, offset: int) -> int:
        if offset == RX_READY and not self._registers[RX_READY]:
            if self._arrived is not None:
                self._fail("the UART's event of a byte was cleared, and the byte not read")
            self._look_at_empty()
        if offset == RX_DATA:
            byte, self._arrived = self._arrived or 0, None
            self._arrive()
            return byte
        return super()._read(offset)

    def _write(self, offset: int, value: int) -> None:
        if offset == TX_DATA:
            if not self._transmits:
                self._fail("the UART sends before its transmitter is started")
            self._send(value)
            self._registers[TX_READY] = 1
        elif offset == RX_DATA:
            self._fail("a store to the UART's received byte")
        else:
            super()._write(offset, value)

    def _start(self, task: int) -> None:
        if task == START_RX:
            self._receives = True
            self._arrive()
        else:
            self._transmits = True

    def _check_set_up(self) -> None:
        if not self._receives:
            self._fail("the UART sends before its receiver is started")
        super()._check_set_up()


class Nrf52UarteModel(_NrfModel):
    """UARTE of nRF52 (nRF52840 Product Specification 1.7, 6.34): reaches RAM, and only RAM."""

    REGISTERS = (RX_END, TX_END, RX_POINTER, RX_BYTES_MAX, TX_POINTER, TX_BYTES_MAX)
    ENABLED = 8

    def __init__(self, uart: Nrf52Uarte, bus: Bus, ram: Region) -> None:
        super().__init__(uart, bus)
        self._ram = ram
        self._transfer = (0, 0)  # where the receiver writes next, and where it ends
        self._was_started = False

    def receive(self, data: bytes) -> None:
        """See `UartModel`."""
        super().receive(data)
        self._arrive()

    def _arrive(self) -> None:
        """Takes bytes off the queue until the transfer is full."""
        at, end = self._transfer
        while self._receives and self._queue:
            self._bus.write(at, bytes([self._queue.pop()]))
            at += 1
            if at == end:
                self._receives = False
                self._registers[RX_END] = 1
        self._transfer = (at, end)

    def _read(self, offset: int) -> int:
        if offset == RX_END and not self._registers[RX_END]:
            if not self._receives:
                self._fail("the UART is asked for a byte while its receiver is stopped")
            self._look_at_empty()
        return super()._read(offset)

    def _start(self, task: int) -> None:
        receives = task == START_RX
        at = self._registers[RX_POINTER if receives else TX_POINTER]
        count = self._registers[RX_BYTES_MAX if receives else TX_BYTES_MAX]
        if count == 0 or not (self._ram.holds(at) and self._ram.holds(at + count - 1)):
            self._fail(f"the UART's DMA cannot reach {count} bytes at 0x{at:08x}")
        elif receives:
            if self._registers[RX_END]:
                self._fail("the UART's receiver is started before the end of the last is cleared")
            self._was_started = self._receives = True
            self._transfer = (at, at + count)
            self._arrive()
        else:
            for byte in self._bus.read(at, count):
                self._send(byte)
            self._registers[TX_END] = 1

    def _check_set_up(self) -> None:
        if not self._was_started:
            self._fail("the UART sends before its receiver is started")
        super()._check_set_up()


def _port(pin: int) -> int:
    return GPIO + GPIO_PORT_BYTES * (pin // 32)


def _configuration(pin: int) -> int:
    return _port(pin) + PIN_CONFIGURATION + 4 * (pin % 32)
