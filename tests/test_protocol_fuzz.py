"""Anything at all on the serial line of the sanitized firmware, against a model of its answers."""

import struct
import zlib

import numpy as np
import pytest
from beside_twin import twin_of
from cobs import cobs
from host_process import HostProcess, HostProcessError, build_application, sanitizing_compilers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from toy import toy

from spela_mcu.device.protocol import (
    Command,
    decode_frame,
    encode_frame,
    request,
)
from spela_mcu.store.payload import CLASS, LIMIT, SLOTS, learned_state, write_payload

COMPILERS = sanitizing_compilers()

if not COMPILERS:
    pytest.skip("no compiler with sanitizers (gcc, clang or zig)", allow_module_level=True)

LEARNING = toy(thresholds=((2500, 4000), (0, 5000)))  # about half of the samples pass each
INFERENCE_ONLY = toy(inputs=300, weights="int16", drawn=False, inference_only=True)
CONTINUAL = toy(classes=3, spare=2, rehearsed=3, unknown_by="margin", batch=2)
CLASSES, LAYERS = 5, 2


_number = iter(range(1, 2**16))


def reset_request():
    """One that the device has not seen: a repeated one would not be done."""
    return encode_frame(request(Command.RESET, number=next(_number)))


# ------------------------------------------------------------- what goes over the line

BYTES = st.integers(0, 255)
OFFSETS = st.integers(0, 330) | st.integers(0, 5000) | st.integers(2**32 - 330, 2**32 - 1)


def samples(inputs):
    extremes = st.sampled_from([0, 1, 127, 128]).map(lambda byte: bytes([byte]) * inputs)
    return extremes | st.binary(min_size=inputs, max_size=inputs)


def sensible(inputs):
    """Requests that are right, or nearly so."""
    return st.one_of(
        st.builds(
            lambda command, number, argument, data: request(
                command, number=number, argument=argument, data=data
            ),
            st.sampled_from(sorted(set(Command) - {Command.NONE, Command.FAULT})),
            st.integers(0, 3),
            st.integers(0, CLASSES),
            st.sampled_from([b"", b"\1\0\0\0", b"ab"]),
        ),
        st.builds(
            lambda command, flags, number, label, sample: request(
                command, flags=flags, number=number, argument=label, data=sample
            ),
            st.sampled_from(
                [
                    *(Command.INFER, Command.INFER_LAST, Command.INFER_EARLY, Command.ASK),
                    *[Command.LEARN] * 2,
                ]
            ),
            BYTES,
            st.integers(0, 1),
            st.integers(0, CLASSES),
            samples(inputs),
        ),
        st.builds(
            lambda layer, *place: request(
                Command.STATE, argument=layer, data=struct.pack("<II", *place)
            ),
            st.integers(0, LAYERS),
            OFFSETS,
            OFFSETS,
        ),
    )


def nonsense(inputs):
    """Requests of any command, most of them with data of a wrong length."""
    lengths = st.sampled_from([0, 1, 7, 8, 9, inputs - 1, inputs])
    return st.builds(
        lambda command, flags, argument, data: (
            struct.pack("<BBHI", command, flags, 0, argument) + data
        ),
        st.integers(1, 33) | BYTES,
        BYTES,
        st.integers(0, 6) | st.integers(0, 2**16 - 1),
        lengths.flatmap(lambda length: st.binary(min_size=length, max_size=length)),
    )


def damaged(payload, position, change):
    """A frame with one byte changed on the line; the new byte may be a zero."""
    frame = bytearray(encode_frame(payload))
    frame[position % len(frame)] ^= change
    return bytes(frame)


def damaged_before_encoding(payload, position, change):
    """A frame in good order but for one byte of payload or CRC."""
    data = bytearray(payload + zlib.crc32(payload).to_bytes(4, "little"))
    data[position % len(data)] ^= change
    return bytes(cobs.encode(bytes(data))) + b"\0"


def capacity(inputs):
    """Bytes of the device's buffer: head, data and CRC."""
    return max(inputs, 64) + 12


def conversations(inputs):
    """What the device with so many inputs receives, in pieces."""
    whole = st.binary(max_size=3) | nonsense(inputs) | sensible(inputs)
    changes, places = st.integers(1, 255), st.integers(0, capacity(inputs))
    piece = st.one_of(
        sensible(inputs).map(encode_frame),
        nonsense(inputs).map(encode_frame),
        whole.map(encode_frame),
        st.builds(damaged, whole, places, changes),
        st.builds(damaged_before_encoding, whole, places, changes),
        # without its end, it swallows what follows
        st.builds(lambda payload, kept: encode_frame(payload)[:kept], whole, places),
        st.binary(max_size=5).map(lambda data: bytes(cobs.encode(data)) + b"\0"),
        st.integers(capacity(inputs) - 5, capacity(inputs) - 2).map(
            lambda length: encode_frame(b"\2" * length)
        ),
        st.binary(min_size=inputs, max_size=3 * capacity(inputs)).map(encode_frame),
        st.binary(max_size=3 * capacity(inputs)),
    )
    return st.lists(piece, min_size=1, max_size=12)


class Line:
    """A process that serves a case, and its twin; both are started again if it has died."""

    def __init__(self, case, directory) -> None:
        self.case = case
        self._program = build_application(case.project, directory, next(iter(COMPILERS.values())))
        self._process = None
        self.twin = None

    def exchange(self, data):
        """The payloads of all answers."""
        try:
            if self._process is None:
                self._process, self.twin = HostProcess(self._program), twin_of(self.case)
            answers = self._process.exchange(data)
        except HostProcessError:
            self._process = None
            raise
        return [decode_frame(frame) for frame in answers.split(b"\0")[:-1]]

    def close(self):
        """Holds the process to have nothing more to say."""
        if self._process is not None:
            self._process.close()


@pytest.fixture(scope="module")
def learning(tmp_path_factory):
    line = Line(LEARNING, tmp_path_factory.mktemp("learning") / "p")
    yield line
    line.close()


@pytest.fixture(scope="module")
def inference_only(tmp_path_factory):
    line = Line(INFERENCE_ONLY, tmp_path_factory.mktemp("inference_only") / "p")
    yield line
    line.close()


@pytest.fixture(scope="module")
def continual(tmp_path_factory):
    line = Line(CONTINUAL, tmp_path_factory.mktemp("continual") / "p")
    yield line
    line.close()


def assert_answered_as_documented(line, stream):
    """The state changes by what is accepted alone: the model's does so, and they agree."""
    start = reset_request()
    started, model = line.exchange(start), line.twin
    assert started == [model.answer(start[:-1])]
    frames = [frame for frame in stream.split(b"\0") if frame]
    answers = line.exchange(stream + b"\0")
    assert answers == [model.answer(frame) for frame in frames]
    for command in (Command.COUNTERS, Command.INFO, Command.STATISTICS):
        last = encode_frame(request(command))
        assert line.exchange(last) == [model.answer(last[:-1])]


CAPACITY = 64 + 12


@given(pieces=conversations(LEARNING.inputs))
@settings(max_examples=300)
@example(pieces=[b"\x01\0", b"\x02\x02\0", b"\x04abc\0"])
@example(pieces=[encode_frame(bytes(CAPACITY - 4)), encode_frame(bytes(CAPACITY - 3))])
@example(pieces=[b"\xff" * (CAPACITY + 1)])
@example(pieces=[b"\xff" * (CAPACITY + 2)])
@example(pieces=[b"\x01" * (CAPACITY + 1)])
@example(pieces=[b"\x01" * (CAPACITY + 2)])
@example(pieces=[encode_frame(request(Command.LEARN, argument=4, data=b"\x7f" * 13))] * 5)
@example(pieces=[encode_frame(request(Command.STATE, data=struct.pack("<II", 8, 2**32 - 4)))])
def test_every_frame_is_answered_as_documented(learning, pieces):
    assert_answered_as_documented(learning, b"".join(pieces))


@given(pieces=conversations(INFERENCE_ONLY.inputs))
@settings(max_examples=100)
def test_frames_of_several_blocks_are_answered_as_documented(inference_only, pieces):
    assert_answered_as_documented(inference_only, b"".join(pieces))


@given(pieces=conversations(CONTINUAL.inputs))
@settings(max_examples=100)
@example(
    pieces=[
        encode_frame(request(command, number=number, argument=argument, data=data))
        for number, (command, argument, data) in enumerate(
            [
                (Command.LEARN, 1, b"\x7f\x01" * 6 + b"\x03"),
                (Command.LEARN, 4, b"\x11\x80" * 6 + b"\x07"),
                (Command.ADD_CLASS, 0, b"lamp"),
                (Command.ADD_CLASS, 0, b""),
                (Command.REHEARSE, 9, b""),
                (Command.REHEARSE, 65, b""),
                (Command.CLASSES, 0, b""),
                (Command.EXPORT, 0, b"\x40\1\0\0"),
                (Command.FORGET, 4, b""),
                (Command.FORGET, 4, b""),
                (Command.NAME, 3, b""),
                (Command.SAVE, 0, b""),
                (Command.FORGET, 1, b""),
                (Command.LOAD, 0, b""),
                (Command.CLASSES, 0, b""),
                (Command.FREEZE, 1, b""),
                (Command.FORGET, 1, b""),
            ],
            start=3,
        )
    ]
)
def test_classes_come_and_go_as_documented(continual, pieces):
    assert_answered_as_documented(continual, b"".join(pieces))


def damaged_states():
    """A state of CONTINUAL, and others that no network of it can have."""
    network = CONTINUAL.network()
    values = np.random.default_rng(1).integers(-127, 128, (9, CONTINUAL.inputs)).astype(np.int8)
    for label, sample in enumerate(values):
        network.learn(sample, label % 4)
    payload = write_payload(network.plan, learned_state(network))
    found = {"as it was": payload}
    # of the first class: its numbers, and its first sample's padding; of the first exit: its limit
    for what, tag, at, wrong in (
        ("spare, and seen", CLASS, 4, 0),
        ("neither active nor spare", CLASS, 4, 2),
        ("seen more often, as can be", CLASS, 0, 9),
        ("padding", SLOTS, CONTINUAL.inputs, 1),
        ("a limit of 0", LIMIT, 2, 0),
        ("a limit below 0", LIMIT, 3, 0x80),
    ):
        place = payload.index(struct.pack("<HH", tag, 0)) + 8 + at
        found[what] = payload[:place] + bytes([wrong]) + payload[place + 1 :]
    return found


STATES = damaged_states()


@pytest.mark.parametrize("what", STATES)
def test_states_of_classes_are_judged_as_documented(continual, what):
    payload, digest = STATES[what], CONTINUAL.project.model.digest
    head = struct.pack("<II", digest, zlib.crc32(payload))
    parts = [(Command.IMPORT_START, len(payload), head)]
    parts += [(Command.IMPORT_PART, at, payload[at : at + 64]) for at in range(0, len(payload), 64)]
    parts += [(Command.IMPORT_END, 0, b""), (Command.CLASSES, 0, b""), (Command.LOAD, 0, b"")]
    frames = [
        encode_frame(request(command, number=number, argument=argument, data=data))
        for number, (command, argument, data) in enumerate(parts, start=3000)
    ]
    assert_answered_as_documented(continual, b"".join(frames))


@pytest.mark.parametrize("high", [256, 24, 5])
def test_noise_never_stops_the_device(learning, high):
    """Long stretches of noise, of all bytes and of small ones, which look most like COBS."""
    noise = np.random.default_rng(high).integers(0, high, 20_000).astype(np.uint8).tobytes()
    assert_answered_as_documented(learning, noise)
