"""Frames and requests: who answers a command, and what is answered again."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from cobs import cobs

from spela_mcu.device.kept import Kept
from spela_mcu.device.protocol import (
    CHANGES,
    CRC_BYTES,
    REQUEST_HEAD_BYTES,
    WITHOUT_DATA,
    Command,
    Status,
    encode_frame,
)
from spela_mcu.device.twin import classes, front_end, guard, network, settings, state
from spela_mcu.device.twin.application import Application, Flash, RefusedError, Request
from spela_mcu.firmware.guard import GuardSamples
from spela_mcu.firmware.model import ModelSource
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.front_end.stream import Stream

Answerer = Callable[[Application, Request], bytes]
"""From a request to the body of its answer; raises `RefusedError`."""

COMMANDS: dict[Command, Answerer] = {
    Command.INFO: network.info,
    Command.INFER: network.infer,
    Command.INFER_LAST: network.infer_last,
    Command.LEARN: network.learn,
    Command.STATE: network.weights,
    Command.COUNTERS: network.counters,
    Command.RESET: state.reset,
    Command.INFER_EARLY: network.infer_with_exits,
    Command.FLUSH: network.flush,
    Command.SAVE: state.save,
    Command.LOAD: state.load,
    Command.CHECKPOINT: state.save,
    Command.ROLLBACK: state.load,
    Command.STORE: state.store,
    Command.EXPORT: state.export,
    Command.IMPORT_START: state.import_start,
    Command.IMPORT_PART: state.import_part,
    Command.IMPORT_END: state.import_end,
    Command.STATISTICS: settings.statistics,
    Command.NAME: settings.name,
    Command.FORGET: classes.forget_none,
    Command.FREEZE: settings.freeze,
    Command.RATE: settings.rate,
    Command.THRESHOLDS: settings.thresholds,
    Command.GUARD: guard.answer,
    Command.PUSH: front_end.push,
    Command.SAMPLE: front_end.sample,
}
COMMANDS_OF_CLASSES: dict[Command, Answerer] = {
    Command.FORGET: classes.forget,
    Command.ADD_CLASS: classes.add,
    Command.CLASSES: classes.classes,
    Command.REHEARSE: classes.rehearse,
    Command.ASK: network.infer_with_exits,
}
"""Of a device whose classes come and go."""


class Twin:
    """A device without a backbone; a transport for `Device`.

    Args:
        network: what it serves; it learns.
        source: the model's facts, as the firmware has them.
        inference_only: whether its firmware cannot learn.
        flash: the states that its board keeps; None: it keeps none. It goes on with what is there.
        guard: what its guard works with; None: it has none.
    """

    def __init__(
        self,
        network: IntegerNetwork,
        source: ModelSource,
        *,
        inference_only: bool = False,
        flash: Flash | None = None,
        guard: GuardSamples | None = None,
    ) -> None:
        self._device = Application(
            network,
            source,
            network.plan,
            Kept.of(network.plan),
            inference_only,
            flash,
            None if inference_only else guard,
            None if network.plan.front_end is None else Stream(network.plan.front_end),
        )
        self._commands = dict(COMMANDS)
        if network.plan.continual is not None:
            self._commands |= COMMANDS_OF_CLASSES
        self._received = b""
        self._last: tuple[int, int, bytes | None] | None = None
        state.start(self._device)

    def exchange(self, request: bytes) -> bytes:
        """Takes bytes from the line; returns the answers to the frames that end in them."""
        *frames, self._received = (self._received + request).split(b"\0")
        return b"".join(encode_frame(self.answer(frame)) for frame in frames if frame)

    def answer(self, frame: bytes) -> bytes:
        """The payload that answers a frame (without its zero byte, not empty)."""
        data, missing = _decoded(frame)
        if len(data) > REQUEST_HEAD_BYTES + self._device.data_bytes + CRC_BYTES:
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
        is_repeated = self._last is not None and self._last[:2] == (number, crc)
        if is_repeated and self._last is not None and self._last[2] is not None:
            return self._last[2]
        data = payload[REQUEST_HEAD_BYTES:]
        asked = Request(command, flags, number, argument, data, is_repeated)
        self._last = (number, crc, None)
        try:
            body = self._do(asked)
            answer = _answer(command, Status.OK, number, body)
        except RefusedError as refused:
            answer = _answer(command, refused.status, number)
        if command in CHANGES:
            self._last = (number, crc, answer)
        return answer

    def _do(self, asked: Request) -> bytes:
        if asked.command not in self._commands:
            raise RefusedError(Status.UNKNOWN)
        if asked.command in WITHOUT_DATA and asked.data:
            raise RefusedError(Status.LENGTH)
        asked = front_end.with_sample(self._device, asked)
        return self._commands[Command(asked.command)](self._device, asked)


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
