"""Classes that come and go, and what is rehearsed of them (docs/arithmetic-continual.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import draw
from spela_mcu.fixed_point.layout import padded

FORGET_PASSES = 6
"""So often each sample of a class that is forgotten is taught as one of another class."""

FORGET_REHEARSED = 4
"""So many samples of other classes are rehearsed after each of these."""

FORGET_DRAWN = 20
"""So many samples stand for a mean of a class that is forgotten."""

LIMIT_STEP = 1 << 22
LIMIT_MIN, LIMIT_MAX = 1 << 16, 32767 << 16
"""Of a limit that follows, Q1.14 times 2^16."""

COUNTER_MAX = (1 << 32) - 1


Slot = NDArray[np.int8] | NDArray[np.int16]
"""Of the memory: a sample, int8 [inputs], or a mean of samples, int16 [inputs] in Q7.8."""


@dataclass(frozen=True, eq=False)
class Memory:
    """What a network has seen before its start, to be rehearsed.

    Attributes:
        seen: samples of each class that is active at the start, int64 [known].
        slots: what is kept of each of these classes: int8 [min(seen, capacity), inputs], or its
            mean, int16 [1, inputs].
        deviation: of samples from these means, uint16 [inputs]; None: samples are kept.
    """

    seen: NDArray[np.int64]
    slots: tuple[Slot, ...]
    deviation: NDArray[np.uint16] | None = None


@dataclass(frozen=True)
class UnknownPlan:
    """Limits, one an exit, that follow what is taught; an answer below is unknown.

    Attributes:
        by: what of an answer is compared.
        limits: at the start, Q1.14, 1 to 32767.
        rise: by which a limit, times 2^16, rises with an answer above it; below, it falls by
            LIMIT_STEP less this.
    """

    by: Literal["cosine", "margin"]
    limits: tuple[int, ...]
    rise: int

    def is_below(self, limit: int, cosine: int, margin: int) -> bool:
        """Whether an answer is below a limit, which is Q1.14 times 2^16."""
        return (cosine if self.by == "cosine" else margin) << 16 < limit

    def followed(self, limit: int, cosine: int, margin: int) -> int:
        """The limit after an answer that was right."""
        below = self.is_below(limit, cosine, margin)
        step = self.rise - LIMIT_STEP if below else self.rise
        return min(max(limit + step, LIMIT_MIN), LIMIT_MAX)


@dataclass(frozen=True, eq=False)
class ContinualPlan:
    """What a network has for classes that come and go.

    Attributes:
        known: classes that are active at the start: the first.
        capacity: samples of a class that are kept, to be rehearsed; of means, 1.
        ratio: samples rehearsed after each one that is taught.
        keeps: what the memory keeps of a class.
        memory: at the start; None: it is empty.
        unknown: limits below which an answer is unknown; None: there are none that follow.
        in_flash: whether the memory's samples lie in flash, which changes no bit.
    """

    known: int
    capacity: int = 0
    ratio: int = 0
    keeps: Literal["samples", "means"] = "samples"
    memory: Memory | None = None
    unknown: UnknownPlan | None = None
    in_flash: bool = False

    @property
    def keeps_means(self) -> bool:
        """Whether the memory keeps means of classes, and not samples."""
        return self.keeps == "means"

    def slot_bytes(self, inputs: int) -> int:
        """Bytes of a sample or a mean in the memory: spela_slot_bytes in C."""
        return padded(inputs) * (2 if self.keeps_means else 1)

    def deviation_bytes(self, inputs: int) -> int:
        """Bytes of the deviations, if there are any: spela_deviation_bytes in C."""
        return self.slot_bytes(inputs) if self.keeps_means else 0

    def memory_bytes(self, classes: int, inputs: int) -> int:
        """Bytes of the memory's part for so many classes: spela_memory_bytes in C."""
        return classes * self.capacity * self.slot_bytes(inputs)

    def kept_bytes(self, classes: int, inputs: int) -> int:
        """Bytes of all that so many classes have the memory keep."""
        return self.deviation_bytes(inputs) + self.memory_bytes(classes, inputs)


def factory_memory(
    samples: NDArray[np.int8],
    labels: NDArray[np.int64],
    known: int,
    capacity: int,
    seed: int,
) -> Memory:
    """What a network that was trained with samples has seen: a fair choice of each class.

    Args:
        samples: int8 [n, inputs].
        labels: [n].
        known: number of classes.
        capacity: samples of a class that are kept.
        seed: of the choice.
    """
    generator = np.random.default_rng([seed, 1])
    kept = []
    for label in range(known):
        own = np.flatnonzero(labels == label)
        kept.append(samples[np.sort(generator.permutation(own)[:capacity])])
    return Memory(seen_of(labels, known), tuple(kept))


def seen_of(labels: NDArray[np.int64], known: int) -> NDArray[np.int64]:
    """How many samples each class has, [known]."""
    return np.bincount(labels, minlength=known)[:known].astype(np.int64)


@dataclass
class ClassState:
    """What is known of a class.

    Attributes:
        seen: samples of it that were taught, on the chip or before.
        slots: those filled in the memory, min(seen, capacity) of them.
    """

    seen: int = 0
    is_active: bool = False
    slots: list[Slot] = field(default_factory=list)

    def copy(self) -> Self:
        """The same; later learning does not change it."""
        return type(self)(self.seen, self.is_active, list(self.slots))


def initial_classes(plan: ContinualPlan | None, classes: int) -> list[ClassState]:
    """The table at a network's start; without a plan all classes are active, and stay so."""
    if plan is None:
        return [ClassState(is_active=True) for _ in range(classes)]
    table = [ClassState(is_active=label < plan.known) for label in range(classes)]
    if plan.memory is not None:
        for one, seen, slots in zip(table, plan.memory.seen, plan.memory.slots, strict=False):
            one.seen, one.slots = int(seen), list(slots)
    return table


def initial_deviation(plan: ContinualPlan | None, inputs: int) -> NDArray[np.int64]:
    """Deviation of samples from the means of their classes at a network's start, [inputs]."""
    memory = None if plan is None else plan.memory
    if memory is None or memory.deviation is None:
        return np.zeros(inputs, np.int64)
    return memory.deviation.astype(np.int64)


def draw_below(state: int, count: int) -> tuple[int, int]:
    """A number below `count`, and the generator's next state."""
    _, state = draw(state, 1)
    return (state * count) >> 32, state


def draw_class(
    table: list[ClassState], state: int, other_than: int | None = None
) -> tuple[int, int] | None:
    """A class of which the memory has something, and the generator's next state.

    `other_than` is not drawn. None if there is none; then nothing is drawn.
    """
    holding = [label for label, one in enumerate(table) if one.slots and label != other_than]
    if not holding:
        return None
    which, state = draw_below(state, len(holding))
    return holding[which], state


def keep(one: ClassState, sample: NDArray[np.int8], capacity: int, state: int) -> int:
    """Counts a sample int8 [inputs] that was taught; the memory takes it or not.

    All samples of a class that were seen are in the memory with the same probability (Vitter's
    algorithm R, ACM TOMS 11, 1985).

    Returns:
        The generator's next state.
    """
    now = min(one.seen + 1, COUNTER_MAX)
    if one.seen < capacity:
        one.slots.append(sample.copy())
    elif capacity:
        slot, state = draw_below(state, now)
        if slot < capacity:
            one.slots[slot] = sample.copy()
    one.seen = now
    return state


def table_content(table: list[ClassState]) -> bytes:
    """The table as the digest of the learned state and a saved state take it."""
    return np.array([(one.seen, one.is_active) for one in table], "<u4").tobytes()


def memory_content(slots: Iterable[NDArray[np.integer[Any]]]) -> bytes:
    """What is kept of a class, int8 or int16 [inputs], each padded, in their order."""
    return b"".join(
        np.pad(slot, (0, padded(len(slot)) - len(slot)))
        .astype(slot.dtype.newbyteorder("<"))
        .tobytes()
        for slot in slots
    )
