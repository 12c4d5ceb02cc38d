"""What a device holds, and what its parts do together: firmware/application/application.h."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from spela_mcu.device.answers import StoreStatus
from spela_mcu.device.kept import NO_BASELINE, Kept
from spela_mcu.device.protocol import Status
from spela_mcu.firmware.guard import GuardSamples
from spela_mcu.firmware.model import ModelSource
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.front_end.stream import Stream
from spela_mcu.store.payload import (
    COMPANION,
    Counters,
    Section,
    learned_state,
    read_companion,
    read_payload,
    restore,
    write_payload,
)
from spela_mcu.store.slots import overhead_bytes

DATA_BYTES_MIN = 64


@dataclass(frozen=True)
class Request:
    """A request in hand.

    Attributes:
        is_repeated: it was answered before, and is not to be counted again.
    """

    command: int
    flags: int
    number: int
    argument: int
    data: bytes
    is_repeated: bool


class RefusedError(Exception):
    """A request that changes nothing; its answer is a status."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


@dataclass
class State:
    """A state in flash: how often it was replaced, and its payload, if there is one."""

    saves: int = 0
    payload: bytes | None = None


@dataclass
class Flash:
    """What a board keeps in flash.

    Attributes:
        states: the saved state, and the checkpoint if there is room for one.
        slot_bytes: of each slot.
        unit_bytes: what is programmed at once.
    """

    states: tuple[State, ...]
    slot_bytes: int
    unit_bytes: int

    @property
    def room(self) -> int:
        """The longest payload."""
        return self.slot_bytes - overhead_bytes(self.unit_bytes)


@dataclass
class Import:
    """A payload on its way from the host into flash.

    Attributes:
        size, crc: of the whole.
        payload: what has come.
    """

    size: int
    crc: int
    payload: bytes = b""


@dataclass
class Application:
    """A device's state between two requests.

    Attributes:
        network: what it serves; it learns.
        source: the model's facts, as the firmware has them.
        factory: the plan without the settings of a host.
        kept: settings, names and figures.
        inference_only: whether its firmware cannot learn.
        flash: the states that its board keeps; None: it keeps none.
        guard: what its guard works with; None: it has none.
        stream: its front end; None: it has none.
        found: what the start found in flash.
        coming: an import that has begun.
        before: what the counters were when a state was loaded.
    """

    network: IntegerNetwork
    source: ModelSource
    factory: FixedPointPlan
    kept: Kept
    inference_only: bool
    flash: Flash | None
    guard: GuardSamples | None
    stream: Stream | None
    found: StoreStatus = StoreStatus.EMPTY
    coming: Import | None = None
    before: Counters = field(default_factory=Counters)

    @property
    def data_bytes(self) -> int:
        """The most data of a request."""
        return max(self.source.inputs, DATA_BYTES_MIN)

    @property
    def counters(self) -> Counters:
        """The network's, which go on through a save and a load."""
        now, before = learned_state(self.network).counters, self.before
        return replace(
            now,
            layer_updates=now.layer_updates + before.layer_updates,
            multipliers_clipped=now.multipliers_clipped + before.multipliers_clipped,
            silent=now.silent + before.silent,
        )

    def sample(self, asked: Request) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        """The sample that a request brings."""
        if len(asked.data) != self.source.inputs:
            raise RefusedError(Status.ERROR_SIZE)
        return np.frombuffer(asked.data, np.int8)

    def count_answer(self, asked: Request, label: int, margin: int) -> None:
        """Counts an answer of the network, unless the request is repeated."""
        if not asked.is_repeated:
            self.kept.count_answer(label, margin)

    def check_thawed(self) -> None:
        """Refuses what a frozen device does not do."""
        if self.kept.is_frozen:
            raise RefusedError(Status.FROZEN)

    def apply_settings(self) -> None:
        """Has the network follow the layers' settings."""
        self.network.plan = self.kept.applied(self.factory)

    def keep(self, kept: Kept) -> None:
        """Goes on with other settings, names and figures."""
        self.kept = kept
        self.apply_settings()
        self.set_baseline()

    def reset_network(self) -> None:
        """Back to the factory's weights."""
        self.network.reset()
        self.before = Counters()

    def payload(self) -> bytes:
        """What would be saved now."""
        state = replace(learned_state(self.network), counters=self.counters)
        companion = Section(COMPANION, 0, self.kept.to_bytes())
        return write_payload(self.factory, state) + companion.to_bytes()

    def take(self, payload: bytes) -> None:
        """Goes on with a state that is known to be whole."""
        state, companion = read_payload(self.factory, payload), read_companion(payload)
        restore(self.network, state)
        self.before = state.counters
        kept = replace(self.kept, baseline=NO_BASELINE)
        if companion is not None and len(companion) == len(kept.to_bytes()):
            kept = Kept.from_bytes(self.factory, companion)
        self.keep(kept)

    def look(self) -> int:
        """How many of the guard's samples the network gets right."""
        if self.guard is None:
            return 0
        pairs = zip(self.guard.samples, self.guard.labels.tolist(), strict=True)
        return sum(self.network.infer(sample)[-1].label == label for sample, label in pairs)

    def set_baseline(self) -> None:
        """Makes what is right now the guard's baseline, if none is known of this guard."""
        tag = 0 if self.guard is None else self.guard.tag
        if self.kept.baseline == NO_BASELINE or self.kept.guard != tag:
            self.kept.baseline, self.kept.guard = self.look(), tag

    def renew_baseline(self) -> None:
        """Makes what is right now the guard's baseline."""
        self.kept.baseline = NO_BASELINE
        self.set_baseline()
