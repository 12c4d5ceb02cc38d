"""The slots of a store, as bytes of flash (docs/store.md)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from spela_mcu.errors import UserError
from spela_mcu.fixed_point.layout import rounded_up
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.store.payload import payload_bytes

MAGIC = int.from_bytes(b"SPLS", "little")
FORMAT_VERSION = 1
SEALS = 3
UNITS = (4, 8, 16, 32, 64, 128, 256)
"""Bytes that a flash may program at once."""

_HEADER = struct.Struct("<8I")
_ERASED = b"\xff"


@dataclass(frozen=True)
class SavedState:
    """What a save writes to a slot.

    Attributes:
        number: of the save, a serial number of 32 bits.
        digest: of the model that has learned it.
        payload: empty if nothing is learned.
        version: of the payload's format.
    """

    number: int
    digest: int
    payload: bytes = field(repr=False)
    version: int = FORMAT_VERSION

    def is_newer(self, other: SavedState) -> bool:
        """Whether it was saved later; numbers wrap around."""
        return 1 <= (self.number - other.number) % (1 << 32) < 1 << 31


def overhead_bytes(unit_bytes: int) -> int:
    """Bytes of a slot before its payload."""
    return max(_HEADER.size, unit_bytes) + SEALS * unit_bytes


def slot_bytes(plan: FixedPointPlan, unit_bytes: int) -> int:
    """Bytes that a slot needs for a network, whatever is pending."""
    return overhead_bytes(unit_bytes) + rounded_up(payload_bytes(plan), unit_bytes)


def write_slot(saved: SavedState, *, unit_bytes: int, slot_bytes: int) -> bytes:
    """A slot of `slot_bytes` after a save.

    Raises:
        UserError: the slot is too small.
    """
    if unit_bytes not in UNITS:
        raise ValueError(f"unit_bytes is {unit_bytes}, not one of {UNITS}")
    needed = overhead_bytes(unit_bytes) + len(saved.payload)
    if needed > slot_bytes:
        raise UserError(
            f"a slot of {slot_bytes:,} bytes is too small for a state that takes {needed:,}",
            mend="give the store larger slots, or the network fewer weights",
        )
    head = struct.pack(
        "<7I",
        MAGIC,
        saved.version,
        saved.number,
        saved.digest,
        unit_bytes,
        len(saved.payload),
        zlib.crc32(saved.payload),
    )
    head += zlib.crc32(head).to_bytes(4, "little")
    slot = head.ljust(max(_HEADER.size, unit_bytes), _ERASED)
    slot += bytes(SEALS * unit_bytes) + saved.payload
    return slot.ljust(slot_bytes, _ERASED)


def read_slot(slot: bytes, *, unit_bytes: int) -> SavedState | None:
    """What a slot holds; None unless it is whole."""
    header = max(_HEADER.size, unit_bytes)
    start = overhead_bytes(unit_bytes)
    seals = slot[header:start]
    if len(slot) < start or seals == _ERASED * len(seals):
        return None
    magic, version, number, digest, unit, size, crc, header_crc = _HEADER.unpack_from(slot)
    if magic != MAGIC or unit != unit_bytes or header_crc != zlib.crc32(slot[: _HEADER.size - 4]):
        return None
    payload = slot[start : start + size]
    if len(payload) != size or zlib.crc32(payload) != crc:
        return None
    return SavedState(number, digest, payload, version)


def slot_in_use(slots: Sequence[bytes], digest: int, *, unit_bytes: int) -> int | None:
    """Which of the slots a device with the model `digest` takes; None: none is whole."""
    chosen: tuple[int, SavedState, bool] | None = None
    for index, slot in enumerate(slots):
        saved = read_slot(slot, unit_bytes=unit_bytes)
        if saved is None:
            continue
        is_own = saved.digest == digest and saved.version == FORMAT_VERSION
        if (
            chosen is None
            or (is_own and not chosen[2])
            or (is_own == chosen[2] and saved.is_newer(chosen[1]))
        ):
            chosen = (index, saved, is_own)
    return None if chosen is None else chosen[0]
