"""A device that serves a network, whatever carries the bytes: a simulator, or a serial port."""

from __future__ import annotations

import secrets
import struct
import zlib
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spela_mcu.data.arguments import class_labels, int8_samples
from spela_mcu.device.answers import (
    NAME_BYTES,
    Asked,
    Counters,
    GuardFigures,
    Info,
    KnownClass,
    LayerPart,
    Learned,
    Prediction,
    Rate,
    Saved,
    Statistics,
    Store,
    Thresholds,
    parse_asked,
    parse_classes,
    parse_counters,
    parse_early,
    parse_exits,
    parse_guard,
    parse_info,
    parse_label,
    parse_layer_part,
    parse_learned,
    parse_name,
    parse_prediction,
    parse_rate,
    parse_saved,
    parse_statistics,
    parse_store,
    parse_thresholds,
    unpack,
)
from spela_mcu.device.protocol import (
    LEARN_FLAG_DIGEST,
    NUMBERS,
    Answer,
    Command,
    DamagedError,
    DeviceError,
    DeviceFaultError,
    ProtocolError,
    Status,
    decode_frame,
    encode_frame,
    parse_answer,
    request,
)
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.early_exit import EarlyAnswer
from spela_mcu.fixed_point.exit_answer import ExitAnswer
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.structures import model_digests
from spela_mcu.store.payload import learned_state, read_payload, restore, write_payload

SAME_SAMPLE: Final = np.empty(0, np.int8)
"""To a device with a backbone: the sample before, whose features are not computed again; to one
with a front end: the sample that it has made."""

ATTEMPTS = 3
"""Times that a request is sent before its answer is given up."""

EXPORT_PART_BYTES = 1024
REHEARSED_AT_ONCE = 16
"""Samples rehearsed by one request: its answer comes before a host gives it up."""

UNREAD = (Status.MALFORMED, Status.DAMAGED, Status.OVERLONG)


class Transport(Protocol):
    """Carries requests to the device and its answers back."""

    def exchange(self, request: bytes) -> bytes:
        """Sends the bytes of one frame; returns all that the device sent in answer.

        What it returns is empty, or ends where the line fell silent, if no whole answer came in
        time: `Device` then asks again.
        """


class Device:
    """The firmware's application (docs/protocol.md), and an estimator in scikit-learn's manner.

    Samples are int8 [inputs], or [n, inputs] as any array of 8-bit whole numbers for `partial_fit`,
    `predict` and `score`. A request that is not answered, or damaged on the line, is repeated, and
    the device does not do it twice.

    Args:
        transport: how to reach it.

    Every method raises DeviceError if the device refuses, DeviceFaultError if its core took a
    fault, and ProtocolError if what came back is not an answer.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._number = secrets.randbelow(NUMBERS)  # another host may have asked before

    # ------------------------------------------------------------------------ inference

    def info(self) -> Info:
        """What the device runs."""
        try:
            return parse_info(self._ask(Command.INFO))
        except DeviceError as error:
            if error.status == Status.LENGTH:
                raise ProtocolError(
                    "the device speaks version 1 of the protocol",
                    mend="generate, build and flash the firmware again",
                ) from error
            raise

    def infer(self, sample: NDArray[np.int8]) -> tuple[ExitAnswer, ...]:
        """A sample int8 [inputs], answered at every exit."""
        return parse_exits(self._ask(Command.INFER, data=_bytes(sample)), self._info.classes)

    def infer_last(self, sample: NDArray[np.int8]) -> Prediction:
        """A sample int8 [inputs], answered at the last exit by a plain spela_infer."""
        return parse_prediction(self._ask(Command.INFER_LAST, data=_bytes(sample)))

    def infer_early(self, sample: NDArray[np.int8]) -> EarlyAnswer:
        """A sample int8 [inputs], answered by the first exit that is sure enough."""
        return parse_early(self._ask(Command.INFER_EARLY, data=_bytes(sample)))

    def features(self, sample: NDArray[np.int8]) -> NDArray[np.int8]:
        """What the frozen backbone makes of a sample: its features, int8 [features]."""
        return np.frombuffer(self._ask(Command.FEATURES, data=_bytes(sample)), np.int8)

    def push(self, readings: NDArray[Any], *, restart: bool = False) -> bool:
        """Gives a front end raw readings, one after the other; says whether a sample is complete.

        Args:
            readings: [n, axes], of the type that its sensor gives.
            restart: forget all readings before.

        Raises:
            DeviceError: it has no front end.
            ProtocolError: it had no room for a reading.
        """
        part = max(self._info.data_bytes // max(readings[0].nbytes, 1), 1) if len(readings) else 1
        is_ready = False
        for at in range(0, max(len(readings), 1), part):
            some = np.ascontiguousarray(readings[at : at + part])
            answer = self._ask(Command.PUSH, argument=int(restart and at == 0), data=some.tobytes())
            taken, ready = unpack("<HH", answer)
            if taken != len(some):
                raise ProtocolError(f"the device took {taken} of {len(some)} readings")
            is_ready = bool(ready)
        return is_ready

    def sample(self) -> NDArray[np.int8]:
        """The sample that a front end has made [inputs]."""
        return np.frombuffer(self._ask(Command.SAMPLE), np.int8)

    def recall(self, features: NDArray[np.int8]) -> None:
        """Takes features, as it computed them before, for those of `SAME_SAMPLE`."""
        self._ask(Command.RECALL, data=_bytes(features))

    def predict(self, samples: ArrayLike) -> NDArray[np.int64]:
        """The labels [n] that the last exit gives to samples [n, inputs]."""
        values = int8_samples(samples, self._info.inputs)
        return np.array([self.infer_last(sample).label for sample in values], np.int64)

    def score(self, samples: ArrayLike, labels: ArrayLike) -> float:
        """Share of samples [n, inputs] that the last exit classifies as labels [n]; n > 0."""
        values, wanted = self._checked(samples, labels)
        if len(values) == 0:
            raise ValueError("there are no samples")
        return float(np.mean(self.predict(values) == wanted))

    # ------------------------------------------------------------------------- learning

    def learn(self, sample: NDArray[np.int8], label: int, *, digest: bool = True) -> Learned:
        """Learns a labelled sample.

        Args:
            sample: int8 [inputs].
            label: its class.
            digest: ask for the digest of the learned state, which takes the device a while.
        """
        flags = LEARN_FLAG_DIGEST if digest else 0
        return parse_learned(
            self._ask(Command.LEARN, flags=flags, argument=label, data=_bytes(sample))
        )

    def partial_fit(self, samples: ArrayLike, labels: ArrayLike) -> Self:
        """Learns samples [n, inputs] with labels [n], once each, in the order given."""
        values, wanted = self._checked(samples, labels)
        for sample, label in zip(values, wanted.tolist(), strict=True):
            self.learn(sample, label, digest=False)
        return self

    def layer_part(self, layer: int, offset: int, length: int) -> LayerPart:
        """Part of a layer's packed weights, with the rest of the layer's state."""
        data = struct.pack("<II", offset, length)
        return parse_layer_part(self._ask(Command.STATE, argument=layer, data=data))

    def weights(self, layer: int) -> bytes:
        """A layer's packed weights, padding included."""
        size = self.layer_part(layer, 0, 0).weight_bytes
        return self.layer_part(layer, 0, size).data

    def counters(self) -> Counters:
        """Diagnostics, and the digest of the learned state."""
        return parse_counters(self._ask(Command.COUNTERS))

    def flush(self) -> None:
        """Applies all pending updates; inference does so by itself."""
        self._ask(Command.FLUSH)

    def reset(self) -> None:
        """Back to what left the factory; what is saved in flash stays there."""
        self._ask(Command.RESET)

    # --------------------------------------------------------------------- saved states

    def save(self) -> Saved:
        """Saves the learned state to flash: the device starts from it."""
        return parse_saved(self._ask(Command.SAVE))

    def load(self) -> Saved:
        """Goes back to what was saved last."""
        return parse_saved(self._ask(Command.LOAD))

    def checkpoint(self) -> Saved:
        """Keeps the learned state in flash, to be rolled back to."""
        return parse_saved(self._ask(Command.CHECKPOINT))

    def rollback(self) -> Saved:
        """Goes back to the checkpoint."""
        return parse_saved(self._ask(Command.ROLLBACK))

    def store(self, *, checkpoint: bool = False) -> Store:
        """What flash holds of the saved state, or of the checkpoint."""
        return parse_store(self._ask(Command.STORE, argument=int(checkpoint)))

    def export_payload(self, progress: Callable[[int, int], None] | None = None) -> bytes:
        """The learned state as the payload of a store (docs/store.md).

        Args:
            progress: told how many bytes of how many are there.

        Raises:
            ProtocolError: somebody else let the device learn meanwhile.
        """
        before = self.counters().digest
        payload, total = b"", 0
        while True:
            data = struct.pack("<I", min(EXPORT_PART_BYTES, total - len(payload)))
            body = self._ask(Command.EXPORT, argument=len(payload), data=data)
            (total,) = unpack("<I", body[:4])
            payload += body[4:]
            if progress is not None:
                progress(len(payload), total)
            if len(payload) >= total:
                break
        if self.counters().digest != before:
            raise ProtocolError("the device learned while its state was being exported")
        return payload

    def import_payload(
        self, payload: bytes, model: int, progress: Callable[[int, int], None] | None = None
    ) -> Saved:
        """Gives the device a learned state, which it saves and goes on with; or changes nothing.

        Args:
            payload: as `export_payload` returns it.
            model: digest of the model that has learned it.
            progress: told how many bytes of how many are there.
        """
        head = struct.pack("<II", model, zlib.crc32(payload))
        self._ask(Command.IMPORT_START, argument=len(payload), data=head)
        size = self._info.data_bytes
        for offset in range(0, len(payload), size):
            part = payload[offset : offset + size]
            self._ask(Command.IMPORT_PART, argument=offset, data=part)
            if progress is not None:
                progress(offset + len(part), len(payload))
        return parse_saved(self._ask(Command.IMPORT_END))

    def export(self, network: IntegerNetwork) -> IntegerNetwork:
        """Gives `network` what the device has learned, so that both agree in every bit.

        Args:
            network: of the device's model; it is changed and returned.

        Raises:
            UserError: the device serves another model.
        """
        self._check_model(network)
        payload = self.export_payload()
        restore(network, read_payload(network.plan, payload))
        if network.digest() != self.counters().digest:
            raise ProtocolError("the exported state is not the device's")
        return network

    def restore(self, network: IntegerNetwork) -> Saved:
        """Gives the device what `network` has learned; see `import_payload`.

        Raises:
            UserError: the device serves another model.
        """
        self._check_model(network)
        payload = write_payload(network.plan, learned_state(network))
        return self.import_payload(payload, self._info.digest)

    def _check_model(self, network: IntegerNetwork) -> None:
        digest, own = self._info.digest, model_digests(network.plan, network.initial)
        if digest not in own:
            raise UserError(
                f'the device serves the model "{self._info.name}" 0x{digest:08X}, and the network '
                f"in Python is of another, 0x{own[0]:08X}",
                mend="take the model.yaml that its firmware was generated from",
            )

    # ---------------------------------------------------------- settings, names, figures

    def statistics(self) -> Statistics:
        """Figures of learning, of each layer and of each class."""
        info = self._info
        return parse_statistics(self._ask(Command.STATISTICS), info.layers, info.classes)

    def name(self, label: int, name: str | None = None) -> str | None:
        """Names a class, if a name is given; returns its name, None if it was told none."""
        return parse_name(self._ask(Command.NAME, argument=label, data=_name_bytes(name)))

    # -------------------------------------------------------------------------- classes

    def classes(self) -> tuple[KnownClass, ...]:
        """What is known of each class, where they come and go."""
        return parse_classes(self._ask(Command.CLASSES))

    def ask(self, sample: NDArray[np.int8]) -> Asked:
        """A sample int8 [inputs], answered by early exit; and whether to ask for its label."""
        return parse_asked(self._ask(Command.ASK, data=_bytes(sample)))

    def add_class(self, name: str | None = None) -> int:
        """Makes the first spare class active, and names it; returns its label.

        To teach a sample with the label of a spare class makes it active as well.
        """
        return parse_label(self._ask(Command.ADD_CLASS, data=_name_bytes(name)))

    def forget(self, label: int) -> None:
        """Forgets a class: it is spare from now on, without a name, samples and figures."""
        self._ask(Command.FORGET, argument=label)

    def rehearse(self, steps: int, progress: Callable[[int, int], None] | None = None) -> None:
        """Learns so many samples of the device's memory again.

        Args:
            steps: how many.
            progress: told how many of how many are done.
        """
        for first in range(0, steps, REHEARSED_AT_ONCE):
            count = min(REHEARSED_AT_ONCE, steps - first)
            self._ask(Command.REHEARSE, argument=count)
            if progress is not None:
                progress(first + count, steps)

    def freeze(self, frozen: bool = True) -> None:
        """Stops learning, or lets it go on."""
        self._ask(Command.FREEZE, argument=int(frozen))

    def rate(self, layer: int, rate: Rate | None = None) -> Rate:
        """Sets a layer's learning rate, if one is given; returns it."""
        data = b"" if rate is None else struct.pack("<Hh", rate.mantissa, rate.shift)
        return parse_rate(self._ask(Command.RATE, argument=layer, data=data))

    def thresholds(self, layer: int, thresholds: Thresholds | None = None) -> Thresholds:
        """Sets a layer's thresholds, if any are given; returns them."""
        data = b""
        if thresholds is not None:
            data = struct.pack("<hh", thresholds.exit_margin, thresholds.reject_cosine)
        return parse_thresholds(self._ask(Command.THRESHOLDS, argument=layer, data=data))

    def guard(self) -> GuardFigures:
        """Looks at the guard's samples."""
        return parse_guard(self._ask(Command.GUARD))

    # ------------------------------------------------------------------------- requests

    @cached_property
    def _info(self) -> Info:
        return self.info()

    def _checked(
        self, samples: ArrayLike, labels: ArrayLike
    ) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        values = int8_samples(samples, self._info.inputs)
        return values, class_labels(labels, self._info.classes, len(values))

    def _ask(
        self, command: Command, *, flags: int = 0, argument: int = 0, data: bytes = b""
    ) -> bytes:
        """The body of the answer to a request, which is repeated if need be."""
        self._number = (self._number + 1) % NUMBERS
        sent = encode_frame(
            request(command, flags=flags, number=self._number, argument=argument, data=data)
        )
        problem: ProtocolError | None = None
        for attempt in range(ATTEMPTS):
            # A zero byte ends what is left of an attempt that was cut short.
            received = self._transport.exchange(sent if attempt == 0 else b"\0" + sent)
            try:
                answer = self._own_answer(received)
            except ProtocolError as error:
                problem = error
                continue
            if answer.status in UNREAD:
                problem = DamagedError(answer.status)
                continue
            if answer.command != command:
                raise ProtocolError(f"the device answered something else than {command.name}")
            if answer.status != Status.OK:
                raise DeviceError(command, answer.status)
            return answer.body
        assert problem is not None
        raise problem

    def _own_answer(self, received: bytes) -> Answer:
        """The answer to the request in hand, or to a frame of it that could not be read."""
        frames = [frame for frame in received.split(b"\0") if frame]
        if not frames:
            raise ProtocolError(
                "the device does not answer",
                mend="check power, cable and baud rate, and that no other program uses the line",
            )
        # A core that takes a fault reports it in a frame of its own, after whatever it had begun to
        # send.
        answer = parse_answer(decode_frame(frames[-1]))
        if answer.command == Command.FAULT:
            raise DeviceFaultError(answer.body)
        if answer.status not in UNREAD and answer.number != self._number:
            raise ProtocolError("the device answered another request than the last")
        return answer


def _name_bytes(name: str | None) -> bytes:
    """A class's name as a device takes it; nothing for None."""
    data = (name or "").encode()
    if name is not None and not 1 <= len(data) <= NAME_BYTES:
        raise UserError(
            f'a class cannot be named "{name}" on a device',
            mend=f"take 1 to {NAME_BYTES} bytes of UTF-8",
        )
    return data


def _bytes(sample: NDArray[np.int8]) -> bytes:
    if sample.dtype != np.int8 or sample.ndim != 1:
        raise ValueError(f"a sample is int8 [inputs], not {sample.dtype} {list(sample.shape)}")
    return sample.tobytes()
