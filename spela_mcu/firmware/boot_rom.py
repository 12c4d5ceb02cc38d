"""A boot ROM for simulated boards, whose firmware calls functions of their chip's own."""

from __future__ import annotations

from dataclasses import dataclass

from spela_mcu.firmware.board import Board


@dataclass(frozen=True)
class Rom:
    """A ROM, and the controller that it leaves the work to.

    Attributes:
        address, size: of the ROM in the chip.
        content: the beginning of it.
        controller: the address of registers that no chip has, named below.
    """

    address: int
    size: int
    content: bytes
    controller: int

    @property
    def words(self) -> tuple[tuple[int, int], ...]:
        """The content: pairs of address and word."""
        return tuple(
            (self.address + at, int.from_bytes(self.content[at : at + 4], "little"))
            for at in range(0, len(self.content), 4)
        )


STEP, OFFSET, ERASE, DATA, PROGRAM = 0x00, 0x04, 0x08, 0x0C, 0x10
"""The controller's registers. To erase or program is to store the number of bytes, last."""

CONNECT, EXIT_XIP, FLUSH, ENTER_XIP = 1, 2, 3, 4
"""What is stored to STEP."""

_RP2040 = Rom(
    address=0,
    size=0x4000,
    controller=0x1F000000,
    content=bytes.fromhex("""
    00000000 00000000 00000000 00000000
    00000000 5c000000 1d000000 0288002a
    04d08a42 01d00430 f8e74288 10007047
    012004e0 022002e0 032000e0 0420064b
    18607047 044b5860 99607047 024b5860
    d9601a61 7047c046 0000001f 49463100
    45583500 52454500 52504d00 46433900
    43583d00 00000000
    """),
)
"""sim/rom/rp2040.S, assembled; tests/test_store_drivers.py compares them."""


def boot_rom(board: Board) -> Rom | None:
    """The ROM of a board's chip; None: nothing is called there."""
    return _RP2040 if board.boot == "rp2040" else None
