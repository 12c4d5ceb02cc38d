"""The firmware's protocol (docs/protocol.md) as the host sees it: bytes and their meaning."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from cobs import cobs

from spela_mcu.device.fault import describe_fault
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.early_exit import EarlyAnswer
from spela_mcu.fixed_point.network import ExitAnswer

PROTOCOL_VERSION = 1
CRC_BYTES = 4
LEARN_FLAG_DIGEST = 1


class Command(IntEnum):
    """The first byte of every request and answer."""

    NONE = 0
    INFO = 1
    INFER = 2
    INFER_LAST = 3
    LEARN = 4
    STATE = 5
    COUNTERS = 6
    RESET = 7
    INFER_EARLY = 8
    FLUSH = 9
    FEATURES = 10
    RECALL = 11
    FAULT = 127


class Status(IntEnum):
    """The second byte of every answer: spela_status_t below 128, the protocol's own from 128."""

    OK = 0
    ERROR_ARGUMENT = 1
    ERROR_SIZE = 2
    ERROR_LABEL = 3
    ERROR_ARENA = 4
    ERROR_MODEL = 5
    ERROR_READ_ONLY = 6
    ERROR_SELFTEST = 7
    MALFORMED = 128
    DAMAGED = 129
    OVERLONG = 130
    UNKNOWN = 131
    LENGTH = 132
    RANGE = 133
    FAULT = 255


_MEANING = {
    Status.ERROR_ARGUMENT: "there is no such exit or layer",
    Status.ERROR_SIZE: "the sample has another length than the model's inputs",
    Status.ERROR_LABEL: "the label is not below the model's number of classes",
    Status.ERROR_ARENA: "the arena is too small",
    Status.ERROR_MODEL: "the build cannot run the model",
    Status.ERROR_READ_ONLY: "the model was generated for inference only",
    Status.ERROR_SELFTEST: "the runtime computes something else than the model's vectors say",
    Status.MALFORMED: "the frame is malformed",
    Status.DAMAGED: "the frame's CRC is wrong",
    Status.OVERLONG: "the frame is longer than any request",
    Status.UNKNOWN: "there is no such command",
    Status.LENGTH: "the request has a wrong length",
    Status.RANGE: "offset and length reach beyond the layer's weights",
}


class ProtocolError(UserError):
    """What came back is not an answer of the protocol."""


class DeviceError(UserError):
    """The device refused a request.

    Attributes:
        command: what was asked.
        status: the answer.
    """

    def __init__(self, command: Command, status: Status) -> None:
        super().__init__(f"the device refused {command.name}: {_MEANING[status]}")
        self.command = command
        self.status = status


class DeviceFaultError(UserError):
    """The device's core took a fault and stopped.

    Attributes:
        cfsr, hfsr, mmfar, bfar: fault status and address registers (0 on ARMv6-M).
        pc, lr, xpsr: where it happened; None if the stack had overflowed.
    """

    def __init__(self, body: bytes) -> None:
        words = [word for (word,) in struct.iter_unpack("<I", body[: len(body) // 4 * 4])]
        self.cfsr, self.hfsr, self.mmfar, self.bfar = (words + [0] * 4)[:4]
        stacked: list[int | None] = [*words[4:7], None, None, None]
        self.pc, self.lr, self.xpsr = stacked[:3]
        place = "with an overflowed stack" if self.pc is None else f"at 0x{self.pc:08x}"
        causes = describe_fault(self.cfsr, self.hfsr, self.mmfar, self.bfar)
        super().__init__(
            f"the device's core took a fault {place}: {causes}",
            mend="reset the device; the .map file beside the ELF tells what lies at an address",
        )


@dataclass(frozen=True)
class Info:
    """What a device runs."""

    protocol_version: int
    flags: int
    layers: int
    inputs: int
    classes: int
    digest: int
    arena_bytes: int
    name: str


@dataclass(frozen=True)
class Prediction:
    """The last exit's answer to a sample; cosine and margin are Q1.14."""

    label: int
    cosine: int
    margin: int


@dataclass(frozen=True)
class Learned:
    """Answer to a labelled sample: what was predicted before, and the state's digest after."""

    prediction: Prediction
    digest: int | None


@dataclass(frozen=True)
class LayerPart:
    """Part of a layer's state; `weight_bytes` is the whole layer's, `data` what was asked for."""

    weight_bytes: int
    updates: int
    halvings: int
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


def encode_frame(payload: bytes) -> bytes:
    """A payload as sent over the line: CRC-32 appended, COBS-encoded, ended by a zero byte."""
    crc = zlib.crc32(payload).to_bytes(CRC_BYTES, "little")
    return bytes(cobs.encode(payload + crc)) + b"\0"


def decode_frame(frame: bytes) -> bytes:
    """The payload of one frame, without its zero byte.

    Raises:
        ProtocolError: the frame is malformed, or its CRC is wrong.
    """
    try:
        data = bytes(cobs.decode(frame))
    except cobs.DecodeError as error:
        raise ProtocolError(f"a frame from the device is malformed: {error}") from error
    payload, crc = data[:-CRC_BYTES], data[-CRC_BYTES:]
    if len(data) < CRC_BYTES or zlib.crc32(payload).to_bytes(CRC_BYTES, "little") != crc:
        raise ProtocolError("a frame from the device was damaged on the line (its CRC is wrong)")
    return payload


def request(command: Command, *, flags: int = 0, argument: int = 0, data: bytes = b"") -> bytes:
    """The payload of a request."""
    return struct.pack("<BBH", command, flags, argument) + data


def parse_answer(payload: bytes) -> tuple[int, Status, bytes]:
    """Command, status and body of an answer.

    Raises:
        ProtocolError: it is too short, or its status is not one of the protocol's.
    """
    if len(payload) < 2:
        raise ProtocolError("an answer from the device is too short")
    try:
        return payload[0], Status(payload[1]), payload[2:]
    except ValueError as error:
        raise ProtocolError(f"an answer has the unknown status {payload[1]}") from error


def parse_info(body: bytes) -> Info:
    """Body of INFO."""
    version, flags, layers, inputs, classes, digest, arena = _unpack("<BBHIIII", body[:20])
    return Info(version, flags, layers, inputs, classes, digest, arena, body[20:].decode())


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
    return Prediction(*_unpack("<Hhh", body))


def parse_early(body: bytes) -> EarlyAnswer:
    """Body of INFER_EARLY."""
    label, cosine, margin, exit_ = _unpack("<HhhH", body)
    return EarlyAnswer(label, exit_, cosine, margin)


def parse_learned(body: bytes) -> Learned:
    """Body of LEARN."""
    digest = None
    if len(body) == 10:
        (digest,) = _unpack("<I", body[6:])
    return Learned(parse_prediction(body[:6]), digest)


def parse_layer_part(body: bytes) -> LayerPart:
    """Body of STATE."""
    weight_bytes, updates, halvings = _unpack("<III", body[:12])
    return LayerPart(weight_bytes, updates, halvings, body[12:])


def parse_counters(body: bytes) -> Counters:
    """Body of COUNTERS."""
    return Counters(*_unpack("<IIIIII", body))


def _unpack(layout: str, body: bytes) -> tuple[int, ...]:
    try:
        return struct.unpack(layout, body)
    except struct.error as error:
        raise ProtocolError(f"an answer has a wrong length: {error}") from error
