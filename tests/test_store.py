"""The store's format: what the chip's code writes, Python reads, and the reverse."""

from dataclasses import astuple, dataclass, replace

import numpy as np
import pytest
from host_process import run_program
from store_program import COMPILERS, SANITIZING, build, write_model
from toy import toy

from spela_mcu.errors import UserError
from spela_mcu.fixed_point.layout import pack
from spela_mcu.store.payload import (
    OPTIONAL,
    Section,
    learned_state,
    read_payload,
    restore,
    sections_of,
    write_payload,
)
from spela_mcu.store.slots import (
    SavedState,
    read_slot,
    slot_bytes,
    slot_in_use,
    write_slot,
)
from spela_mcu.store.wear import (
    PARTS,
    Duration,
    FlashPart,
    save_time,
    saves_endured,
    years_endured,
)

OK, EMPTY, CORRUPT, FOREIGN, OTHER_FORMAT = range(5)
"""spela_store_status_t."""

PART, UNIT, SLOT = "rp2040", 256, 4096  # slot 0 lies behind slot 1
CASES = {
    "int8 in batches": toy(batch=3),
    "int16": toy(inputs=300, layers=(3, 2), classes=2, weights="int16", drawn=False),
}


@dataclass(frozen=True)
class Device:
    """The chip's code on this machine, with a file for its flash."""

    case: object
    program: object
    flash: object

    def start(self, slots, steps=0):
        """Starts with these slots, learns, saves; what it says, and the slots then."""
        self.flash.write_bytes(slots[1] + slots[0])
        code, output, report = run_program(self.program, PART, str(self.flash), str(steps))
        assert (code, report) == (0, "")
        content = self.flash.read_bytes()
        return list(map(int, output.split())), (content[SLOT:], content[:SLOT])


@pytest.fixture(scope="module", params=CASES)
def device(request, tmp_path_factory):
    if not COMPILERS:
        pytest.skip("no compiler for this machine (gcc, clang or zig)")
    directory = tmp_path_factory.mktemp("store")
    case = CASES[request.param]
    model = write_model(case, tmp_path_factory.mktemp("model"))
    program = build("store_image", model, directory, compiler=SANITIZING, level="O0")
    return Device(case, program, directory / "flash.bin")


def learn(case, network, steps):
    """As the program does."""
    k = np.arange(case.inputs)
    for step in range(network.samples, network.samples + steps):
        sample = ((step * 37 + k * k * 11) % 255 - 127).astype(np.int8)
        network.learn(sample, step % case.classes)
    return network


def digest(case):
    return case.project.model.digest


def slot(case, payload, number=1, **changes):
    saved = replace(SavedState(number, digest(case), payload), **changes)
    return write_slot(saved, unit_bytes=UNIT, slot_bytes=SLOT)


ERASED = b"\xff" * SLOT


def test_what_python_writes_the_chip_loads_and_the_reverse(device):
    case = device.case
    network = learn(case, case.network(), 7)
    plan = network.plan
    payload = write_payload(plan, learned_state(network))
    said, slots = device.start((slot(case, payload, 41), ERASED), steps=600)
    counters = astuple(learned_state(network).counters)
    *said, operations = said
    assert said == [OK, 41, network.digest(), *counters, OK, slot_bytes(plan, UNIT)]
    learn(case, network, 600)
    assert any(state.halvings for state in network.layers) or plan.weights == "int16"
    expected = write_payload(plan, learned_state(network))
    assert slots == (slot(case, payload, 41), slot(case, expected, 42))
    once = Duration(1.0, 1.0)
    part = FlashPart("counts", UNIT, program=once, erase={SLOT: once}, cycles=1, source="")
    assert save_time(part, [SLOT], len(expected)).typical == operations
    saved = read_slot(slots[1], unit_bytes=UNIT)
    other = case.network()
    restore(other, read_payload(plan, saved.payload))
    assert other.digest() == network.digest()
    assert learn(case, other, 5).digest() == learn(case, network, 5).digest()


def test_an_empty_store_and_one_that_was_forgotten(device):
    case = device.case
    factory = case.network().digest()
    for slots in (ERASED, ERASED), (slot(case, b"", 5), ERASED):
        said, _ = device.start(slots)
        assert (said[0], said[2]) == (EMPTY, factory)


def payloads(case):
    """Payloads that are not as they should be, by what the device says of them."""
    network = learn(case, case.network(), 7)
    plan = network.plan
    good = sections_of(plan, learned_state(network))

    def joined(*sections):
        return b"".join(section.to_bytes() for section in sections)

    def with_words(index, at, value):
        words = np.frombuffer(good[index].content, "<u4").copy()
        words[at] = value
        return joined(
            *good[:index], replace(good[index], content=words.tobytes()), *good[index + 1 :]
        )

    unknown = Section(9, 0, b"class table")
    skipped = Section(9 | OPTIONAL, 0, b"class table")
    padded = np.array(network.layers[0].weights)
    content = bytearray(pack(padded, plan.weights))
    content[-1] = 1
    yield "an optional section first", OK, joined(skipped, *good)
    yield "optional sections last", OK, joined(*good, skipped, skipped)
    yield "an optional section within", OK, joined(*good[:2], skipped, *good[2:])
    yield "an unknown section", OTHER_FORMAT, joined(*good, unknown)
    yield "an unknown section first", OTHER_FORMAT, joined(unknown, *good)
    yield "a section is missing", OTHER_FORMAT, joined(*good[:-1])
    yield "sections in another order", OTHER_FORMAT, joined(good[1], good[0], *good[2:])
    yield "too many updates", CORRUPT, with_words(1, 0, 256)
    yield "too many pending", CORRUPT, with_words(1, 2, plan.batch)
    yield "too many halvings", CORRUPT, with_words(1, 1, 16)
    bad = replace(good[2], content=bytes(content))
    yield "padding that is not zero", CORRUPT, joined(*good[:2], bad, *good[3:])
    if plan.weights == "int16":
        assert plan.layers[0].weight_bits == 15
        for weight in -(1 << 14) - 1, 1 << 14:
            content[:2] = weight.to_bytes(2, "little", signed=True)
            bad = replace(good[2], content=bytes(content[:-1]) + b"\0")
            yield f"a weight of {weight}", CORRUPT, joined(*good[:2], bad, *good[3:])


def test_what_is_not_this_networks_state_is_refused(device):
    case = device.case
    plan = case.network().plan
    factory = case.network().digest()
    learned = learn(case, case.network(), 7)
    for name, status, payload in payloads(case):
        said, _ = device.start((slot(case, payload), ERASED))
        assert (said[0], said[2]) == (status, factory if status else learned.digest()), name
        if status == OK:
            restore(network := case.network(), read_payload(plan, payload))
            assert network.digest() == learned.digest()
        else:
            with pytest.raises(UserError, match="the stored state"):
                read_payload(plan, payload)
    payload = write_payload(plan, learned_state(learned))
    for changes, status in (
        ({"digest": digest(case) ^ 1}, FOREIGN),
        ({"version": 0}, OTHER_FORMAT),
        ({"version": 2}, OTHER_FORMAT),
    ):
        said, _ = device.start((slot(case, payload, **changes), ERASED))
        assert (said[0], said[2]) == (status, factory)


FAULTS = {
    "ranges": ("weight < -half || weight >= half", "weight < 2 * -half || weight >= 2 * half"),
    "padding": ("is_padding && weight != 0", "is_padding && weight > 1000"),
    "updates": ("words[0] >= SPELA_SCAN_INTERVAL", "words[0] > SPELA_SCAN_INTERVAL"),
    "pending": ("words[2] >= model->batch", "words[2] > model->batch"),
    "halvings": ("words[1] > SPELA_HALVINGS_MAX", "words[1] > 2U * SPELA_HALVINGS_MAX"),
    "unknown sections": (
        "walk->stream->failed || (head[0] & SECTION_OPTIONAL) == 0U",
        "walk->stream->failed",
    ),
    "version": ("view->version == SPELA_STORE_FORMAT_VERSION &&", ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_check_that_is_missing_is_seen(fault, tmp_path):
    if not COMPILERS:
        pytest.skip("no compiler for this machine (gcc, clang or zig)")
    case = CASES["int16"]
    model = tmp_path / "model"
    model.mkdir()
    file = "spela_store.c" if fault == "version" else "spela_payload.c"
    change = (file, *FAULTS[fault])
    program = build("store_image", write_model(case, model), tmp_path, level="O0", change=change)
    device = Device(case, program, tmp_path / "flash.bin")
    wrong = []
    for name, status, payload in payloads(case):
        said, _ = device.start((slot(case, payload), ERASED))
        wrong += [name] if said[0] != status else []
    payload = write_payload(case.network().plan, learned_state(case.network()))
    slots = slot(case, payload, 1), slot(case, payload, 2, version=2)
    wrong += ["version"] if device.start(slots)[0][0] != OK else []
    assert wrong


def test_a_payload_that_ends_too_early_is_refused(device):
    case = device.case
    network = learn(case, case.network(), 7)
    payload = write_payload(network.plan, learned_state(network))
    factory = case.network().digest()
    for size in (1, 4, 8, 31, 33, 60, len(payload) // 2, len(payload) - 1):
        said, _ = device.start((slot(case, payload[:size]), ERASED))
        assert said[0] != OK
        assert said[2] == factory
        with pytest.raises(UserError, match="the stored state"):
            read_payload(network.plan, payload[:size])


HALF = 1 << 31


@pytest.mark.parametrize(
    ("numbers", "changes", "expected"),
    [
        ((1, 2), ({}, {}), 1),
        ((3, 2), ({}, {}), 0),
        ((0xFFFFFFFF, 0), ({}, {}), 1),
        ((1, 0xFFFFFFFE), ({}, {}), 0),
        ((HALF - 1, HALF), ({}, {}), 1),
        ((HALF + 1, HALF - 1), ({}, {}), 0),
        ((1, 2), ({}, {"digest": 1}), 0),
        ((1, 2), ({}, {"version": 2}), 0),
        ((1, 2), ({"digest": 1}, {"version": 2}), 1),
        ((2, 1), ({"digest": 1}, {"digest": 2}), 0),
        ((2, 1), ({}, None), 0),
        ((1, 2), (None, {}), 1),
        ((1, 2), (None, None), None),
    ],
)
def test_python_and_the_chip_take_the_same_slot(device, numbers, changes, expected):
    case = device.case
    states = [learn(case, case.network(), steps) for steps in (3, 8)]
    payloads = [write_payload(state.plan, learned_state(state)) for state in states]
    slots = tuple(
        ERASED if change is None else slot(case, payload, number, **change)
        for payload, number, change in zip(payloads, numbers, changes, strict=True)
    )
    assert slot_in_use(slots, digest(case), unit_bytes=UNIT) == expected
    said, after = device.start(slots, steps=1)
    if expected is not None and changes[expected] == {}:
        assert (said[0], said[2]) == (OK, states[expected].digest())
    kept = 1 if expected is None else expected
    assert [a == b for a, b in zip(slots, after, strict=True)] == [kept == 0, kept == 1]
    there = [read_slot(one, unit_bytes=UNIT) for one in slots if one != ERASED]
    assert said[1] == (newest(there).number if there else 0)
    assert read_slot(after[1 - kept], unit_bytes=UNIT).number == (said[1] + 1) % (1 << 32)


def newest(saved):
    return saved[0] if len(saved) == 1 or saved[0].is_newer(saved[1]) else saved[1]


def test_damaged_slots_are_not_whole():
    good = write_slot(SavedState(1, 2, b"payload"), unit_bytes=4, slot_bytes=256)
    assert read_slot(good, unit_bytes=4) == SavedState(1, 2, b"payload")
    for at in (*range(32), 44, 50):
        bad = bytearray(good)
        bad[at] ^= 1
        assert read_slot(bytes(bad), unit_bytes=4) is None
    assert read_slot(good, unit_bytes=8) is None
    assert read_slot(good[:20], unit_bytes=4) is None
    assert read_slot(good[:32] + b"\xff" * 12 + good[44:], unit_bytes=4) is None
    one_seal = good[:32] + b"\xff" * 8 + good[40:]
    assert read_slot(one_seal, unit_bytes=4) == SavedState(1, 2, b"payload")


def test_a_slot_that_is_too_small_is_refused():
    with pytest.raises(
        UserError, match="a slot of 48 bytes is too small for a state that takes 51"
    ):
        write_slot(SavedState(1, 2, b"payload"), unit_bytes=4, slot_bytes=48)
    with pytest.raises(ValueError, match="unit_bytes is 12"):
        write_slot(SavedState(1, 2, b""), unit_bytes=12, slot_bytes=256)


# ---------------------------------------------------------------------------- lifetime


def test_what_a_save_takes():
    # A state of 6,000 bytes in a sector of 16 KB: 1,500 words, 8 of the header, 3 seals.
    found = save_time(PARTS["STM32F407"], [16384], 6000)
    assert found == Duration(0.25 + 1511 * 16e-6, 0.5 + 1511 * 100e-6)
    found = save_time(PARTS["STM32L476"], [2048] * 3, 6001)
    assert found.longest == pytest.approx(3 * 24.47e-3 + (4 + 3 + 751) * 90.76e-6)
    found = save_time(PARTS["W25Q16JV"], [4096, 4096], 6000)
    assert found.typical == pytest.approx(2 * 45e-3 + (1 + 3 + 24) * 0.4e-3)


def test_how_long_a_store_lasts():
    assert saves_endured(PARTS["nRF52840"]) == 20_000
    assert years_endured(PARTS["nRF52840"], 4) == pytest.approx(13.69, abs=0.01)
    assert years_endured(PARTS["W25Q16JV"], 24) == pytest.approx(22.8, abs=0.1)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="has no blocks of"):
        save_time(PARTS["STM32L476"], [4096], 10)
    with pytest.raises(ValueError, match="too few"):
        save_time(PARTS["STM32L476"], [2048], 2048)
    with pytest.raises(ValueError, match="not above 0"):
        years_endured(PARTS["nRF52840"], 0)
