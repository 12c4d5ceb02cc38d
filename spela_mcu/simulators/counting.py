"""Counted calls, alike for every simulator that reports which instructions it executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from spela_mcu.errors import UserError
from spela_mcu.firmware.build import Build
from spela_mcu.firmware.elf import Elf
from spela_mcu.simulators.base import Call


class CountingError(UserError):
    """This machine can run firmware but cannot count instructions."""


def entries_of(build: Build, elf: Elf, symbols: tuple[str, ...]) -> dict[int, str]:
    """Where functions begin: the address of the first instruction, mapped to the name.

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
        executed: executions of every instruction, by its address. A chip's ROM, which erases and
            programs flash, is not part of the program: what runs there is not counted.
    """
    executed = {address: times for address, times in executed.items() if elf.holds(address)}
    functions: Counter[str] = Counter()
    for address, times in executed.items():
        function = elf.function_at(address)
        functions[function.name if function else "?"] += times
    return Call(
        symbol, functions.total(), dict(functions.most_common()), _straight_pieces(elf, executed)
    )


def _straight_pieces(elf: Elf, executed: Mapping[int, int]) -> dict[tuple[int, int], int]:
    """Neighbours executed equally often, up to a branch; every instruction lies in one piece."""
    blocks: dict[tuple[int, int], int] = {}
    start = end = times = -1
    for address in sorted(executed):
        if address != end or executed[address] != times:
            start, times = address, executed[address]
        else:
            del blocks[start, end - start]
        size = elf.instruction_set.size(elf.read(address, 2))
        end = address + size
        blocks[start, end - start] = times
        if elf.instruction_set.is_branch(elf.read(address, size)):
            times = -1
    return blocks
