"""Where feature maps lie in the arena: one planner, by lifetimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from spela_mcu.fixed_point.layout import rounded_up

ALIGNMENT: Final = 4
"""Bytes; each map begins at a multiple."""

SCRATCH_ALIGNMENT: Final = 8
"""The same for what an operator needs for itself."""

MOST_TRIES: Final = 600
TO_THE_FRONT: Final = 0.7
"""Orders that the search tries, and the share of moves that go to the front. With these the maps
of a MobileNet came to the same layout from each of ten seeds."""

MOST_WORK: Final = 500_000
"""Pairs of maps that the search looks at: about a second."""


@dataclass(frozen=True)
class Lifetime:
    """A map of `size` bytes, from the step that writes it to the last that reads it, inclusive.

    Or what a step needs for itself: `first` and `last` are that step then.
    """

    size: int
    first: int
    last: int
    alignment: int = ALIGNMENT


@dataclass(frozen=True)
class Overlap:
    """Two maps that live in one step only, and may share memory there.

    Attributes:
        source: a map that the step reads for the last time.
        target: the map that it writes.
        lead: bytes by which the target must begin before the source, unless they are apart; a
            multiple of `unit` more is allowed as well.
    """

    source: int
    target: int
    lead: int
    unit: int = 1


@dataclass(frozen=True)
class Layout:
    """The offset of each map, and the bytes of all."""

    offsets: tuple[int, ...]
    size: int


def lay_out(maps: Sequence[Lifetime], overlaps: Sequence[Overlap]) -> Layout:
    """Places maps so that none overwrites another that is still to be read.

    Maps are placed one after the other at the lowest offset that is free, and the order decides how
    much memory they take together. The search begins with the largest first, in the order of time
    and against it. It goes on from the best by moving one map at random, mostly to the front, and
    keeps what is not worse. It is the same each time, and ends early at a layout that no order can
    better.
    """
    placer = _Placer(maps, overlaps)
    indices = list(range(len(maps)))
    orders = [
        sorted(indices, key=lambda index: (-maps[index].size, index)),
        indices,
        indices[::-1],
    ]
    order = min(orders, key=lambda one: placer.place(one).size)
    best, least = placer.place(order), placer.least
    chance = Random(0)
    for _ in range(min(MOST_TRIES, MOST_WORK // placer.work)):
        if best.size <= least:
            break
        tried = order.copy()
        moved = tried.pop(chance.randrange(len(tried)))
        tried.insert(0 if chance.random() < TO_THE_FRONT else chance.randrange(len(maps)), moved)
        layout = placer.place(tried)
        if layout.size <= best.size:
            order, best = tried, layout
    return best


class _Placer:
    def __init__(self, maps: Sequence[Lifetime], overlaps: Sequence[Overlap]) -> None:
        self.maps = maps
        self.leads = {(one.source, one.target): one.lead for one in overlaps}
        self.units = {(one.source, one.target): one.unit for one in overlaps}
        self.conflicts = [
            [
                other
                for other, theirs in enumerate(maps)
                if other != index and theirs.first <= mine.last and mine.first <= theirs.last
            ]
            for index, mine in enumerate(maps)
        ]

    @property
    def work(self) -> int:
        """Pairs of maps that one layout looks at."""
        return sum(map(len, self.conflicts)) + len(self.maps)

    @property
    def least(self) -> int:
        """Bytes that no layout can go below."""
        needed = []
        for step in {one.first for one in self.maps}:
            alive = {index for index, one in enumerate(self.maps) if one.first <= step <= one.last}
            total = sum(self.maps[index].size for index in alive)
            pairs = [
                (source, target, lead)
                for (source, target), lead in self.leads.items()
                if source in alive and target in alive
            ]
            # Of sources that share memory with a target, count the saving of the largest twice
            # over at most: a bound may be too low, never too high.
            for source, target, lead in pairs:
                sizes = self.maps[source].size, self.maps[target].size
                total -= max(0, sum(sizes) - max(sizes[0] + lead, sizes[1]))
            needed.append(total)
        return max(needed)

    def place(self, order: Sequence[int]) -> Layout:
        """Each map in turn at the lowest offset where it may lie."""
        offsets: dict[int, int] = {}
        for index in order:
            placed = [other for other in self.conflicts[index] if other in offsets]
            offsets[index] = self.lowest(index, {other: offsets[other] for other in placed})
        size = max(offsets[index] + one.size for index, one in enumerate(self.maps))
        return Layout(tuple(offsets[index] for index in range(len(self.maps))), size)

    def lowest(self, index: int, placed: Mapping[int, int]) -> int:
        """The lowest offset of a map beside those that live at the same time."""
        apart: set[int] = set()
        while True:
            at = 0
            for after, before in sorted(
                self.taken(index, other, other_at, other in apart)
                for other, other_at in placed.items()
            ):
                if at <= after:
                    break
                at = max(at, rounded_up(before, self.maps[index].alignment))
            # Where they share memory at a distance that is not allowed, they do not share it.
            astray = {
                other
                for other, other_at in placed.items()
                if self.shares(index, at, other, other_at)
                and not self.is_allowed(index, at, other, other_at)
            }
            if not astray:
                return at
            apart |= astray

    def shares(self, index: int, at: int, other: int, other_at: int) -> bool:
        """Whether two maps there have a byte in common."""
        return at < other_at + self.maps[other].size and other_at < at + self.maps[index].size

    def is_allowed(self, index: int, at: int, other: int, other_at: int) -> bool:
        """Whether two maps that share memory begin a whole number of units apart, and a lead."""
        for pair, distance in (((index, other), at - other_at), ((other, index), other_at - at)):
            if pair in self.leads and distance >= self.leads[pair]:
                return (distance - self.leads[pair]) % self.units[pair] == 0
        return False

    def taken(self, index: int, other: int, other_at: int, apart: bool) -> tuple[int, int]:
        """Offsets that a map that lives at the same time leaves: up to the one, from the other."""
        up_to, since = other_at - self.maps[index].size, other_at + self.maps[other].size
        if apart:
            return up_to, since
        if (lead := self.leads.get((index, other))) is not None:
            since = min(since, other_at + lead)
        if (lead := self.leads.get((other, index))) is not None:
            up_to = max(up_to, other_at - lead)
        return up_to, since
