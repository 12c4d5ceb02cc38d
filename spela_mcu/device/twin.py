"""A device in Python: docs/protocol.md once more, with the integer network in place of the chip's.

What it answers to any stream of frames is, in every bit, what the firmware answers. Tests compare
the two; a host can be tried on it without a simulator.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import astuple, dataclass

import numpy as np
from cobs import cobs

from spela_mcu.device.protocol import (
    CHANGES,
    CRC_BYTES,
    LEARN_FLAG_DIGEST,
    PROTOCOL_VERSION,
    REQUEST_HEAD_BYTES,
    WITHOUT_DATA,
    Command,
    Status,
    encode_frame,
)
from spela_mcu.firmware.model import ModelSource
from spela_mcu.fixed_point.early_exit import infer_early
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.store.payload import learned_state

DATA_BYTES_MIN = 64
LABEL_MAX = 0xFFFF


@dataclass(frozen=True)
class _Request:
    command: int
    flags: int
    number: int
    argument: int
    data: bytes


class _RefusedError(Exception):
    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


class Twin:
    """A device without a backbone; a transport for `Device`.

    Args:
        network: what it serves; it learns.
        source: the model's facts, as the firmware has them.
        inference_only: whether its firmware can learn.
    """

    def __init__(
        self, network: IntegerNetwork, source: ModelSource, *, inference_only: bool = False
    ) -> None:
        self.network = network
        self._source = source
        self._inference_only = inference_only
        self._received = b""
        self._last: tuple[int, int, bytes | None] | None = None
        self._is_repeated = False

    @property
    def data_bytes(self) -> int:
        """The most data of a request."""
        return max(self._source.inputs, DATA_BYTES_MIN)

    def exchange(self, request: bytes) -> bytes:
        """Takes bytes from the line; returns the answers to the frames that end in them."""
        *frames, self._received = (self._received + request).split(b"\0")
        return b"".join(encode_frame(self.answer(frame)) for frame in frames if frame)

    def answer(self, frame: bytes) -> bytes:
        """The payload that answers a frame (without its zero byte, not empty)."""
        data, missing = _decoded(frame)
        if len(data) > REQUEST_HEAD_BYTES + self.data_bytes + CRC_BYTES:
            return _answer(Command.NONE, Status.OVERLONG, 0)
        if missing or len(data) < CRC_BYTES:
            return _answer(Command.NONE, Status.MALFORMED, 0)
        payload, crc = data[:-CRC_BYTES], data[-CRC_BYTES:]
        if zlib.crc32(payload).to_bytes(CRC_BYTES, "little") != crc:
            return _answer(Command.NONE, Status.DAMAGED, 0)
        return self._answer_payload(payload, int.from_bytes(crc, "little"))

    def _answer_payload(self, payload: bytes, crc: int) -> bytes:
        if len(payload) < REQUEST_HEAD_BYTES:
            return _answer(payload[0] if payload else Command.NONE, Status.LENGTH, 0)
        command, flags, number, argument = struct.unpack("<BBHI", payload[:REQUEST_HEAD_BYTES])
        asked = _Request(command, flags, number, argument, payload[REQUEST_HEAD_BYTES:])
        self._is_repeated = self._last is not None and self._last[:2] == (asked.number, crc)
        if self._is_repeated and self._last is not None and self._last[2] is not None:
            return self._last[2]
        self._last = (asked.number, crc, None)
        try:
            body = self._do(asked)
            answer = _answer(asked.command, Status.OK, asked.number, body)
        except _RefusedError as refused:
            answer = _answer(asked.command, refused.status, asked.number)
        if asked.command in CHANGES:
            self._last = (asked.number, crc, answer)
        return answer

    def _do(self, asked: _Request) -> bytes:
        commands = {
            Command.INFO: self._info,
            Command.INFER: self._infer,
            Command.INFER_LAST: self._infer_last,
            Command.LEARN: self._learn,
            Command.STATE: self._state,
            Command.COUNTERS: self._counters,
            Command.RESET: self._reset,
            Command.INFER_EARLY: self._infer_early,
            Command.FLUSH: self._flush,
        }
        if asked.command not in commands:
            raise _RefusedError(Status.UNKNOWN)
        if asked.command in WITHOUT_DATA and asked.data:
            raise _RefusedError(Status.LENGTH)
        return commands[Command(asked.command)](asked)

    # ---------------------------------------------------------- inference and learning

    def _info(self, asked: _Request) -> bytes:
        source, plan = self._source, self.network.plan
        flags = (
            1 * (plan.weights == "int16")
            | 2 * (plan.rounding == "nearest")
            | 4 * self._inference_only
            | 8 * plan.bias
            | 16 * plan.weight_decay
        )
        head = (PROTOCOL_VERSION, flags, source.layers, source.inputs, source.classes)
        return (
            struct.pack("<BBHIIII", *head, source.digest, source.arena_bytes)
            + struct.pack("<BBH", 0, 1, self.data_bytes)
            + source.name.encode()
        )

    def _sample(self, asked: _Request) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        if len(asked.data) != self._source.inputs:
            raise _RefusedError(Status.ERROR_SIZE)
        return np.frombuffer(asked.data, np.int8)

    def _infer(self, asked: _Request) -> bytes:
        return b"".join(
            struct.pack("<Hhh", exit_.label, exit_.cosine, exit_.margin)
            + exit_.scores.astype("<i4").tobytes()
            for exit_ in self.network.infer(self._sample(asked))
        )

    def _infer_last(self, asked: _Request) -> bytes:
        last = self.network.infer(self._sample(asked))[-1]
        return struct.pack("<Hhh", last.label, last.cosine, last.margin)

    def _infer_early(self, asked: _Request) -> bytes:
        said = infer_early(self.network, self._sample(asked))
        return struct.pack("<HhhH", said.label, said.cosine, said.margin, said.exit)

    def _learn(self, asked: _Request) -> bytes:
        if self._inference_only:
            raise _RefusedError(Status.ERROR_READ_ONLY)
        sample = self._sample(asked)
        if asked.argument >= self._source.classes:
            raise _RefusedError(Status.ERROR_LABEL)
        said = self.network.learn_answering(sample, asked.argument)
        body = struct.pack("<HhhH", said.label, said.cosine, said.margin, LABEL_MAX)
        if asked.flags & LEARN_FLAG_DIGEST:
            body += struct.pack("<I", self.network.digest())
        return body

    def _state(self, asked: _Request) -> bytes:
        if len(asked.data) != 8:
            raise _RefusedError(Status.LENGTH)
        if asked.argument >= self._source.layers:
            raise _RefusedError(Status.ERROR_ARGUMENT)
        offset, length = struct.unpack("<II", asked.data)
        weights = self.network.packed_weights(asked.argument)
        layer = self.network.layers[asked.argument]
        if offset + length > len(weights):
            raise _RefusedError(Status.RANGE)
        head = (len(weights), layer.updates, layer.halvings, len(layer.pending))
        return struct.pack("<IIII", *head) + weights[offset : offset + length]

    def _counters(self, asked: _Request) -> bytes:
        counters = learned_state(self.network).counters
        return struct.pack("<IIIIII", *astuple(counters), self.network.digest())

    def _reset(self, asked: _Request) -> bytes:
        self.network.reset()
        return b""

    def _flush(self, asked: _Request) -> bytes:
        self.network.flush()
        return b""


def _answer(command: int, status: Status, number: int, body: bytes = b"") -> bytes:
    return struct.pack("<BBH", command, status, number) + body


def _decoded(frame: bytes) -> tuple[bytes, int]:
    """What a device decodes, and how many bytes a cut block lacks, which are zeros here."""
    for missing in range(255):
        try:
            data = bytes(cobs.decode(frame + b"\1" * missing))
        except cobs.DecodeError:
            continue
        return data[: len(data) - missing], missing
    raise AssertionError("254 bytes complete any block")
