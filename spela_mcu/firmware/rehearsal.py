"""Where a project keeps the samples that it rehearses, if they are to lie in flash."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board, Region, StoreRegion, load_boards
from spela_mcu.fixed_point.arena import MemoryInFlash
from spela_mcu.fixed_point.layout import rounded_up

HEADER_BYTES = 8
"""Of a block: its number, in whole units."""

PLACES = 0xFFFE
"""Records that the ring may have."""

PAGE_BYTES = 4096
"""The ring begins with such a page: what comes before it is the program's, and memory is protected,
and mapped by simulators, by pages."""

GROUPED = 16
"""The most blocks of the flash that are erased as one."""

SPARED = 8
"""At most an eighth of a block may be left over, or more of the flash's blocks make one."""

ROOM = 2
"""The ring has room for so many times the samples that are kept, if the board has: the less is
moved."""


@dataclass(frozen=True)
class RehearsalPlan:
    """The ring of blocks in flash.

    Attributes:
        region: all of it.
        block_bytes: what is erased at once: one or more of the flash's own blocks.
        records: samples that a block has room for.
        unit_bytes: what is programmed at once.
    """

    region: Region
    block_bytes: int
    records: int
    unit_bytes: int

    @property
    def blocks(self) -> int:
        """Their number."""
        return self.region.bytes // self.block_bytes


def plan_rehearsal(board: Board, memory: MemoryInFlash | None) -> RehearsalPlan | None:
    """The blocks for a memory; None: none of it lies in flash, or the board has no room.

    They are the end of the region that the board has for them, right before its store.
    """
    store, region = board.store, board.rehearsal
    if memory is None or store is None or region is None:
        return None
    block_bytes = _block_bytes(store, memory)
    records = _records(store, memory, block_bytes)
    if records == 0:
        return None
    least = memory.slots // records + 2  # all but one have room for one sample more than is kept
    wanted = max(-(ROOM * memory.slots // -records) + 1, least)
    step = lcm(block_bytes, PAGE_BYTES)
    most = min(region.bytes, PLACES // records * block_bytes) // step * step
    size = min(rounded_up(wanted * block_bytes, step), most)
    if size < least * block_bytes:
        return None
    return RehearsalPlan(
        Region(address=region.end - size, bytes=size), block_bytes, records, store.unit_bytes
    )


def with_rehearsal(board: Board, plan: RehearsalPlan | None) -> Board:
    """The board as a project sees it: its store begins with the ring, if there is one."""
    if plan is None or board.store is None:
        return board
    store = board.store.model_copy(
        update={
            "address": plan.region.address,
            "bytes": board.store.end - plan.region.address,
        }
    )
    return board.model_copy(update={"store": store, "rehearsal": None})


def _records(store: StoreRegion, memory: MemoryInFlash, block_bytes: int) -> int:
    unit = store.unit_bytes
    room = block_bytes - rounded_up(HEADER_BYTES, unit)
    return room // rounded_up(memory.record_bytes, unit)


def _block_bytes(store: StoreRegion, memory: MemoryInFlash) -> int:
    """The fewest blocks of the flash of which little is left over; or those that lose least."""
    sizes = [count * store.block_bytes for count in range(1, GROUPED + 1)]
    record = rounded_up(memory.record_bytes, store.unit_bytes)

    def used(size: int) -> float:
        return _records(store, memory, size) * record / size

    return next((size for size in sizes if used(size) >= 1 - 1 / SPARED), max(sizes, key=used))


def no_room(board: Board, memory: MemoryInFlash) -> UserError:
    """What to say where a board has no room for a memory."""
    others = [
        other.id
        for other in load_boards()
        if other.id != board.id and plan_rehearsal(other, memory) is not None
    ]
    larger = f", or choose a board that has: {', '.join(others)}" if others else ""
    return UserError(
        f"{board.id} has no room in flash for {memory.slots:,} samples of "
        f"{memory.record_bytes:,} bytes",
        mend=f"keep them in RAM (learning.rehearsal.memory: ram), or fewer of them{larger}",
        key="learning.rehearsal.memory",
    )
