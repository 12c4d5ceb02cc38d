"""Where a project keeps learned states: slots in the region of flash that its board names."""

from __future__ import annotations

from dataclasses import dataclass

from spela_mcu.firmware.board import Board, Region
from spela_mcu.fixed_point.layout import rounded_up
from spela_mcu.store.payload import section_bytes
from spela_mcu.store.slots import overhead_bytes
from spela_mcu.store.wear import PARTS, Duration, save_time, saves_endured, years_endured

SAVES_A_DAY = 4
"""At which a lifetime is told."""

STATES = ("saved", "checkpoint")


@dataclass(frozen=True)
class StorePlan:
    """The slots of a project.

    Attributes:
        state_bytes: the largest payload, the application's own part included.
        slots: pairs of slots: of the saved state, and of the checkpoint if there is room for it.
    """

    state_bytes: int
    slots: tuple[tuple[Region, Region], ...]


@dataclass(frozen=True)
class Wear:
    """What a state in flash costs, by the maker's figures.

    Attributes:
        save: the flash's time for one save.
        saves: how many each of the two states endures.
        years: at SAVES_A_DAY.
    """

    save: Duration
    saves: int
    years: float


def wear(board: Board, plan: StorePlan) -> Wear | None:
    """What states cost on a board; None: its flash does not wear out."""
    store = board.store
    if store is None or store.part is None:
        return None
    part = PARTS[store.part]
    blocks = [store.block_bytes] * (plan.slots[0][0].bytes // store.block_bytes)
    save = save_time(part, blocks, plan.state_bytes)
    return Wear(save, saves_endured(part), years_endured(part, SAVES_A_DAY))


def plan_store(board: Board, network_state_bytes: int, kept_bytes: int) -> StorePlan | None:
    """The slots for a network's states; None: the board has no store, or too small a one.

    The region is divided into four equal parts, or into two where a quarter is too small. A slot
    begins with its part, so that it stays where it is when the model changes, and has only as many
    blocks as it needs, since a save erases all of them.

    Args:
        board: it names the region.
        network_state_bytes: the network's largest payload.
        kept_bytes: what the application keeps beside it.
    """
    store = board.store
    if store is None:
        return None
    state = network_state_bytes + section_bytes(kept_bytes)
    unit = store.unit_bytes
    needed = rounded_up(overhead_bytes(unit) + rounded_up(state, unit), store.block_bytes)
    for parts in (4, 2):
        part = store.bytes // parts // store.block_bytes * store.block_bytes
        if needed <= part:
            regions = [
                Region(address=store.address + index * part, bytes=needed) for index in range(parts)
            ]
            pairs = zip(regions[::2], regions[1::2], strict=True)
            return StorePlan(state, tuple(pairs))
    return None
