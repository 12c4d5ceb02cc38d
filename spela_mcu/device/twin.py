"""A device in Python: docs/protocol.md once more, with the integer network in place of the chip's.

What it answers to any stream of frames is, in every bit, what the firmware answers. Tests compare
the two; a host can be tried on it without a simulator.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import astuple, dataclass, replace

import numpy as np
from cobs import cobs

from spela_mcu.device.answers import (
    NAME_BYTES,
    ClassFigures,
    StoreStatus,
    parse_rate,
    parse_thresholds,
)
from spela_mcu.device.kept import NO_BASELINE, Kept
from spela_mcu.device.protocol import (
    CHANGES,
    CRC_BYTES,
    LEARN_FLAG_DIGEST,
    PROTOCOL_VERSION,
    REHEARSED_MAX,
    REQUEST_HEAD_BYTES,
    WITHOUT_DATA,
    Command,
    Status,
    encode_frame,
)
from spela_mcu.errors import UserError
from spela_mcu.firmware.guard import GuardSamples
from spela_mcu.firmware.model import ModelSource
from spela_mcu.firmware.store import STATES
from spela_mcu.fixed_point.arithmetic import ONE_Q14
from spela_mcu.fixed_point.early_exit import infer_early
from spela_mcu.fixed_point.network import COUNTER_MAX, IntegerNetwork
from spela_mcu.store.payload import (
    COMPANION,
    Counters,
    OtherFormatError,
    Section,
    learned_state,
    read_companion,
    read_payload,
    restore,
    write_payload,
)
from spela_mcu.store.slots import overhead_bytes

DATA_BYTES_MIN = 64
NOT_LOOKED, WENT_BACK = 0xFFFF, 0x8000
"""What LEARN says if the guard did not look, and what it adds if the guard went back."""


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
class _Import:
    size: int
    crc: int
    payload: bytes = b""


class Twin:
    """A device without a backbone; a transport for `Device`.

    Args:
        network: what it serves; it learns.
        source: the model's facts, as the firmware has them.
        inference_only: whether its firmware can learn.
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
        self.network = network
        self.kept = Kept.of(network.plan)
        self._factory = network.plan
        self._source = source
        self._inference_only = inference_only
        self._flash = flash
        self._guard = None if inference_only else guard
        self._import: _Import | None = None
        self._received = b""
        self._last: tuple[int, int, bytes | None] | None = None
        self._is_repeated = False
        self._before = Counters()
        self._found = StoreStatus.EMPTY
        if flash is not None:
            self._found = self._start()
        self._set_baseline()

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
            Command.SAVE: self._save,
            Command.LOAD: self._load,
            Command.CHECKPOINT: self._save,
            Command.ROLLBACK: self._load,
            Command.STORE: self._store,
            Command.EXPORT: self._export,
            Command.IMPORT_START: self._import_start,
            Command.IMPORT_PART: self._import_part,
            Command.IMPORT_END: self._import_end,
            Command.STATISTICS: self._statistics,
            Command.NAME: self._name,
            Command.FORGET: self._unsupported,
            Command.FREEZE: self._freeze,
            Command.RATE: self._rate,
            Command.THRESHOLDS: self._thresholds,
            Command.GUARD: self._answer_guard,
        }
        if self.network.plan.continual is not None:
            commands |= {
                Command.FORGET: self._forget,
                Command.ADD_CLASS: self._add_class,
                Command.CLASSES: self._classes,
                Command.REHEARSE: self._rehearse,
                Command.ASK: self._answer_ask,
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
            + struct.pack("<BBH", self._abilities(), self._found, self.data_bytes)
            + source.name.encode()
        )

    def _sample(self, asked: _Request) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        if len(asked.data) != self._source.inputs:
            raise _RefusedError(Status.ERROR_SIZE)
        return np.frombuffer(asked.data, np.int8)

    def _count(self, label: int, margin: int) -> None:
        if not self._is_repeated:
            self.kept.count_answer(label, margin)

    def _infer(self, asked: _Request) -> bytes:
        answers = self.network.infer(self._sample(asked))
        self._count(answers[-1].label, answers[-1].margin)
        return b"".join(
            struct.pack("<Hhh", exit_.label, exit_.cosine, exit_.margin)
            + exit_.scores.astype("<i4").tobytes()
            for exit_ in answers
        )

    def _infer_last(self, asked: _Request) -> bytes:
        last = self.network.infer(self._sample(asked))[-1]
        self._count(last.label, last.margin)
        return struct.pack("<Hhh", last.label, last.cosine, last.margin)

    def _infer_early(self, asked: _Request) -> bytes:
        said = infer_early(self.network, self._sample(asked))
        self._count(said.label, said.margin)
        return struct.pack("<HhhH", said.label, said.cosine, said.margin, said.exit)

    def _learn(self, asked: _Request) -> bytes:
        if self._inference_only:
            raise _RefusedError(Status.ERROR_READ_ONLY)
        if self.kept.is_frozen:
            raise _RefusedError(Status.FROZEN)
        sample = self._sample(asked)
        if asked.argument >= self._source.classes:
            raise _RefusedError(Status.ERROR_LABEL)
        said = self.network.learn_answering(sample, asked.argument)
        self.kept.count_learned(asked.argument, is_right=said.label == asked.argument)
        self._count(said.label, said.margin)
        body = struct.pack("<HhhH", said.label, said.cosine, said.margin, self._count_for_guard())
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

    @property
    def counters(self) -> Counters:
        """The network's, which go on through a save and a load."""
        now, before = learned_state(self.network).counters, self._before
        return replace(
            now,
            layer_updates=now.layer_updates + before.layer_updates,
            multipliers_clipped=now.multipliers_clipped + before.multipliers_clipped,
            silent=now.silent + before.silent,
        )

    def _counters(self, asked: _Request) -> bytes:
        return struct.pack("<IIIIII", *astuple(self.counters), self.network.digest())

    def _reset(self, asked: _Request) -> bytes:
        self.network.reset()
        self._before = Counters()
        self._keep(Kept.of(self._factory))
        return b""

    def _flush(self, asked: _Request) -> bytes:
        self.network.flush()
        return b""

    # ------------------------------------------------------------------- saved states

    def _start(self) -> StoreStatus:
        status = StoreStatus.EMPTY
        if self._flash is not None and self._flash.states[0].payload is not None:
            status = StoreStatus.OK
            self._take(self._flash.states[0].payload)
        return status

    def _abilities(self) -> int:
        states = 0 if self._flash is None else len(self._flash.states)
        return (
            (states >= 1)
            | 2 * (states >= 2)
            | 4 * (self._guard is not None)
            | 8 * self.kept.is_frozen
        )

    def _keep(self, kept: Kept) -> None:
        self.kept = kept
        self.network.plan = kept.applied(self._factory)
        self._set_baseline()

    def _set_baseline(self) -> None:
        tag = 0 if self._guard is None else self._guard.tag
        if self.kept.baseline == NO_BASELINE or self.kept.guard != tag:
            self.kept.baseline, self.kept.guard = self._look(), tag

    def _payload(self) -> bytes:
        state = replace(learned_state(self.network), counters=self.counters)
        companion = Section(COMPANION, 0, self.kept.to_bytes())
        return write_payload(self._factory, state) + companion.to_bytes()

    def _take(self, payload: bytes) -> None:
        """Goes on with a state that is known to be whole."""
        state, companion = read_payload(self._factory, payload), read_companion(payload)
        restore(self.network, state)
        self._before = state.counters
        kept = replace(self.kept, baseline=NO_BASELINE)
        if companion is not None and len(companion) == len(kept.to_bytes()):
            kept = Kept.from_bytes(self._factory, companion)
        self._keep(kept)

    def _flash_state(self, index: int) -> State:
        if self._inference_only:
            raise _RefusedError(Status.ERROR_READ_ONLY)
        if self._flash is None or index >= len(self._flash.states):
            raise _RefusedError(Status.NO_STORE)
        return self._flash.states[index]

    def _asked_state(self, asked: _Request) -> State:
        checkpoints = (Command.CHECKPOINT, Command.ROLLBACK)
        return self._flash_state(int(asked.command in checkpoints))

    def _replace(self, state: State, payload: bytes) -> None:
        state.payload, state.saves = payload, (state.saves + 1) & COUNTER_MAX

    def _saved(self, state: State) -> bytes:
        return struct.pack("<II", state.saves, len(state.payload or b""))

    def _save(self, asked: _Request) -> bytes:
        state = self._asked_state(asked)
        if asked.command == Command.SAVE:
            self._import = None
        else:
            self.kept.baseline = NO_BASELINE
            self._set_baseline()
        self._replace(state, self._payload())
        return self._saved(state)

    def _load(self, asked: _Request) -> bytes:
        state = self._asked_state(asked)
        if asked.command == Command.LOAD:
            self._import = None
        if state.payload is None:
            raise _RefusedError(Status.STORE_EMPTY)
        self._take(state.payload)
        return self._saved(state)

    def _store(self, asked: _Request) -> bytes:
        if self._inference_only:
            raise _RefusedError(Status.ERROR_READ_ONLY)
        if asked.argument >= len(STATES):
            raise _RefusedError(Status.ERROR_ARGUMENT)
        state = self._flash_state(asked.argument)
        assert self._flash is not None
        if asked.argument == 0:
            self._import = None
        status = StoreStatus.EMPTY if state.payload is None else StoreStatus.OK
        return (
            struct.pack("<I", status)
            + self._saved(state)
            + struct.pack("<I", self._flash.slot_bytes)
        )

    def _export(self, asked: _Request) -> bytes:
        if self._inference_only:
            raise _RefusedError(Status.ERROR_READ_ONLY)
        if len(asked.data) != 4:
            raise _RefusedError(Status.LENGTH)
        payload, length = self._payload(), int.from_bytes(asked.data, "little")
        if asked.argument + length > len(payload):
            raise _RefusedError(Status.RANGE)
        part = payload[asked.argument : asked.argument + length]
        return struct.pack("<I", len(payload)) + part

    def _import_start(self, asked: _Request) -> bytes:
        self._asked_state(asked)
        if len(asked.data) != 8:
            raise _RefusedError(Status.LENGTH)
        model, crc = struct.unpack("<II", asked.data)
        if model != self._source.digest:
            raise _RefusedError(Status.STORE_FOREIGN)
        self._import = None
        if asked.argument == 0:
            raise _RefusedError(Status.STORE_ARGUMENT)
        assert self._flash is not None
        if asked.argument > self._flash.room:
            raise _RefusedError(Status.STORE_SIZE)
        self._import = _Import(asked.argument, crc)
        return b""

    def _import_part(self, asked: _Request) -> bytes:
        self._asked_state(asked)
        if not asked.data:
            raise _RefusedError(Status.LENGTH)
        coming = self._import
        if (
            coming is None
            or asked.argument != len(coming.payload)
            or asked.argument + len(asked.data) > coming.size
        ):
            raise _RefusedError(Status.ORDER)
        coming.payload += asked.data
        return struct.pack("<I", len(coming.payload))

    def _import_end(self, asked: _Request) -> bytes:
        state, coming = self._asked_state(asked), self._import
        if coming is None or len(coming.payload) != coming.size:
            raise _RefusedError(Status.ORDER)
        self._import = None
        if zlib.crc32(coming.payload) != coming.crc:
            raise _RefusedError(Status.STORE_CORRUPT)
        try:
            read_payload(self._factory, coming.payload)
        except OtherFormatError as error:
            raise _RefusedError(Status.STORE_OTHER_FORMAT) from error
        except UserError as error:
            raise _RefusedError(Status.STORE_CORRUPT) from error
        self._replace(state, coming.payload)
        self._take(coming.payload)
        return self._saved(state)

    # --------------------------------------------------------- settings, names, figures

    def _statistics(self, asked: _Request) -> bytes:
        counters, network = self.counters, self.network
        skipped = counters.samples * len(network.layers) - counters.layer_updates
        head = (
            counters.layer_updates,
            min(max(skipped, 0), COUNTER_MAX),
            counters.multipliers_clipped,
            counters.halvings,
            counters.silent,
            self.kept.unknown,
        )
        layers = b"".join(
            struct.pack("<III", network.saturated(index), layer.halvings, len(layer.pending))
            for index, layer in enumerate(network.layers)
        )
        classes = b"".join(struct.pack("<qIIIi", *astuple(one)) for one in self.kept.classes)
        return struct.pack("<6I", *head) + layers + classes

    def _name(self, asked: _Request) -> bytes:
        if asked.argument >= self._source.classes:
            raise _RefusedError(Status.ERROR_ARGUMENT)
        if len(asked.data) > NAME_BYTES:
            raise _RefusedError(Status.LENGTH)
        if asked.data:
            self.kept.names[asked.argument] = asked.data.ljust(NAME_BYTES, b"\0")
        return self.kept.names[asked.argument]

    def _unsupported(self, asked: _Request) -> bytes:
        raise _RefusedError(Status.UNSUPPORTED)

    def _classes(self, asked: _Request) -> bytes:
        return b"".join(struct.pack("<II", one.seen, one.is_active) for one in self.network.classes)

    def _answer_ask(self, asked: _Request) -> bytes:
        said = infer_early(self.network, self._sample(asked))
        self._count(said.label, said.margin)
        wants = self.network.wants_label(said.label, said.margin)
        return struct.pack("<HhhHH", said.label, said.cosine, said.margin, said.exit, wants)

    def _begin(self, label: int, name: bytes = b"") -> None:
        self.kept.names[label] = name.ljust(NAME_BYTES, b"\0")
        self.kept.classes[label] = ClassFigures(0, 0, 0, 0, 0)

    def _check_thawed(self) -> None:
        if self.kept.is_frozen:
            raise _RefusedError(Status.FROZEN)

    def _add_class(self, asked: _Request) -> bytes:
        self._check_thawed()
        if len(asked.data) > NAME_BYTES:
            raise _RefusedError(Status.LENGTH)
        try:
            label = self.network.add_class()
        except ValueError as error:
            raise _RefusedError(Status.ERROR_LABEL) from error
        self._begin(label, asked.data)
        return struct.pack("<H", label)

    def _forget(self, asked: _Request) -> bytes:
        self._check_thawed()
        if asked.data:
            raise _RefusedError(Status.LENGTH)
        try:
            self.network.forget(asked.argument)
        except ValueError as error:
            raise _RefusedError(Status.ERROR_LABEL) from error
        self._begin(asked.argument)
        self.kept.baseline = NO_BASELINE  # the guard has samples of it, maybe
        self._set_baseline()
        return b""

    def _rehearse(self, asked: _Request) -> bytes:
        self._check_thawed()
        if asked.data:
            raise _RefusedError(Status.LENGTH)
        if asked.argument > REHEARSED_MAX:
            raise _RefusedError(Status.ERROR_ARGUMENT)
        try:
            self.network.rehearse(asked.argument)
        except ValueError as error:
            raise _RefusedError(Status.ERROR_LABEL) from error
        return b""

    def _freeze(self, asked: _Request) -> bytes:
        if asked.data:
            raise _RefusedError(Status.LENGTH)
        if asked.argument > 1:
            raise _RefusedError(Status.ERROR_ARGUMENT)
        self.kept.is_frozen = bool(asked.argument)
        return b""

    def _layer(self, asked: _Request) -> int:
        if asked.argument >= self._source.layers:
            raise _RefusedError(Status.ERROR_ARGUMENT)
        if len(asked.data) not in (0, 4):
            raise _RefusedError(Status.LENGTH)
        return asked.argument

    def _rate(self, asked: _Request) -> bytes:
        index = self._layer(asked)
        if asked.data:
            self.kept.rates[index] = parse_rate(asked.data)
            self.network.plan = self.kept.applied(self._factory)
        return struct.pack("<Hh", *astuple(self.kept.rates[index]))

    def _thresholds(self, asked: _Request) -> bytes:
        index = self._layer(asked)
        if asked.data:
            asked_for = parse_thresholds(asked.data)
            if asked_for.exit_margin < 0 or abs(asked_for.reject_cosine) > ONE_Q14:
                raise _RefusedError(Status.ERROR_ARGUMENT)
            self.kept.thresholds[index] = asked_for
            self.network.plan = self.kept.applied(self._factory)
        return struct.pack("<hh", *astuple(self.kept.thresholds[index]))

    # -------------------------------------------------------------------------- guard

    def _look(self) -> int:
        """How many of the guard's samples the network gets right."""
        if self._guard is None:
            return 0
        pairs = zip(self._guard.samples, self._guard.labels.tolist(), strict=True)
        return sum(self.network.infer(sample)[-1].label == label for sample, label in pairs)

    def _count_for_guard(self) -> int:
        if self._guard is None:
            return NOT_LOOKED
        self.kept.since_look += 1
        if self.kept.since_look < self._guard.interval:
            return NOT_LOOKED
        self.kept.since_look = 0
        right = self._look()
        if right + self._guard.drop >= self.kept.baseline:
            return right
        self._go_back()
        return right | WENT_BACK

    def _go_back(self) -> None:
        times = self.kept.times_back
        states = () if self._flash is None else self._flash.states
        if len(states) > 1 and states[1].payload is not None:
            self._take(states[1].payload)
        else:
            self.network.reset()
            self._before = Counters()
            self.kept.baseline = self._look()
        self.kept.times_back = min(times + 1, NOT_LOOKED)
        self.kept.since_look = 0

    def _answer_guard(self, asked: _Request) -> bytes:
        if self._guard is None:
            return bytes(12)
        guard, kept = self._guard, self.kept
        told = (guard.count, self._look(), kept.baseline, guard.drop, guard.interval)
        return struct.pack("<6H", *told, kept.times_back)


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
