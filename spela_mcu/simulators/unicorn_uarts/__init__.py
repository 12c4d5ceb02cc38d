"""UARTs for Unicorn, which has none: strict models that say what a driver forgot to set up."""

from __future__ import annotations

from spela_mcu.firmware.board import Board
from spela_mcu.firmware.uart import (
    CmsdkUart,
    Nrf51Uart,
    Nrf52Uarte,
    Ns16550Uart,
    Rp2040Uart,
    SifiveUart,
    Stm32F7Usart,
    Stm32Usart,
)
from spela_mcu.simulators.unicorn_uarts.base import PAGE, Bus, UartModel
from spela_mcu.simulators.unicorn_uarts.cmsdk import CmsdkUartModel
from spela_mcu.simulators.unicorn_uarts.nrf import Nrf51UartModel, Nrf52UarteModel
from spela_mcu.simulators.unicorn_uarts.ns16550 import Ns16550UartModel
from spela_mcu.simulators.unicorn_uarts.rp2040 import Rp2040UartModel
from spela_mcu.simulators.unicorn_uarts.sifive import SifiveUartModel
from spela_mcu.simulators.unicorn_uarts.stm32 import Stm32F7UsartModel, Stm32UsartModel

__all__ = ["PAGE", "Bus", "UartModel", "uart_model"]


def uart_model(board: Board, bus: Bus) -> UartModel:
    """The model of a board's UART."""
    uart = board.uart
    model: UartModel
    match uart:
        case CmsdkUart():
            model = CmsdkUartModel(uart, bus)
        case Stm32Usart():
            model = Stm32UsartModel(uart, bus)
        case Stm32F7Usart():
            model = Stm32F7UsartModel(uart, bus)
        case Nrf51Uart():
            model = Nrf51UartModel(uart, bus)
        case Nrf52Uarte():
            model = Nrf52UarteModel(uart, bus, board.ram)
        case Rp2040Uart():
            model = Rp2040UartModel(uart, bus)
        case Ns16550Uart():
            model = Ns16550UartModel(uart, bus)
        case SifiveUart():
            model = SifiveUartModel(uart, bus)
    return model
