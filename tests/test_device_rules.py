"""Rules of docs/protocol.md that keep a device whole: repetition, and what an import must be."""

import struct
import zlib
from itertools import count

import numpy as np
import pytest
from beside_twin import differing, twin_of
from host_process import build_application, sanitizing_compilers
from toy import toy, toy_samples

from spela_mcu.device.protocol import Command, encode_frame, request
from spela_mcu.store.payload import learned_state, split_sections, write_payload

CASE = toy(batch=3)
X, Y = toy_samples(CASE, 8)
PART = 64


@pytest.fixture(scope="module")
def compiler():
    found = sanitizing_compilers()
    if not found:
        pytest.skip("no compiler with sanitizers (gcc, clang or zig)")
    return next(iter(found.values()))


def repetitions():
    """Requests once, twice, with a number of before, and with the content of before."""

    def learn(index, number):
        label, data = int(Y[index]), X[index].tobytes()
        return request(Command.LEARN, flags=1, argument=label, number=number, data=data)

    infer = request(Command.INFER_LAST, number=9, data=X[0].tobytes())
    asked = [
        *(learn(0, 1), learn(0, 1), learn(1, 1), learn(1, 1), learn(1, 2), learn(0, 1)),
        *(infer, infer, learn(2, 10), infer, request(Command.SAVE, number=11)),
        *(request(Command.SAVE, number=11), request(Command.STATISTICS, number=12)),
        *(request(Command.COUNTERS, number=13), request(Command.STORE, number=14)),
    ]
    damaged = bytearray(encode_frame(learn(3, 20)))
    damaged[12] ^= 1
    return [*map(encode_frame, asked), bytes(damaged), *map(encode_frame, (learn(3, 20), asked[0]))]


def payloads():
    """Imports: whole, cut, longer, with other sections, and with values that cannot be."""
    network = CASE.network()
    network.partial_fit(X[:5], Y[:5])
    whole = write_payload(network.plan, learned_state(network))
    heads = np.cumsum([0, *(8 + len(part.content) for part in split_sections(whole))]).tolist()
    yield whole
    for head in heads[1:]:
        yield from (whole[: head + extra] for extra in (-9, -1, 0, 1, 5, 8) if head + extra > 0)
    skipped = struct.pack("<HHI", 0x8123, 0, 3) + b"abc"
    for head in heads:
        yield whole[:head] + skipped + whole[head:]
        yield whole[:head] + struct.pack("<HHI", 0x0123, 0, 0) + whole[head:]
    for head in heads[:-1]:
        for at in (0, 2, 4):
            yield whole[: head + at] + bytes([whole[head + at] ^ 1]) + whole[head + at + 1 :]
    for layer in range(2):  # counts: updates, halvings, pending
        head = heads[1 + 3 * layer] + 8
        for at in range(3):
            yield whole[: head + 4 * at] + struct.pack("<I", 3 << 8) + whole[head + 4 * at + 4 :]
        weights, end = heads[2 + 3 * layer] + 8, heads[3 + 3 * layer]
        for place, value in ((weights, 0x80), (end - 1, 1)):  # out of range, and padding
            yield whole[:place] + bytes([value]) + whole[place + 1 :]


def imports():
    """Each of `payloads`, and one under another model, another CRC, and out of order."""
    numbers = count(1)

    def ask(command, argument=0, data=b""):
        number = next(numbers)
        return encode_frame(request(command, number=number, argument=argument, data=data))

    def parts(payload, model=CASE.project.model.digest, crc=None):
        crc = zlib.crc32(payload) if crc is None else crc
        yield ask(Command.IMPORT_START, len(payload), struct.pack("<II", model, crc))
        for at in range(0, len(payload), PART):
            yield ask(Command.IMPORT_PART, at, payload[at : at + PART])

    sample = X[7].tobytes()
    for payload in payloads():
        yield from parts(payload)
        yield ask(Command.IMPORT_END)
        yield ask(Command.COUNTERS)
    yield ask(Command.LEARN, 1, sample)
    whole = next(payloads())
    for wrong in ({"model": 1}, {"crc": 1}):
        yield from parts(whole, **wrong)
        yield from (ask(Command.IMPORT_END), ask(Command.STORE))
    first, second, *rest = list(parts(whole))
    yield from (first, second, ask(Command.IMPORT_PART, 0, whole[:PART]), *rest)
    yield from (ask(Command.IMPORT_PART, len(whole), b"a"), ask(Command.IMPORT_END))
    yield from (ask(Command.IMPORT_END), ask(Command.STATISTICS), ask(Command.LEARN, 1, sample))


CONVERSATIONS = {"repetition": repetitions, "import": imports}
FAULTS = {
    "any request with the last number is the last": (
        *("repetition", "application/protocol.c"),
        *("last->number == request.number && last->crc == crc", "last->number == request.number"),
    ),
    "a repeated request is done twice": (
        *("repetition", "application/protocol.c"),
        *("request.is_repeated && last->is_kept", "false && last->is_kept"),
    ),
    "a repeated inference is counted": (
        *("repetition", "application/settings.c"),
        *("    if (request->is_repeated) {\n", "    if (request == NULL) {\n"),
    ),
    "another model's state is taken": (
        *("import", "application/state.c"),
        *("word_at(request->data) != device->model.digest", "word_at(request->data) == 0U"),
    ),
    "the CRC is not compared": (
        *("import", "store/spela_store.c"),
        *("if (~stream.crc != crc) {", "if (~stream.crc == ~crc + 1U) {"),
    ),
    "padding may be anything": (
        *("import", "store/spela_payload.c"),
        *("(is_padding && weight != 0)", "(is_padding && weight == -half)"),
    ),
    "what follows may be anything": (
        *("import", "store/spela_payload.c"),
        *("        if ((head[0] & SECTION_OPTIONAL) == 0U) {\n", "        if (head[0] == 0U) {\n"),
    ),
    "the end of the last section may be missing": (
        *("import", "store/spela_payload.c"),
        *("return SPELA_STORE_CORRUPT; /* it ends", "return SPELA_STORE_OK; /* it ends"),
    ),
}


def test_the_device_judges_as_the_twin(compiler, tmp_path):
    program = build_application(CASE.project, tmp_path / "p", compiler)
    for name, frames in CONVERSATIONS.items():
        assert differing(twin_of(CASE), program, frames()) is None, name


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name, compiler, tmp_path):
    conversation, *change = FAULTS[name]
    program = build_application(CASE.project, tmp_path / "p", compiler, change=tuple(change))
    assert differing(twin_of(CASE), program, CONVERSATIONS[conversation]()) is not None
