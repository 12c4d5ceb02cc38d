"""The firmware's protocol (docs/protocol.md) as the host sees it: bytes and their meaning."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from enum import IntEnum

from cobs import cobs

from spela_mcu.device.fault import read_fault
from spela_mcu.errors import UserError

PROTOCOL_VERSION = 2
CRC_BYTES = 4
REQUEST_HEAD_BYTES = 8
LEARN_FLAG_DIGEST = 1
NUMBERS = 1 << 16
"""A request's number is below this, and wraps around."""

REHEARSED_MAX = 64
"""The most samples that one request has a device rehearse."""


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
    SAVE = 11
    LOAD = 12
    CHECKPOINT = 13
    ROLLBACK = 14
    STORE = 15
    EXPORT = 16
    IMPORT_START = 17
    IMPORT_PART = 18
    IMPORT_END = 19
    STATISTICS = 20
    NAME = 21
    FORGET = 22
    FREEZE = 23
    RATE = 24
    THRESHOLDS = 25
    GUARD = 26
    RECALL = 27
    PUSH = 28
    SAMPLE = 29
    ADD_CLASS = 30
    CLASSES = 31
    REHEARSE = 32
    ASK = 33
    FAULT = 127


class Status(IntEnum):
    """The second byte of every answer.

    spela_status_t below 128, the protocol's own from there, and from 144 a spela_store_status_t.
    """

    OK = 0
    ERROR_ARGUMENT = 1
    ERROR_SIZE = 2
    ERROR_LABEL = 3
    ERROR_ARENA = 4
    ERROR_MODEL = 5
    ERROR_READ_ONLY = 6
    ERROR_SELFTEST = 7
    ERROR_FLASH = 8
    MALFORMED = 128
    DAMAGED = 129
    OVERLONG = 130
    UNKNOWN = 131
    LENGTH = 132
    RANGE = 133
    NO_STORE = 134
    FROZEN = 135
    UNSUPPORTED = 136
    ORDER = 137
    NOT_READY = 138
    STORE_EMPTY = 145
    STORE_CORRUPT = 146
    STORE_FOREIGN = 147
    STORE_OTHER_FORMAT = 148
    STORE_ARGUMENT = 149
    STORE_SIZE = 150
    STORE_FLASH = 151
    FAULT = 255


CHANGES = frozenset(
    {
        *(Command.LEARN, Command.RESET, Command.FLUSH),
        *(Command.SAVE, Command.LOAD, Command.CHECKPOINT, Command.ROLLBACK),
        *(Command.IMPORT_START, Command.IMPORT_PART, Command.IMPORT_END),
        *(Command.NAME, Command.FREEZE, Command.RATE, Command.THRESHOLDS, Command.GUARD),
        Command.PUSH,
        *(Command.ADD_CLASS, Command.FORGET, Command.REHEARSE),
    }
)
"""Commands that change something: a device keeps their last answer and does not do them twice."""

WITHOUT_DATA = frozenset(
    {
        *(Command.INFO, Command.COUNTERS, Command.RESET, Command.FLUSH),
        *(Command.SAVE, Command.LOAD, Command.CHECKPOINT, Command.ROLLBACK, Command.STORE),
        *(Command.IMPORT_END, Command.STATISTICS, Command.GUARD, Command.CLASSES),
    }
)
"""Commands that take no data."""

TAKE_SAMPLE = frozenset(
    {Command.INFER, Command.INFER_LAST, Command.INFER_EARLY, Command.LEARN, Command.ASK}
)
"""Commands that take a sample; one of no values is the front end's."""

_MEANING = {
    Status.ERROR_ARGUMENT: "there is no such exit, layer or class, or the value cannot be",
    Status.ERROR_SIZE: "the sample has another length than the model's inputs",
    Status.ERROR_LABEL: "the label is not below the model's number of classes",
    Status.ERROR_ARENA: "the arena is too small",
    Status.ERROR_MODEL: "the build cannot run the model",
    Status.ERROR_READ_ONLY: "the model was generated for inference only",
    Status.ERROR_SELFTEST: "the runtime computes something else than the model's vectors say",
    Status.ERROR_FLASH: "flash did not keep a sample to rehearse, or did not give one back",
    Status.MALFORMED: "the frame is malformed",
    Status.DAMAGED: "the frame's CRC is wrong",
    Status.OVERLONG: "the frame is longer than any request",
    Status.UNKNOWN: "there is no such command",
    Status.LENGTH: "the request has a wrong length",
    Status.RANGE: "offset and length reach beyond what there is",
    Status.NO_STORE: "the board keeps no such state in flash",
    Status.FROZEN: "learning is frozen",
    Status.UNSUPPORTED: "its firmware cannot do that",
    Status.ORDER: "no import was started, or this part is not the next",
    Status.NOT_READY: "the front end has no complete sample",
    Status.STORE_EMPTY: "nothing was saved",
    Status.STORE_CORRUPT: "it is not a whole state",
    Status.STORE_FOREIGN: "another model has learned that state",
    Status.STORE_OTHER_FORMAT: "the state is in a format that its firmware cannot read",
    Status.STORE_ARGUMENT: "its firmware gives the store a flash that cannot be",
    Status.STORE_SIZE: "the state is larger than the board's slots of flash",
    Status.STORE_FLASH: "flash did not take what it was given",
}


class ProtocolError(UserError):
    """What came back is not an answer of the protocol."""


class DamagedError(ProtocolError):
    """The device could not read what was sent, however often.

    Attributes:
        status: why.
    """

    def __init__(self, status: Status) -> None:
        super().__init__(
            f"the device cannot read what it is sent: {_MEANING[status]}",
            mend="check cable, ground and baud rate of the line",
        )
        self.status = status


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
        fault: what it told of it.
    """

    def __init__(self, body: bytes) -> None:
        self.fault = read_fault(body)
        super().__init__(
            f"the device's core took a fault {self.fault.place}: {self.fault.causes}",
            mend="reset the device; the .map file beside the ELF tells what lies at an address",
        )


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


def request(
    command: Command,
    *,
    flags: int = 0,
    number: int = 0,
    argument: int = 0,
    data: bytes = b"",
) -> bytes:
    """The payload of a request."""
    return struct.pack("<BBHI", command, flags, number, argument) + data


@dataclass(frozen=True)
class Answer:
    """What came back; `number` is that of the request."""

    command: int
    status: Status
    number: int
    body: bytes = field(repr=False)


def parse_answer(payload: bytes) -> Answer:
    """An answer, from the payload of its frame.

    Raises:
        ProtocolError: it is too short, or its status is not one of the protocol's.
    """
    if len(payload) < 4:
        raise ProtocolError("an answer from the device is too short")
    command, status, number = struct.unpack("<BBH", payload[:4])
    try:
        return Answer(command, Status(status), number, payload[4:])
    except ValueError as error:
        raise ProtocolError(f"an answer has the unknown status {status}") from error
