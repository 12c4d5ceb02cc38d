"""UARTs for Unicorn, which has none: strict models that say what a driver forgot to set up."""

from __future__ import annotations

from spela_mcu.firmware.board import Board
from spela_mcu.firmware.uart import CmsdkUart, Nrf51Uart, Nrf52Uarte, Stm32F7Usart, Stm32Usart
from spela_mcu.simulators.unicorn_uarts.base import PAGE, Bus, UartModel
from spela_mcu.simulators.unicorn_uarts.cmsdk import CmsdkUartModel
from spela_mcu.simulators.unicorn_uarts.nrf import Nrf51UartModel, Nrf52UarteModel
from spela_mcu.simulators.unicorn_uarts.rp2040 import Rp2040UartModel
from spela_mcu.simulators.unicorn_uarts.stm32 import Stm32F7UsartModel, Stm32UsartModel

__all__ = ["PAGE", "Bus", "UartModel", "uart_model"]


def uart_model(board: Board, bus: Bus) -> UartModel:
    """The model of a board's UART."""
    uart = board.uart
    match uart:
        case CmsdkUart():
            return CmsdkUartModel(uart, bus)
        case Stm32Usart():
            return Stm32UsartModel(uart, bus)
        case Stm32F7Usart():
            return Stm32F7UsartModel(uart, bus)
        case Nrf51Uart():
            return Nrf51UartModel(uart, bus)
        case Nrf52Uarte():
            return Nrf52UarteModel(uart, bus, board.ram)
    return Rp2040UartModel(uart, bus)
