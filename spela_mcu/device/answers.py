"""What a device answers (docs/protocol.md): the bodies of its answers, and their meaning."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from spela_mcu.device.protocol import PROTOCOL_VERSION, ProtocolError
from spela_mcu.fixed_point.arithmetic import ONE_Q14
from spela_mcu.fixed_point.early_exit import EarlyAnswer
from spela_mcu.fixed_point.exit_answer import ExitAnswer

NOT_LOOKED, WENT_BACK = 0xFFFF, 0x8000
NAME_BYTES = 12


class StoreStatus(IntEnum):
    """spela_store_status_t: what a start, or a load, finds in flash."""

    OK = 0
    EMPTY = 1
    CORRUPT = 2
    FOREIGN = 3
    OTHER_FORMAT = 4


@dataclass(frozen=True)
class Info:
    """What a device runs.

    Attributes:
        flags: the model's, SPELA_FLAG_*.
        can_save, can_checkpoint: which states its board keeps in flash.
        has_guard: whether its model has one.
        is_frozen: whether it learns nothing now.
        start: what it found in flash when it started.
        data_bytes: the most data that a request may have.
    """

    protocol_version: int
    flags: int
    layers: int
    inputs: int
    classes: int
    digest: int
    arena_bytes: int
    can_save: bool
    can_checkpoint: bool
    has_guard: bool
    is_frozen: bool
    start: StoreStatus
    data_bytes: int
    name: str


@dataclass(frozen=True)
class Prediction:
    """The last exit's answer to a sample; cosine and margin are Q1.14."""

    label: int
    cosine: int
    margin: int


@dataclass(frozen=True)
class Learned:
    """Answer to a labelled sample.

    Attributes:
        prediction: what was predicted before it was learned.
        digest: of the learned state after it, if it was asked for.
        guard_right: samples of the guard that were right, if it looked.
        went_back: whether the guard went back to the checkpoint.
    """

    prediction: Prediction
    digest: int | None
    guard_right: int | None = None
    went_back: bool = False


@dataclass(frozen=True)
class LayerPart:
    """Part of a layer's state; `weight_bytes` is the whole layer's, `data` what was asked for."""

    weight_bytes: int
    updates: int
    halvings: int
    pending: int
    data: bytes


@dataclass(frozen=True)
class Counters:
    """Diagnostics since the start, and the digest of the learned state."""

    samples: int
    layer_updates: int
    multipliers_clipped: int
    halvings: int
    silent: int
    digest: int


@dataclass(frozen=True)
class Saved:
    """What a save, a load or an import says: how often that state was replaced, and its size."""

    saves: int
    bytes: int


@dataclass(frozen=True)
class Store:
    """One of the two states in flash.

    Attributes:
        status: what a load of it would answer.
        saves: how often it was replaced.
        bytes: its size; 0: there is none.
        slot_bytes: of each of its two slots.
    """

    status: StoreStatus
    saves: int
    bytes: int
    slot_bytes: int


@dataclass(frozen=True)
class LayerFigures:
    """Of a layer: weights at an end of their range, halvings, pending updates."""

    saturated: int
    halvings: int
    pending: int


@dataclass(frozen=True)
class ClassFigures:
    """Of a class.

    Attributes:
        margins: sum of the margins of all samples answered with it, Q1.14.
        learned: samples learned with this label.
        right: of these, answered with it before they were learned.
        answered: samples answered with it.
        recent: mean margin of the last of these, Q1.14 times 2^16.
    """

    margins: int
    learned: int
    right: int
    answered: int
    recent: int

    @property
    def confidence(self) -> float | None:
        """Mean margin of the samples answered with it; None: there are none."""
        return self.margins / self.answered / ONE_Q14 if self.answered else None

    @property
    def drift(self) -> float | None:
        """How much more confident its last answers were than all; None: there are none."""
        confidence = self.confidence
        return None if confidence is None else self.recent / (ONE_Q14 << 16) - confidence


@dataclass(frozen=True)
class KnownClass:
    """What a device knows of a class, where classes come and go.

    Attributes:
        seen: samples of it that were taught, on the device or before.
    """

    seen: int
    is_active: bool


@dataclass(frozen=True)
class Asked:
    """The answer to a sample by early exit, and whether its label is worth to ask for."""

    answer: EarlyAnswer
    wants_label: bool


@dataclass(frozen=True)
class Statistics:
    """Figures of learning since the start or the last reset; part of a saved state.

    Attributes:
        updates: layers updated, over all samples.
        skipped: layers that had nothing to learn from a sample.
        clipped: update multipliers that did not fit 16 bits.
        halvings: times a layer's weights were halved.
        silent: times a layer had no activation.
        unknown: samples that early exit rejected.
    """

    updates: int
    skipped: int
    clipped: int
    halvings: int
    silent: int
    unknown: int
    layers: tuple[LayerFigures, ...]
    classes: tuple[ClassFigures, ...]


@dataclass(frozen=True)
class Rate:
    """A layer's learning rate in its own units: mantissa * 2^-shift."""

    mantissa: int
    shift: int


@dataclass(frozen=True)
class Thresholds:
    """A layer's thresholds, Q1.14; 0: none.

    Attributes:
        exit_margin: from which early exit answers here.
        reject_cosine: below which its answer here is unknown.
    """

    exit_margin: int
    reject_cosine: int


@dataclass(frozen=True)
class GuardFigures:
    """The guard's look at its samples.

    Attributes:
        samples: that it has; 0: the model has no guard.
        right: of them, now.
        baseline: that were right at the last checkpoint, or as it started without one.
        drop: by which it goes back.
        interval: samples learned between two looks.
        times_back: how often it went back.
    """

    samples: int
    right: int
    baseline: int
    drop: int
    interval: int
    times_back: int


def parse_info(body: bytes) -> Info:
    """Body of INFO.

    Raises:
        ProtocolError: it is too short, or has values that no device has.
    """
    version, flags, layers, inputs, classes, digest, arena = unpack("<BBHIIII", body[:20])
    if version != PROTOCOL_VERSION:  # what follows may be anything
        raise ProtocolError(
            f"the device speaks version {version} of the protocol, and this program version "
            f"{PROTOCOL_VERSION}",
            mend="generate, build and flash the firmware again",
        )
    abilities, start, data_bytes = unpack("<BBH", body[20:24])
    try:
        found, name = StoreStatus(start), body[24:].decode("ascii")
    except ValueError as error:
        raise ProtocolError(f"the device describes itself in no sensible way: {error}") from error
    return Info(
        protocol_version=version,
        flags=flags,
        layers=layers,
        inputs=inputs,
        classes=classes,
        digest=digest,
        arena_bytes=arena,
        can_save=bool(abilities & 1),
        can_checkpoint=bool(abilities & 2),
        has_guard=bool(abilities & 4),
        is_frozen=bool(abilities & 8),
        start=found,
        data_bytes=data_bytes,
        name=name,
    )


def parse_exits(body: bytes, classes: int) -> tuple[ExitAnswer, ...]:
    """Body of INFER: one answer per exit."""
    kind = np.dtype([("head", "<u2"), ("cosine", "<i2"), ("margin", "<i2"), ("s", "<i4", classes)])
    if not body or len(body) % kind.itemsize:
        raise ProtocolError(f"an answer of {len(body)} bytes does not hold exits of the model")
    return tuple(
        ExitAnswer(int(label), int(cosine), int(margin), scores.astype(np.int64))
        for label, cosine, margin, scores in np.frombuffer(body, kind)
    )


def parse_prediction(body: bytes) -> Prediction:
    """Body of INFER_LAST."""
    return Prediction(*unpack("<Hhh", body))


def parse_early(body: bytes) -> EarlyAnswer:
    """Body of INFER_EARLY."""
    label, cosine, margin, exit_ = unpack("<HhhH", body)
    return EarlyAnswer(label, exit_, cosine, margin)


def parse_learned(body: bytes) -> Learned:
    """Body of LEARN."""
    digest = None
    if len(body) == 12:
        (digest,) = unpack("<I", body[8:])
        body = body[:8]
    (guard,) = unpack("<H", body[6:])
    prediction = parse_prediction(body[:6])
    if guard == NOT_LOOKED:
        return Learned(prediction, digest)
    return Learned(prediction, digest, guard & ~WENT_BACK, bool(guard & WENT_BACK))


def parse_layer_part(body: bytes) -> LayerPart:
    """Body of STATE."""
    weight_bytes, updates, halvings, pending = unpack("<IIII", body[:16])
    return LayerPart(weight_bytes, updates, halvings, pending, body[16:])


def parse_counters(body: bytes) -> Counters:
    """Body of COUNTERS."""
    return Counters(*unpack("<IIIIII", body))


def parse_saved(body: bytes) -> Saved:
    """Body of SAVE, LOAD, CHECKPOINT, ROLLBACK, IMPORT_END."""
    return Saved(*unpack("<II", body))


def parse_store(body: bytes) -> Store:
    """Body of STORE."""
    status, saves, size, slot = unpack("<IIII", body)
    try:
        return Store(StoreStatus(status), saves, size, slot)
    except ValueError as error:
        raise ProtocolError(f"an answer has the unknown status {status} of a store") from error


def parse_statistics(body: bytes, layers: int, classes: int) -> Statistics:
    """Body of STATISTICS."""
    layer, class_ = struct.Struct("<III"), struct.Struct("<qIIIi")
    of_layers, of_classes = layer.size * layers, class_.size * classes
    if len(body) != 24 + of_layers + of_classes:
        raise ProtocolError(f"an answer of {len(body)} bytes does not hold the model's statistics")
    updates, skipped, clipped, halvings, silent, unknown = unpack("<6I", body[:24])
    return Statistics(
        updates,
        skipped,
        clipped,
        halvings,
        silent,
        unknown,
        tuple(LayerFigures(*one) for one in layer.iter_unpack(body[24 : 24 + of_layers])),
        tuple(ClassFigures(*one) for one in class_.iter_unpack(body[24 + of_layers :])),
    )


def parse_classes(body: bytes) -> tuple[KnownClass, ...]:
    """Body of CLASSES."""
    words = unpack(f"<{len(body) // 4}I", body)
    pairs = zip(words[::2], words[1::2], strict=False)
    return tuple(KnownClass(seen, bool(is_active)) for seen, is_active in pairs)


def parse_asked(body: bytes) -> Asked:
    """Body of ASK."""
    return Asked(parse_early(body[:8]), bool(unpack("<H", body[8:])[0]))


def parse_label(body: bytes) -> int:
    """Body of ADD_CLASS."""
    return unpack("<H", body)[0]


def parse_name(body: bytes) -> str | None:
    """Body of NAME; None: the device was told none."""
    if len(body) != NAME_BYTES:
        raise ProtocolError(f"a name is {NAME_BYTES} bytes, not {len(body)}")
    return body.rstrip(b"\0").decode(errors="replace") or None


def parse_rate(body: bytes) -> Rate:
    """Body of RATE."""
    return Rate(*unpack("<Hh", body))


def parse_thresholds(body: bytes) -> Thresholds:
    """Body of THRESHOLDS."""
    return Thresholds(*unpack("<hh", body))


def parse_guard(body: bytes) -> GuardFigures:
    """Body of GUARD."""
    return GuardFigures(*unpack("<6H", body))


def unpack(layout: str, body: bytes) -> tuple[int, ...]:
    """The numbers of a body that holds nothing else.

    Raises:
        ProtocolError: it has another length.
    """
    try:
        return struct.unpack(layout, body)
    except struct.error as error:
        raise ProtocolError(f"an answer has a wrong length: {error}") from error
