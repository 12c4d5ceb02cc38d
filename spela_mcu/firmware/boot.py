"""What a chip's boot ROM requires of a flash image before running it."""

from __future__ import annotations

import zlib

from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board
from spela_mcu.firmware.elf import Elf

RP2040_BOOT_BYTES = 256
"""At the start of flash; the last four are the checksum of the others."""

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def boot_bytes(board: Board) -> int:
    """Bytes of flash before the vector table."""
    return 0 if board.boot is None else RP2040_BOOT_BYTES


def check_boot(elf: Elf, board: Board) -> None:
    """Checks that the boot ROM would accept a program.

    Raises:
        UserError: RP2040's second stage does not carry its own checksum.
    """
    if board.boot is None:
        return
    stage = elf.read(board.flash.address, RP2040_BOOT_BYTES)
    stated = int.from_bytes(stage[-4:], "little")
    actual = crc32_mpeg2(stage[:-4])
    if stated != actual:
        raise UserError(
            f"the second stage of the boot carries the checksum 0x{stated:08X}, "
            f"and its code has 0x{actual:08X}: the chip would not start",
            mend=f"let port/boot.c end with .word 0x{actual:08X}",
        )


def crc32_mpeg2(data: bytes) -> int:
    """CRC-32/MPEG-2: zlib's CRC without reflection of bytes or result, and not inverted."""
    reflected = zlib.crc32(data.translate(_REVERSED)) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)
