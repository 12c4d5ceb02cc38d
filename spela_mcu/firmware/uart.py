"""The serial lines that a board file can describe: one class per driver."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spela_mcu.spec.rules import impossible

RATE_TOLERANCE = 0.025
"""The rate error that an asynchronous line with ten-bit frames tolerates, leaving a margin for the
other side."""

HZ_MAX = 1_000_000_000
"""Limit of clocks and rates: a driver's sums of them fit in 32 bits."""


class BoardPart(BaseModel):
    """A mapping in a board file: immutable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RegisterBit(BoardPart):
    """A bit that has to be set: it enables a peripheral's clock, or a port's supply."""

    register_address: int = Field(alias="register", ge=0, lt=2**32, multiple_of=4)
    bit: int = Field(ge=0, le=31)


class Stm32Pin(BoardPart):
    """A pin that a peripheral uses: its GPIO port, and the number of the alternate function.

    STM32F1 has no such number (None): the peripheral determines the function.
    """

    port: int = Field(ge=0, lt=2**32, multiple_of=0x400)
    pin: int = Field(ge=0, le=15)
    function: int | None = Field(None, ge=0, le=15)


class Uart(BoardPart):
    """What all serial lines have."""

    base: int = Field(ge=0, lt=2**32, multiple_of=4, description="address of the registers")
    clock_hz: int = Field(gt=0, le=HZ_MAX, description="what the baud rate is divided from")
    baud: int = Field(gt=0, le=HZ_MAX, description="8 data bits, no parity, 1 stop bit")

    @property
    def registers(self) -> dict[str, int]:
        """The addresses that a driver accesses, by their key in the board file."""
        return {"base": self.base}


class _Divider(NamedTuple):
    """A baud rate is scale * clock_hz / (step * divider), with least <= divider <= greatest."""

    scale: int
    least: int
    greatest: int
    step: int = 1


class _DividedUart(Uart):
    """A UART whose clock is divided down to its rate, as its driver in firmware/ports does."""

    @property
    def _divider(self) -> _Divider:
        raise NotImplementedError

    @model_validator(mode="after")
    def _check_rate(self) -> Self:
        scale, least, greatest, step = self._divider
        clock, unit = scale * self.clock_hz, step * self.baud
        divider = (clock + unit // 2) // unit
        if not least <= divider <= greatest or least * unit > (1 + RATE_TOLERANCE) * clock:
            raise impossible(
                f"{self.baud} baud cannot be had from {self.clock_hz} Hz",
                f"choose a rate from {-(-clock // (step * greatest))} to "
                f"{clock // (step * least)}, or check "
                "uart.clock_hz",
                "baud",
            )
        had = clock / (step * divider)
        if abs(had / self.baud - 1) > RATE_TOLERANCE:
            raise impossible(
                f"the nearest to {self.baud} baud that {self.clock_hz} Hz give is {had:.0f}: more "
                f"than {100 * RATE_TOLERANCE:g} % off",
                "choose a slower rate, or check uart.clock_hz",
                "baud",
            )
        return self


class CmsdkUart(_DividedUart):
    """UART of Arm's Cortex-M System Design Kit."""

    driver: Literal["cmsdk"]

    @property
    def _divider(self) -> _Divider:
        return _Divider(1, 16, 0xFFFFF)


class _Stm32Uart(_DividedUart):
    enables: tuple[RegisterBit, ...] = Field(description="bits to set first, in this order")
    tx: Stm32Pin
    rx: Stm32Pin

    @property
    def registers(self) -> dict[str, int]:
        """See `Uart`."""
        enables = {
            f"enables[{index}]": bit.register_address for index, bit in enumerate(self.enables)
        }
        return super().registers | enables | {"tx.port": self.tx.port, "rx.port": self.rx.port}

    @property
    def _divider(self) -> _Divider:
        return _Divider(1, 16, 0xFFFF)

    @model_validator(mode="after")
    def _check_pins(self) -> Self:
        if (self.tx.function is None) != (self.rx.function is None):
            raise impossible(
                "either both pins have a function, or (STM32F1) none has",
                "give tx and rx the number of their alternate function",
                "tx" if self.tx.function is None else "rx",
            )
        return self


class Stm32Usart(_Stm32Uart):
    """USART of STM32F1, F2 and F4: one status and one data register."""

    driver: Literal["stm32_usart"]


class Stm32F7Usart(_Stm32Uart):
    """USART of STM32F0, F3, F7, G0, H7, L4 and L5, and LPUART: two data registers."""

    driver: Literal["stm32f7_usart"]
    low_power: bool = Field(False, description="an LPUART: its baud rate has eight bits more")

    @property
    def _divider(self) -> _Divider:
        return _Divider(256, 768, 0xFFFFF) if self.low_power else super()._divider


class _NrfUart(Uart):
    """A UART of nRF: it runs on 16 MHz."""

    bauds: ClassVar[range | tuple[int, ...]]

    @model_validator(mode="after")
    def _check_rate(self) -> Self:
        if self.clock_hz != NRF_CLOCK_HZ:
            raise impossible(
                f"the UART of nRF runs on {NRF_CLOCK_HZ} Hz, got {self.clock_hz}",
                f"write clock_hz: {NRF_CLOCK_HZ}",
                "clock_hz",
            )
        if self.baud not in self.bauds:
            choices = (
                f"a rate from {self.bauds.start} to {self.bauds.stop - 1}"
                if isinstance(self.bauds, range)
                else f"one of {', '.join(map(str, self.bauds))}"
            )
            raise impossible(f"{self.baud} baud cannot be had", f"choose {choices}", "baud")
        return self


NRF_CLOCK_HZ = 16_000_000


class Nrf51Uart(_NrfUart):
    """UART of nRF51, and of nRF52 as long as its DMA is not used."""

    bauds = range(1200, 1_000_001)

    driver: Literal["nrf51_uart"]
    tx: int = Field(ge=0, le=31, description="pin of port 0")
    rx: int = Field(ge=0, le=31, description="pin of port 0")


class Nrf52Uarte(_NrfUart):
    """UARTE of nRF52: it transfers data through RAM, by DMA."""

    bauds = (*(9600 * times for times in (1, 2, 4, 6, 12, 24, 48, 96)), 1_000_000)

    driver: Literal["nrf52_uarte"]
    tx: int = Field(ge=0, le=47, description="pin; those of port 1 count from 32")
    rx: int = Field(ge=0, le=47, description="pin; those of port 1 count from 32")


class Rp2040Uart(_DividedUart):
    """PL011 of RP2040; `clock_hz` is that of the crystal."""

    driver: Literal["rp2040_uart"]
    tx: int = Field(ge=0, le=29, description="GPIO")
    rx: int = Field(ge=0, le=29, description="GPIO")

    @property
    def _divider(self) -> _Divider:
        return _Divider(4, 64, 4194240)

    @model_validator(mode="after")
    def _check_crystal(self) -> Self:
        if not 1_000_000 <= self.clock_hz <= 15_000_000:
            raise impossible(
                f"the crystal's frequency is 1 to 15 MHz, got {self.clock_hz} Hz",
                "write clock_hz: 12000000, which most boards with an RP2040 have",
                "clock_hz",
            )
        return self

    @model_validator(mode="after")
    def _check_pins(self) -> Self:
        """Which pins lead to which UART: RP2040 Datasheet, 1.4.3, function F2."""
        if self.base not in _RP2040_UARTS:
            raise impossible(
                f"no UART of an RP2040 is at 0x{self.base:08x}",
                "UART0 is at 0x40034000, UART1 at 0x40038000",
                "base",
            )
        for name, pin, place in (("tx", self.tx, 0), ("rx", self.rx, 1)):
            if pin % 4 != place or _RP2040_UARTS[(pin + 4) // 8 % 2] != self.base:
                pins = [
                    str(other)
                    for other in range(place, 30, 4)
                    if _RP2040_UARTS[(other + 4) // 8 % 2] == self.base
                ]
                raise impossible(
                    f"GPIO {pin} cannot be {name} of the UART at 0x{self.base:08x}",
                    f"choose one of {', '.join(pins)}",
                    name,
                )
        return self


_RP2040_UARTS = (0x40034000, 0x40038000)


class Ns16550Uart(_DividedUart):
    """UART of the kind of National Semiconductor's 16550, its registers a byte apart."""

    driver: Literal["ns16550"]

    @property
    def _divider(self) -> _Divider:
        return _Divider(1, 1, 0xFFFF, step=16)


FE310_UART = 0x10013000


class SifiveUart(_DividedUart):
    """UART0 of SiFive's FE310, on pins 16 and 17; `clock_hz` is that of the crystal."""

    driver: Literal["sifive"]

    @property
    def _divider(self) -> _Divider:
        return _Divider(1, 16, 0x10000)

    @model_validator(mode="after")
    def _check_base(self) -> Self:
        if self.base != FE310_UART:
            raise impossible(
                f"UART0 of an FE310 is not at 0x{self.base:08x}",
                f"write base: 0x{FE310_UART:08X}",
                "base",
            )
        return self


AnyUart = (
    CmsdkUart
    | Stm32Usart
    | Stm32F7Usart
    | Nrf51Uart
    | Nrf52Uarte
    | Rp2040Uart
    | Ns16550Uart
    | SifiveUart
)
