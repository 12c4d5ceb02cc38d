"""How long a save takes, and how many there can be, from what the maker says of the flash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spela_mcu.store.slots import overhead_bytes

DAYS_A_YEAR = 365.25


@dataclass(frozen=True)
class Duration:
    """Seconds that something takes. Where the maker gives one figure, it is both."""

    typical: float
    longest: float

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.typical + other.typical, self.longest + other.longest)

    def times(self, count: int) -> Duration:
        """The time of `count` of them."""
        return Duration(self.typical * count, self.longest * count)


@dataclass(frozen=True)
class FlashPart:
    """A chip's flash.

    Attributes:
        unit_bytes: what is programmed at once.
        program: the time of a unit.
        erase: the time of a block, by its size in bytes.
        cycles: erasures that a block endures, at least.
        source: where the maker says so.
    """

    name: str
    unit_bytes: int
    program: Duration
    erase: dict[int, Duration]
    cycles: int
    source: str


KIB = 1024

STM32F407 = FlashPart(
    "STM32F407",
    unit_bytes=4,
    program=Duration(16e-6, 100e-6),
    erase={
        16 * KIB: Duration(0.25, 0.5),
        64 * KIB: Duration(0.55, 1.1),
        128 * KIB: Duration(1.0, 2.0),
    },
    cycles=10_000,
    source="ST DS8626, 5.3.12: flash memory programming, words of 32 bits; endurance",
)
STM32L476 = FlashPart(
    "STM32L476",
    unit_bytes=8,
    program=Duration(81.69e-6, 90.76e-6),
    erase={2 * KIB: Duration(22.02e-3, 24.47e-3)},
    cycles=10_000,
    source="ST DS10198, 6.3.10: flash memory characteristics; endurance",
)
NRF52840 = FlashPart(
    "nRF52840",
    unit_bytes=4,
    program=Duration(41e-6, 41e-6),
    erase={4 * KIB: Duration(85e-3, 85e-3)},
    cycles=10_000,
    source="Nordic nRF52840 Product Specification, NVMC: electrical specification",
)
W25Q16JV = FlashPart(
    "W25Q16JV",
    unit_bytes=256,
    program=Duration(0.4e-3, 3e-3),
    erase={4 * KIB: Duration(45e-3, 400e-3)},
    cycles=100_000,
    source="Winbond W25Q16JV, AC electrical characteristics; features. The flash of a Pico",
)

PARTS = {part.name: part for part in (STM32F407, STM32L476, NRF52840, W25Q16JV)}


def save_time(part: FlashPart, blocks: Sequence[int], payload_bytes: int) -> Duration:
    """What the flash needs for one save; the core's own work comes on top.

    Args:
        part: the flash.
        blocks: sizes of the blocks of the slot that is written.
        payload_bytes: of the state.

    Raises:
        ValueError: the part has no blocks of such a size, or they are too few.
    """
    if unknown := set(blocks) - set(part.erase):
        raise ValueError(f"{part.name} has no blocks of {sorted(unknown)} bytes")
    before = overhead_bytes(part.unit_bytes)
    if before + payload_bytes > sum(blocks):
        raise ValueError(f"{sum(blocks)} bytes are too few for a payload of {payload_bytes}")
    units = -(-(before + payload_bytes) // part.unit_bytes)
    erasing = sum((part.erase[block] for block in blocks), Duration(0.0, 0.0))
    return erasing + part.program.times(units)


def saves_endured(part: FlashPart) -> int:
    """How many saves a store endures: each erases one of its two slots, in turns."""
    return 2 * part.cycles


def years_endured(part: FlashPart, saves_a_day: float) -> float:
    """How long a store lasts."""
    if saves_a_day <= 0.0:
        raise ValueError(f"saves_a_day is {saves_a_day}, not above 0")
    return saves_endured(part) / saves_a_day / DAYS_A_YEAR
