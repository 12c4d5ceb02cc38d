"""The conversation with the device: both sides of docs/protocol.md."""

import itertools
import re
import struct
import zlib

import numpy as np
import pytest
from cobs import cobs
from hypothesis import example, given, settings
from hypothesis import strategies as st
from toy import build_toy, toy, toy_samples

from spela_mcu.device.answers import parse_exits
from spela_mcu.device.device import Device
from spela_mcu.device.protocol import (
    NUMBERS,
    PROTOCOL_VERSION,
    Command,
    DeviceError,
    DeviceFaultError,
    ProtocolError,
    Status,
    decode_frame,
    encode_frame,
    parse_answer,
    request,
)
from spela_mcu.resources import resource_directory
from spela_mcu.simulators.unicorn import UnicornSimulator

CASE = toy()
SAMPLE = toy_samples(CASE, 1)[0][0]
DATA_BYTES = 64
FRAME_BYTES = DATA_BYTES + 12
"""The device's buffer: head, data and CRC."""

_numbers = itertools.count(1)


def fresh(command, **fields):
    """A request that the device has not seen."""
    return request(command, number=next(_numbers) % NUMBERS, **fields)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    build = build_toy(CASE, tmp_path_factory.mktemp("protocol") / "p")
    with UnicornSimulator().start(build) as machine:
        yield machine


@pytest.fixture
def device(machine):
    device = Device(machine)
    device.reset()
    return device


def ask(machine, payload):
    """Command, status and body of the answer to a payload."""
    (frame,) = answers(machine.exchange(encode_frame(payload)))
    return frame


def answers(data):
    assert not data or data.endswith(b"\0")
    frames = [parse_answer(decode_frame(frame)) for frame in data.split(b"\0") if frame]
    return [(frame.command, frame.status, frame.body) for frame in frames]


# --------------------------------------------------------------------------- frames


@given(st.binary(max_size=600))
@example(bytes(range(1, 255)) * 2)
@example(bytes(254))
def test_frames_are_undone_by_decoding(payload):
    frame = encode_frame(payload)
    assert frame.count(b"\0") == 1
    assert frame.endswith(b"\0")
    assert decode_frame(frame[:-1]) == payload


def test_frames_that_are_none():
    whole = encode_frame(b"hello")[:-1]
    for frame in (whole[:-1], b"\x05ab", b"\x02a", whole[:3] + b"X" + whole[4:]):
        with pytest.raises(ProtocolError):
            decode_frame(frame)


def test_the_crc_is_zlibs():
    assert cobs.decode(encode_frame(b"123456789")[:-1])[9:] == struct.pack("<I", 0xCBF43926)


@given(payload=st.binary(max_size=3 * FRAME_BYTES))
@settings(max_examples=150)
@example(payload=b"")
@example(payload=bytes(FRAME_BYTES - 4))
@example(payload=bytes(FRAME_BYTES - 3))
@example(payload=b"\x02" + bytes(FRAME_BYTES - 5))
@example(payload=b"\x01" + bytes(6))
@example(payload=b"\x01" + bytes(7))
def test_any_payload_is_answered_once(machine, payload):
    command, status, _ = ask(machine, payload)
    if len(payload) + 4 > FRAME_BYTES:
        assert (command, status) == (Command.NONE, Status.OVERLONG)
    elif len(payload) < 8:
        assert (command, status) == (payload[0] if payload else 0, Status.LENGTH)
    else:
        assert command == payload[0]
        if command not in set(Command) - {Command.NONE, Command.FAULT}:
            assert status == Status.UNKNOWN


def cobs_zeros(frame):
    return frame == cobs.encode(bytes(4))


@given(junk=st.lists(st.integers(1, 255), max_size=3 * FRAME_BYTES).map(bytes))
@settings(max_examples=150)
@example(junk=b"\xff" * 40)
@example(junk=b"\x01" * 5)
@example(junk=b"\x01" * (FRAME_BYTES + 1))
def test_any_junk_is_refused_and_the_device_lives(machine, junk):
    refused = answers(machine.exchange(junk + b"\0"))
    if junk:
        ((command, status, body),) = refused
        assert (command, body) == (Command.NONE, b"")
        # LENGTH: the CRC of nothing is four zero bytes, so these alone are a frame, an empty one.
        allowed = {Status.MALFORMED, Status.DAMAGED, Status.OVERLONG}
        assert status in allowed | ({Status.LENGTH} if cobs_zeros(junk) else set())
    else:
        assert refused == []  # a zero between frames is no frame
    assert Device(machine).info().name == "toy"


def test_every_damaged_byte_is_noticed(machine):
    payload = bytearray(request(Command.INFER, data=SAMPLE.tobytes()))
    whole = payload + struct.pack("<I", zlib.crc32(payload))
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 0x10
        ((command, status, _),) = answers(machine.exchange(cobs.encode(bytes(data)) + b"\0"))
        assert (command, status) == (Command.NONE, Status.DAMAGED)


def test_a_frame_may_come_in_pieces(machine, device):
    frame = encode_frame(request(Command.INFER_LAST, data=SAMPLE.tobytes()))
    whole = machine.exchange(frame)
    pieces = [machine.exchange(frame[i : i + 1]) for i in range(len(frame))]
    assert pieces == [b""] * (len(frame) - 1) + [whole]


def test_two_frames_at_once_are_both_answered(machine):
    two = encode_frame(request(Command.INFO)) + encode_frame(request(Command.COUNTERS))
    assert [command for command, _, _ in answers(machine.exchange(two))] == [1, 6]


def test_long_frames_with_and_without_zeros(tmp_path):
    """Blocks of COBS end at 254 bytes: samples and weights of all kinds cross that border."""
    case = toy(inputs=600, layers=(9,), classes=5)
    reference = case.network()
    samples = toy_samples(case, 3)[0]
    samples[0] = 0
    samples[1][samples[1] == 0] = 1
    for length in (240, 245, 246, 247, 254, 255):  # bytes without a zero, some behind the head's
        sample = np.full(600, 7, np.int8)
        sample[length] = 0
        samples = np.vstack((samples, sample))
    with UnicornSimulator().start(build_toy(case, tmp_path / "p")) as machine:
        device, packed = Device(machine), reference.packed_weights(0)
        assert len(packed) == 600 * 12
        assert device.weights(0) == packed
        for length in (253, 254, 255, 256, 508, 509):
            assert device.layer_part(0, 100, length).data == packed[100 : 100 + length]
        for sample in samples:
            (ours,), (theirs,) = reference.infer(sample), device.infer(sample)
            assert theirs.scores.tolist() == ours.scores.tolist()


# ------------------------------------------------------------------------- commands


def test_info(device):
    info, model = device.info(), CASE.project.model
    assert (info.protocol_version, info.name) == (PROTOCOL_VERSION, "toy")
    assert (info.inputs, info.classes, info.layers) == (13, 5, 2)
    assert (info.digest, info.arena_bytes) == (model.digest, model.arena_bytes)
    assert info.flags == 0


def test_answers_equal_the_reference(device):
    reference = CASE.network()
    x, y = toy_samples(CASE, 40)
    for sample, label in zip(x, y.tolist(), strict=True):
        expected, found = reference.infer(sample), device.infer(sample)
        for ours, theirs in zip(expected, found, strict=True):
            assert theirs.scores.dtype == np.int64
            assert theirs.scores.tolist() == ours.scores.tolist()
            assert (theirs.label, theirs.cosine, theirs.margin) == (
                ours.label,
                ours.cosine,
                ours.margin,
            )
        last = expected[-1]
        prediction = device.infer_last(sample)
        assert (prediction.label, prediction.cosine, prediction.margin) == (
            last.label,
            last.cosine,
            last.margin,
        )
        learned = device.learn(sample, label)
        reference.learn(sample, label)
        assert learned.prediction == prediction
        assert learned.digest == reference.digest() == device.counters().digest
    assert device.counters().samples == 40
    for index, layer in enumerate(reference.layers):
        part = device.layer_part(index, 0, 0)
        assert (part.updates, part.halvings, part.pending) == (layer.updates, layer.halvings, 0)
        assert part.data == b""
        assert device.weights(index) == reference.packed_weights(index)


def test_the_digest_is_answered_only_when_asked_for(device):
    assert device.learn(SAMPLE, 1, digest=False).digest is None
    assert device.learn(SAMPLE, 1, digest=True).digest == device.counters().digest


def test_reset_forgets(device):
    start = device.counters()
    device.learn(SAMPLE, 1)
    assert device.counters() != start
    device.reset()
    assert device.counters() == start


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (request(Command.INFER, data=bytes(12)), Status.ERROR_SIZE),
        (request(Command.INFER_LAST), Status.ERROR_SIZE),
        (request(Command.LEARN, argument=1, data=bytes(12)), Status.ERROR_SIZE),
        (request(Command.LEARN, argument=5, data=bytes(13)), Status.ERROR_LABEL),
        (request(Command.LEARN, argument=65535, data=bytes(13)), Status.ERROR_LABEL),
        (request(Command.STATE, argument=2, data=bytes(8)), Status.ERROR_ARGUMENT),
        (request(Command.STATE, data=bytes(7)), Status.LENGTH),
        (request(Command.STATE, data=struct.pack("<II", 321, 0)), Status.RANGE),
        (request(Command.STATE, data=struct.pack("<II", 320, 1)), Status.RANGE),
        (request(Command.STATE, data=struct.pack("<II", 8, 2**32 - 4)), Status.RANGE),
        (request(Command.INFO, data=b"x"), Status.LENGTH),
        (request(Command.RESET, data=b"x"), Status.LENGTH),
        (request(Command.COUNTERS, data=b"x"), Status.LENGTH),
        (request(Command.FLUSH, data=b"x"), Status.LENGTH),
        (request(Command.LEARN, argument=65536 + 1, data=bytes(13)), Status.ERROR_LABEL),
        (request(Command.STATE, argument=65536, data=bytes(8)), Status.ERROR_ARGUMENT),
        (request(Command.FEATURES), Status.UNKNOWN),
        (b"\x01\x00\x00\x00\x00\x00\x00", Status.LENGTH),
    ],
)
def test_misuse_is_answered_and_changes_nothing(machine, device, payload, status):
    device.learn(SAMPLE, 3)
    before = device.counters()
    assert ask(machine, payload) == (payload[0], status, b"")
    assert device.counters() == before


def test_a_model_for_inference_only_does_not_learn(tmp_path):
    case = toy(drawn=False, inference_only=True)
    with UnicornSimulator().start(build_toy(case, tmp_path / "p")) as machine:
        device = Device(machine)
        assert device.info().flags == 4
        with pytest.raises(DeviceError) as raised:
            device.learn(SAMPLE, 1)
        assert raised.value.status == Status.ERROR_READ_ONLY
        assert device.infer(SAMPLE)[1].label == case.network().infer(SAMPLE)[1].label


# ----------------------------------------------------------------------- repetition


def test_a_request_that_is_repeated_is_answered_again_and_not_done_twice(machine, device):
    reference = CASE.network()
    frames = []
    for sample, label in zip(*toy_samples(CASE, 4), strict=True):
        frames.append(
            encode_frame(fresh(Command.LEARN, argument=label, flags=1, data=bytes(sample)))
        )
        first = machine.exchange(frames[-1])
        reference.learn(sample, label)
        for between in (b"", b"\3\3\3\0", b"\0\0", encode_frame(b"")):
            machine.exchange(between)
            assert machine.exchange(frames[-1]) == first
        assert device.counters().digest == reference.digest()
    machine.exchange(frames[0])  # not the last one: it is done
    assert device.counters().samples == 5


def test_the_same_words_under_another_number_are_another_request(machine, device):
    request_ = {"argument": 1, "flags": 1, "data": SAMPLE.tobytes()}
    first, second = (ask(machine, fresh(Command.LEARN, **request_)) for _ in range(2))
    assert first != second
    assert device.counters().samples == 2


def test_other_words_under_the_same_number_are_another_request(machine, device):
    for label in (1, 2):
        ask(machine, request(Command.LEARN, number=7, argument=label, data=SAMPLE.tobytes()))
    assert device.counters().samples == 2


def test_a_refusal_is_repeated(machine, device):
    refused = encode_frame(fresh(Command.LEARN, argument=5, data=SAMPLE.tobytes()))
    first = machine.exchange(refused)
    assert machine.exchange(refused) == first
    assert answers(first) == [(Command.LEARN, Status.ERROR_LABEL, b"")]


class Lossy:
    """A line that loses and damages what it carries, in turns, but not three times in a row."""

    def __init__(self, machine, seed):
        self._machine = machine
        self._generator = np.random.default_rng(seed)
        self._mishaps = 0
        self._late = b""
        self.happened = set()

    def exchange(self, request):
        kind = int(self._generator.integers(6)) if self._mishaps < 2 else 5
        self._mishaps = 0 if kind == 5 else self._mishaps + 1
        self.happened.add(kind)
        at = int(self._generator.integers(len(request) - 1))
        if kind == 0:  # nothing arrives
            return b""
        if kind == 1:  # the end does not arrive
            return self._machine.exchange(request[:at])
        if kind == 2:  # a byte is changed, perhaps to the end of a frame
            damaged = bytearray(request)
            damaged[at] ^= int(self._generator.integers(1, 256))
            return self._machine.exchange(bytes(damaged))
        answer = self._machine.exchange(request)
        if kind == 3:  # the answer is late
            late, self._late = self._late, answer
            return late
        if kind == 4:
            return answer[:at]
        return answer


def test_a_bad_line_loses_nothing_and_doubles_nothing(machine, device):
    reference = CASE.network()
    line = Lossy(machine, 4)
    host = Device(line)
    for sample, label in zip(*toy_samples(CASE, 60), strict=True):
        learned = host.learn(sample, int(label))
        reference.learn(sample, label)
        assert learned.digest == reference.digest()
    assert line.happened == set(range(6))
    assert device.counters().samples == 60


# ------------------------------------------------------------------------- the host


class Says:
    """A transport that answers as told: command and status, the request's number, body."""

    def __init__(self, *payloads, raw=None):
        self._payloads, self._raw = payloads, raw

    def exchange(self, request):
        number = decode_frame(request.strip(b"\0"))[2:4]
        frames = [one[:2] + number + one[2:] if len(one) > 1 else one for one in self._payloads]
        return b"".join(map(encode_frame, frames)) if self._raw is None else self._raw


def test_refusals_become_errors():
    with pytest.raises(DeviceError, match="there is no such command") as raised:
        Device(Says(b"\x07\x83")).reset()
    assert (raised.value.command, raised.value.status) == (Command.RESET, Status.UNKNOWN)


@pytest.mark.parametrize(
    "transport",
    [
        Says(raw=b""),
        Says(raw=b"\0\0"),
        Says(raw=b"\x05ab\0"),
        Says(b""),
        Says(b"\x07"),
        Says(b"\x07\x42"),
        Says(b"\x06\x00"),
        Says(raw=encode_frame(b"\x07\x00\x00")),
    ],
)
def test_what_is_no_answer_is_an_error(transport):
    with pytest.raises(ProtocolError):
        Device(transport).reset()


def test_answers_of_a_wrong_length_are_errors():
    for body in (b"", bytes(25), bytes(27)):
        with pytest.raises(ProtocolError):
            parse_exits(body, classes=5)
    with pytest.raises(ProtocolError):
        Device(Says(b"\x06\x00" + bytes(19))).counters()


def test_another_version_of_the_protocol_is_refused():
    with pytest.raises(ProtocolError, match="version 9"):
        Device(Says(b"\x01\x00\x09" + bytes(19) + b"toy")).info()
    with pytest.raises(ProtocolError, match="version 1"):
        Device(Says(b"\x01\x84")).info()


def test_a_fault_is_told_with_its_registers():
    words = struct.pack("<7I", 0x8200, 0x40000000, 0, 0x90000000, 0x2DC, 0x2D9, 0x21000000)
    with pytest.raises(DeviceFaultError) as raised:
        Device(Says(b"\x7f\xff" + words)).reset()
    assert raised.value.fault.bfar == 0x90000000
    assert raised.value.fault.registers["pc"] == 0x2DC
    with pytest.raises(DeviceFaultError, match="overflowed stack") as raised:
        Device(Says(b"\x7f\xff" + words[:16])).reset()
    assert raised.value.fault.registers == {}


def test_a_fault_in_the_middle_of_an_answer_is_told():
    fault = encode_frame(b"\x7f\xff" + bytes(30))
    with pytest.raises(DeviceFaultError):
        Device(Says(raw=b"\x02\x06\x0a\0" + fault)).reset()


def test_samples_must_be_int8_rows(device):
    for wrong in (SAMPLE.astype(np.int16), SAMPLE[None]):
        with pytest.raises(ValueError, match="int8"):
            device.infer(wrong)


# ------------------------------------------------------- one protocol in three places


def constants(pattern):
    header = (resource_directory("firmware") / "application" / "protocol.h").read_text()
    return {name: int(value) for name, value in re.findall(pattern, header)}


def test_the_header_the_host_and_the_document_agree():
    commands = {command.name: command.value for command in Command}
    statuses = {status.name: status.value for status in Status}
    assert constants(r"\bCOMMAND_(\w+) = (\d+)") == commands
    assert constants(r"\bPROTOCOL_(\w+) = (\d+)") == {
        name: value for name, value in statuses.items() if value >= 128
    }
    assert constants(r"#define PROTOCOL_(VERSION) +(\d+)U") == {"VERSION": PROTOCOL_VERSION}
    library = (resource_directory("firmware") / "spela" / "spela.h").read_text()
    found = re.findall(r"\bSPELA_(OK|ERROR_\w+) = (\d+)", library)
    assert {name: int(value) for name, value in found} == {
        name: value for name, value in statuses.items() if value < 128
    }
    document = (resource_directory("firmware").parent / "docs" / "protocol.md").read_text()
    assert f"version {PROTOCOL_VERSION}" in document.splitlines()[0]
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+)\*? \|", document, re.M)
    assert {name: int(value) for value, name in rows} == statuses | {
        name: value for name, value in commands.items() if name not in ("NONE", "FAULT")
    }
