"""Counted calls, the same for every simulator that sees single instructions or blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from spela_mcu.errors import UserError
from spela_mcu.firmware.build import Build
from spela_mcu.firmware.elf import Elf
from spela_mcu.simulators.base import Call


class CountingError(UserError):
    """This machine cannot count instructions, though it can run firmware."""


def entries_of(build: Build, elf: Elf, symbols: tuple[str, ...]) -> dict[int, str]:
    """Where functions begin: the first instruction's address to the name.

    Raises:
        UserError: the build has no such function.
    """
    for symbol in symbols:
        if symbol not in elf.by_name:
            raise UserError(
                f"the build has no function {symbol}",
                mend="name one that its .map file lists",
                file=build.elf,
            )
    return {elf.by_name[symbol].address: symbol for symbol in symbols}


def call_of(elf: Elf, symbol: str, executed: Mapping[int, int]) -> Call:
    """A counted call.

    Args:
        elf: what ran.
        symbol: the function called.
        executed: instructions executed, by an address in the function that they belong to.
    """
    functions: Counter[str] = Counter()
    for address, instructions in executed.items():
        function = elf.function_at(address)
        functions[function.name if function else "?"] += instructions
    return Call(symbol, functions.total(), dict(functions.most_common()))
