"""A device that serves a network, whatever carries the bytes: a simulator, or a serial port."""

from __future__ import annotations

from functools import cached_property
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from spela_mcu.device.protocol import (
    LEARN_FLAG_DIGEST,
    PROTOCOL_VERSION,
    Command,
    Counters,
    DeviceError,
    DeviceFaultError,
    Info,
    LayerPart,
    Learned,
    Prediction,
    ProtocolError,
    Status,
    decode_frame,
    encode_frame,
    parse_answer,
    parse_counters,
    parse_early,
    parse_exits,
    parse_info,
    parse_layer_part,
    parse_learned,
    parse_prediction,
    request,
)
from spela_mcu.fixed_point.early_exit import EarlyAnswer
from spela_mcu.fixed_point.network import ExitAnswer

SAME_SAMPLE: Final = np.empty(0, np.int8)
"""To a device with a backbone: the sample before, whose features are not computed again."""


class Transport(Protocol):
    """Carries requests to the device and its answers back."""

    def exchange(self, request: bytes) -> bytes:
        """Sends the bytes of one frame; returns all that the device sent in answer."""


class Device:
    """The firmware's application, one method per command.

    Args:
        transport: how to reach it.

    Every method raises DeviceError if the device refuses, DeviceFaultError if its core took a
    fault, and ProtocolError if what came back is not an answer.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def info(self) -> Info:
        """What the device runs."""
        info = parse_info(self._ask(Command.INFO))
        if info.protocol_version != PROTOCOL_VERSION:
            raise ProtocolError(
                f"the device speaks version {info.protocol_version} of the protocol, "
                f"and this program version {PROTOCOL_VERSION}",
                mend="generate and build the firmware again",
            )
        return info

    def infer(self, sample: NDArray[np.int8]) -> tuple[ExitAnswer, ...]:
        """A sample int8 [inputs], answered at every exit."""
        return parse_exits(self._ask(Command.INFER, data=_bytes(sample)), self._classes)

    def infer_last(self, sample: NDArray[np.int8]) -> Prediction:
        """A sample int8 [inputs], answered at the last exit by a plain spela_infer."""
        return parse_prediction(self._ask(Command.INFER_LAST, data=_bytes(sample)))

    def infer_early(self, sample: NDArray[np.int8]) -> EarlyAnswer:
        """A sample int8 [inputs], answered by the first exit that is sure enough."""
        return parse_early(self._ask(Command.INFER_EARLY, data=_bytes(sample)))

    def features(self, sample: NDArray[np.int8]) -> NDArray[np.int8]:
        """What the frozen backbone makes of a sample: its features, int8 [features]."""
        return np.frombuffer(self._ask(Command.FEATURES, data=_bytes(sample)), np.int8)

    def recall(self, features: NDArray[np.int8]) -> None:
        """Takes features, as it computed them before, for those of `SAME_SAMPLE`."""
        self._ask(Command.RECALL, data=_bytes(features))

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

    def layer_part(self, layer: int, offset: int, length: int) -> LayerPart:
        """Part of a layer's packed weights, with the rest of the layer's state."""
        data = offset.to_bytes(4, "little") + length.to_bytes(4, "little")
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
        """Forgets everything learned."""
        self._ask(Command.RESET)

    @cached_property
    def _classes(self) -> int:
        return self.info().classes

    def _ask(
        self, command: Command, *, flags: int = 0, argument: int = 0, data: bytes = b""
    ) -> bytes:
        """The body of the answer to a request."""
        sent = encode_frame(request(command, flags=flags, argument=argument, data=data))
        frames = [frame for frame in self._transport.exchange(sent).split(b"\0") if frame]
        if not frames:
            raise ProtocolError("the device does not answer")
        # A core that takes a fault reports it in a frame of its own, after whatever it had begun to
        # send.
        answered, status, body = parse_answer(decode_frame(frames[-1]))
        if answered == Command.FAULT:
            raise DeviceFaultError(body)
        if status != Status.OK:
            raise DeviceError(command, status)
        if answered != command or len(frames) > 1:
            raise ProtocolError(f"the device answered something else than {command.name}")
        return body


def _bytes(sample: NDArray[np.int8]) -> bytes:
    if sample.dtype != np.int8 or sample.ndim != 1:
        raise ValueError(f"a sample is int8 [inputs], not {sample.dtype} {list(sample.shape)}")
    return sample.tobytes()
