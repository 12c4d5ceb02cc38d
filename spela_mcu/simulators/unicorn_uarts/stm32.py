"""USARTs of STM32, which work once their clocks and pins are set up."""

from __future__ import annotations

from typing import ClassVar

from spela_mcu.firmware.uart import Stm32F7Usart, Stm32Pin, Stm32Usart
from spela_mcu.simulators.unicorn_uarts.base import Bus, UartModel

TX_EMPTY, TX_COMPLETE, RX_NOT_EMPTY = 1 << 7, 1 << 6, 1 << 5


class _Stm32Model(UartModel):
    """What all have in common; bytes leave at once, so the transmitter is always empty.

    Attributes:
        CONTROL, BAUD: offsets of the first control register and of the divider.
        ENABLED: bits of the control register: the USART, transmitter, receiver.
    """

    CONTROL: ClassVar[int]
    BAUD: ClassVar[int]
    ENABLED: ClassVar[int]
    STATUS: ClassVar[int]
    RX_DATA: ClassVar[int]
    TX_DATA: ClassVar[int]
    OTHERS: ClassVar[tuple[int, ...]]

    def __init__(self, uart: Stm32Usart | Stm32F7Usart, bus: Bus, scale: int = 1) -> None:
        outside = {bit.register_address: 0 for bit in uart.enables}
        for pin in (uart.tx, uart.rx):
            outside |= _port_registers(pin)
        super().__init__(uart.base, bus, size=0x400, outside=outside)
        self._uart = uart
        self._scale = scale
        self._registers = dict.fromkeys((self.CONTROL, self.BAUD, *self.OTHERS), 0)

    def _read(self, offset: int) -> int:
        self._check_enables()
        if offset == self.STATUS:
            if self._queue:
                return TX_EMPTY | TX_COMPLETE | RX_NOT_EMPTY
            self._look_at_empty()
            return TX_EMPTY | TX_COMPLETE
        if offset == self.RX_DATA:
            return self._queue.pop() if self._queue else 0
        if offset not in self._registers:
            self._fail(f"the USART has no register to read at offset {offset:#x}")
        return self._registers.get(offset, 0)

    def _write(self, offset: int, value: int) -> None:
        self._check_enables()
        if offset == self.TX_DATA:
            self._send(value)
        elif offset in self._registers:
            self._registers[offset] = value
        else:
            self._fail(f"the USART has no register to write at offset {offset:#x}")

    def _check_enables(self) -> None:
        if self._is_set_up:
            return
        for enable in self._uart.enables:
            if not self._outside[enable.register_address] >> enable.bit & 1:
                where = f"bit {enable.bit} of 0x{enable.register_address:08x}"
                self._fail(f"the USART is used before {where} is set")

    def _check_set_up(self) -> None:
        for name, pin in (("TX", self._uart.tx), ("RX", self._uart.rx)):
            if not self._is_connected(pin, receives=name == "RX"):
                return self._fail(f"the USART sends before its {name} pin is connected")
        if self._registers[self.CONTROL] & self.ENABLED != self.ENABLED:
            return self._fail("the USART sends before it is enabled, transmitter and receiver")
        divider = max(self._registers[self.BAUD], 1)
        return self._check_baud(self._scale * self._uart.clock_hz / divider, self._uart.baud)

    def _is_connected(self, pin: Stm32Pin, *, receives: bool) -> bool:
        place = 4 * (pin.pin % 8)
        if pin.function is None:  # STM32F1 (RM0008, 9.1): by direction alone
            configuration = self._outside[pin.port + 4 * (pin.pin // 8)] >> place & 15
            mode, kind = configuration & 3, configuration >> 2
            if not receives:
                return mode != 0 and kind == 2
            pulled_up = self._outside[pin.port + 0x0C] >> pin.pin & 1
            return mode == 0 and (kind == 1 or (kind == 2 and pulled_up == 1))
        mode = self._outside[pin.port] >> 2 * pin.pin & 3
        alternate = self._outside[pin.port + 0x20 + 4 * (pin.pin // 8)] >> place & 15
        return mode == 2 and alternate == pin.function


class Stm32UsartModel(_Stm32Model):
    """USART of STM32F1, F2 and F4 (RM0008, 27.6; RM0090, 30.6)."""

    STATUS, RX_DATA, TX_DATA, BAUD, CONTROL = 0x00, 0x04, 0x04, 0x08, 0x0C
    OTHERS = (0x10, 0x14)
    ENABLED = 0x200C


class Stm32F7UsartModel(_Stm32Model):
    """USART and LPUART of STM32F0, F3, F7, G0, H7, L4 and L5 (RM0385, 31.8)."""

    CONTROL, BAUD, STATUS, RX_DATA, TX_DATA = 0x00, 0x0C, 0x1C, 0x24, 0x28
    OTHERS = (0x04, 0x08, 0x10, 0x14, 0x18, 0x20)
    ENABLED = 0x000D

    def __init__(self, uart: Stm32F7Usart, bus: Bus) -> None:
        super().__init__(uart, bus, scale=256 if uart.low_power else 1)


def _port_registers(pin: Stm32Pin) -> dict[int, int]:
    """A GPIO port's registers that a driver may touch, after reset."""
    if pin.function is None:
        floating_inputs = 0x44444444
        return {pin.port: floating_inputs, pin.port + 4: floating_inputs, pin.port + 0x0C: 0}
    return dict.fromkeys((pin.port + offset for offset in (0, 4, 8, 0x0C, 0x20, 0x24)), 0)
