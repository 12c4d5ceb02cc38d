"""The learned state as the payload of a store's slot (docs/store.md): written, read and checked."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from spela_mcu.errors import UserError
from spela_mcu.fixed_point.continual import (
    LIMIT_MAX,
    LIMIT_MIN,
    ClassState,
    ContinualPlan,
    Slot,
    memory_content,
)
from spela_mcu.fixed_point.layer import MatrixPlan
from spela_mcu.fixed_point.layer_state import HALVINGS_MAX, SCAN_INTERVAL, LayerState
from spela_mcu.fixed_point.layout import pack, packed_bytes, padded, unpack
from spela_mcu.fixed_point.learning import PendingUpdate
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan

NETWORK, LAYER, WEIGHTS, PENDING = 1, 2, 3, 4
CLASS, SLOTS, LIMIT, DEVIATIONS = 6, 7, 8, 9
COMPANION = 0x8005
"""Bytes of the firmware's own that are saved and loaded with a state."""

OPTIONAL = 0x8000
"""A section with this bit in its tag may be skipped by a reader that does not know it."""

_HEAD = struct.Struct("<HHI")
_NETWORK = struct.Struct("<6I")
_LAYER = struct.Struct("<3I")
_CLASS = struct.Struct("<2I")
_LIMIT = struct.Struct("<I")


class OtherFormatError(UserError):
    """A payload has other sections than this version writes of this model."""


@dataclass(frozen=True)
class Counters:
    """spela_counters_t: what has happened since the network's start."""

    samples: int = 0
    layer_updates: int = 0
    multipliers_clipped: int = 0
    halvings: int = 0
    silent: int = 0


@dataclass(frozen=True, eq=False)
class LearnedState:
    """All that later answers depend on, and the counters.

    Attributes:
        layers: of each layer, its weights int64 [units, inputs], counts and pending updates.
        classes: what is known of each class, where they come and go; else empty.
        limits: of each exit, where they follow what is taught; else empty.
        deviation: of samples from means, [inputs], where these are kept; else None.
    """

    dither_state: int
    counters: Counters
    layers: tuple[LayerState, ...]
    classes: tuple[ClassState, ...] = ()
    limits: tuple[int, ...] = ()
    deviation: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Section:
    """A piece of a payload; `index` is that of a layer, or 0."""

    tag: int
    index: int
    content: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Its head and its content."""
        return _HEAD.pack(self.tag, self.index, len(self.content)) + self.content


def learned_state(network: IntegerNetwork) -> LearnedState:
    """What a network has learned; later learning does not change it."""
    counts = network.counts
    return LearnedState(
        network.dither_state,
        Counters(
            network.samples,
            sum(layer.layer_updates for layer in counts),
            sum(layer.multipliers_clipped for layer in counts),
            sum(state.halvings for state in network.layers),
            sum(layer.silent for layer in counts),
        ),
        tuple(_copied(state) for state in network.layers),
        () if network.plan.continual is None else tuple(one.copy() for one in network.classes),
        tuple(network.limits),
        network.deviation.copy() if network.plan.keeps_means else None,
    )


def restore(network: IntegerNetwork, state: LearnedState) -> None:
    """Gives a network a learned state. Its counts of quantisation's effects start anew."""
    network.reset()
    network.dither_state = state.dither_state
    network.samples = state.counters.samples
    network.layers = [_copied(layer) for layer in state.layers]
    if network.plan.continual is not None:
        network.classes = [one.copy() for one in state.classes]
        network.limits = list(state.limits)
    if state.deviation is not None:
        network.deviation = state.deviation.copy()


def _copied(state: LayerState) -> LayerState:
    return LayerState(state.weights.copy(), state.updates, state.halvings, list(state.pending))


def sections_of(plan: FixedPointPlan, state: LearnedState) -> list[Section]:
    """A state's sections, in the order of the payload."""
    counters = state.counters
    sections = [
        Section(
            NETWORK,
            0,
            _NETWORK.pack(
                state.dither_state,
                counters.samples,
                counters.layer_updates,
                counters.multipliers_clipped,
                counters.halvings,
                counters.silent,
            ),
        )
    ]
    for index, layer in enumerate(state.layers):
        counts = _LAYER.pack(layer.updates, layer.halvings, len(layer.pending))
        sections.append(Section(LAYER, index, counts))
        sections.append(Section(WEIGHTS, index, pack(layer.weights, plan.matrices[index].format)))
        if layer.pending:
            updates = b"".join(update.to_bytes() for update in layer.pending)
            sections.append(Section(PENDING, index, updates))
    sections += [
        Section(LIMIT, index, _LIMIT.pack(limit)) for index, limit in enumerate(state.limits)
    ]
    if state.deviation is not None:
        content = memory_content([state.deviation.astype(np.uint16)])
        sections.append(Section(DEVIATIONS, 0, content))
    for label, one in enumerate(state.classes):
        sections.append(Section(CLASS, label, _CLASS.pack(one.seen, one.is_active)))
        if one.slots:
            sections.append(Section(SLOTS, label, memory_content(one.slots)))
    return sections


def write_payload(plan: FixedPointPlan, state: LearnedState) -> bytes:
    """A state as a payload."""
    return b"".join(section.to_bytes() for section in sections_of(plan, state))


def payload_bytes(plan: FixedPointPlan) -> int:
    """Bytes of the longest payload of a network, with as many pending updates as there can be."""
    total = _HEAD.size + _NETWORK.size
    for layer in plan.matrices:
        total += _HEAD.size + _LAYER.size
        total += _HEAD.size + packed_bytes(layer.units, layer.inputs, layer.format)
        if plan.batch > 1:
            total += _HEAD.size + (plan.batch - 1) * _update_bytes(layer)
    if plan.continual is not None:
        total += plan.classes * (_HEAD.size + _CLASS.size)
        if plan.continual.unknown is not None:
            total += len(plan.layers) * (_HEAD.size + _LIMIT.size)
        if plan.continual.capacity:
            total += plan.classes * _HEAD.size
            total += plan.continual.memory_bytes(plan.classes, plan.inputs)
        if plan.continual.keeps_means:
            total += _HEAD.size + plan.continual.deviation_bytes(plan.inputs)
    return total


def section_bytes(content_bytes: int) -> int:
    """Bytes of a section, its head included."""
    return _HEAD.size + content_bytes


def read_companion(payload: bytes) -> bytes | None:
    """What a firmware keeps beside its network's state; None: nothing.

    Raises:
        UserError: the payload is not one.
    """
    parts = [part.content for part in split_sections(payload) if part.tag == COMPANION]
    return parts[-1] if parts else None


def read_payload(plan: FixedPointPlan, payload: bytes) -> LearnedState:
    """The state in a payload.

    Raises:
        OtherFormatError: its sections are not those of this plan's networks.
        UserError: it ends within a section, or has values that a network cannot have.
    """
    reader = _Reader(payload)
    dither_state, *counters = _NETWORK.unpack(reader.section(NETWORK, 0, _NETWORK.size))
    layers = tuple(_read_layer(plan, index, reader) for index in range(len(plan.matrices)))
    classes: tuple[ClassState, ...] = ()
    limits: tuple[int, ...] = ()
    deviation = None
    if plan.continual is not None:
        if plan.continual.unknown is not None:
            limits = tuple(_read_limit(index, reader) for index in range(len(plan.layers)))
        if plan.continual.keeps_means:
            content = reader.section(DEVIATIONS, 0, plan.continual.deviation_bytes(plan.inputs))
            deviation = _read_slots(content, "<u2", plan.inputs, "deviations")[0].astype(np.int64)
        classes = tuple(
            _read_class(plan.continual, plan.inputs, label, reader) for label in range(plan.classes)
        )
    reader.end()
    return LearnedState(dither_state, Counters(*counters), layers, classes, limits, deviation)


def _read_limit(index: int, reader: _Reader) -> int:
    limit: int = _LIMIT.unpack(reader.section(LIMIT, index, _LIMIT.size))[0]
    if not LIMIT_MIN <= limit <= LIMIT_MAX:
        _refuse(f"has a limit of exit {index} that no network can have")
    return limit


def _read_class(plan: ContinualPlan, inputs: int, label: int, reader: _Reader) -> ClassState:
    seen, is_active = _CLASS.unpack(reader.section(CLASS, label, _CLASS.size))
    if is_active > 1 or (seen and not is_active):
        _refuse(f"has counts of class {label} that no network can have")
    state = ClassState(seen, bool(is_active))
    count = min(seen, plan.capacity)
    if count:
        content = reader.section(SLOTS, label, count * plan.slot_bytes(inputs))
        form = "<i2" if plan.keeps_means else "i1"
        state.slots = _read_slots(content, form, inputs, f"samples or a mean of class {label}")
    return state


def _read_slots(content: bytes, form: str, inputs: int, what: str) -> list[Slot]:
    """Slots of the memory without their padding, which must be zero."""
    table = np.frombuffer(content, form).reshape(-1, padded(inputs))
    if table[:, inputs:].any():
        _refuse(f"has {what} that no network can have")
    native = table.dtype.newbyteorder("=")
    return [row[:inputs].astype(native) for row in table]


class _Reader:
    """Takes a payload's sections in their order, as the C does: behind its end there are zeros."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    @property
    def _has_failed(self) -> bool:
        return self._at > len(self._payload)

    def _take(self, count: int) -> bytes:
        taken = self._payload[self._at : self._at + count]
        self._at += count
        return taken.ljust(count, b"\0")

    def section(self, tag: int, index: int, size: int) -> bytes:
        """The content of the next section that may not be skipped: it must be this one."""
        while (found := _HEAD.unpack(self._take(_HEAD.size))) != (tag, index, size):
            if self._has_failed or not found[0] & OPTIONAL:
                _refuse(
                    f"has no section {tag} of layer {index} with {size} bytes where it should be",
                    OtherFormatError,
                )
            self._at += found[2]
        return self._take(size)

    def end(self) -> None:
        """What is left must be sections that may be skipped."""
        while self._at < len(self._payload):
            tag, _, size = _HEAD.unpack(self._take(_HEAD.size))
            if not tag & OPTIONAL:
                _refuse("has more sections than this version knows", OtherFormatError)
            self._at += size
        if self._has_failed:
            _refuse("ends within a section")


def split_sections(payload: bytes) -> Iterator[Section]:
    """The sections of a payload, in their order.

    Raises:
        UserError: it ends within one.
    """
    at = 0
    while at < len(payload):
        if len(payload) - at < _HEAD.size:
            _refuse("ends within a section")
        tag, index, size = _HEAD.unpack_from(payload, at)
        at += _HEAD.size
        if len(payload) - at < size:
            _refuse("ends within a section")
        yield Section(tag, index, payload[at : at + size])
        at += size


def _read_layer(plan: FixedPointPlan, index: int, reader: _Reader) -> LayerState:
    layer = plan.matrices[index]
    updates, halvings, pending = _LAYER.unpack(reader.section(LAYER, index, _LAYER.size))
    if (
        updates >= SCAN_INTERVAL
        or pending >= plan.batch
        or (halvings > HALVINGS_MAX and not plan.weight_decay)
    ):
        _refuse(f"has counts in layer {index} that no network can have")
    sizes = layer.units, layer.inputs, layer.format
    packed = reader.section(WEIGHTS, index, packed_bytes(*sizes))
    weights = unpack(packed, *sizes)
    if (
        pack(weights, layer.format) != packed
        or weights.min() < layer.weight_min
        or weights.max() > layer.weight_max
    ):
        _refuse(f"has weights in layer {index} that no network can have")
    kept: list[PendingUpdate] = []
    if pending:
        content = reader.section(PENDING, index, pending * _update_bytes(layer))
        kept = [_read_update(layer, content, k) for k in range(pending)]
    return LayerState(weights, updates, halvings, kept)


def _update_bytes(layer: MatrixPlan) -> int:
    return layer.inputs + 2 * layer.units


def _read_update(layer: MatrixPlan, content: bytes, index: int) -> PendingUpdate:
    start = index * _update_bytes(layer)
    inputs = np.frombuffer(content, np.int8, layer.inputs, start)
    factors = np.frombuffer(content, "<i2", layer.units, start + layer.inputs)
    return PendingUpdate(inputs.astype(np.int64), factors.astype(np.int64))


def _refuse(what: str, error: type[UserError] = UserError) -> NoReturn:
    raise error(f"the stored state {what}", mend="read it with the version and model that wrote it")
