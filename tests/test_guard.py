"""The guard: samples that are never learned, and a way back when learning goes wrong."""

import struct
from dataclasses import astuple

import numpy as np
import pytest
from beside_twin import differing, flash_of, twin_of
from host_process import build_application, sanitizing_compilers
from toy import build_toy, toy

from spela_mcu.cli.device_view import guard_text
from spela_mcu.data.dataset import Split
from spela_mcu.device.answers import GuardFigures, Rate
from spela_mcu.device.device import Device
from spela_mcu.device.protocol import Command, decode_frame, encode_frame, request
from spela_mcu.device.twin import Twin
from spela_mcu.errors import UserError
from spela_mcu.firmware.guard import GuardSamples, guard_bytes, make_guard
from spela_mcu.firmware.memory import FAULT_STACK_BYTES, GUARD_CODE_BYTES, stack_bytes
from spela_mcu.firmware.stack import worst_case_stack
from spela_mcu.pipeline import prepare
from spela_mcu.simulators.unicorn import UnicornSimulator
from spela_mcu.spec.learning import Guard
from spela_mcu.spec.load import load_spec

INPUTS, CLASSES, INTERVAL = 13, 5, 8
PLACES = np.random.default_rng(5).choice((-100, 100), (CLASSES, INPUTS))


def lessons(n, seed, turned=0):
    """Samples int8 [n, INPUTS] about their classes' places, and labels, `turned` classes on."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, n)
    x = np.clip(PLACES[labels] + generator.integers(-12, 13, (n, INPUTS)), -127, 127)
    return x.astype(np.int8), (labels + turned) % CLASSES


HELD_OUT = lessons(20, 1)
GUARD = GuardSamples(*HELD_OUT, drop=4, interval=INTERVAL)
CASES = {
    "store": {"guard": GUARD},
    "no store": {"guard": GUARD, "store": False},
    "batch": {"guard": GUARD, "batch": 3},
}
CASE = toy(guard=GUARD)


def fast_rates():
    """Of each layer: 32 times the model's, so that few samples suffice."""
    learners = [layer.learner for layer in CASE.network().plan.layers]
    return [Rate(one.rate_mantissa, one.rate_shift - 5) for one in learners]


def conversation():
    """It learns, is checkpointed, is poisoned, learns again, and is poisoned after a reset."""
    number = iter(range(1, 1000))

    def ask(command, **fields):
        return encode_frame(request(command, number=next(number), **fields))

    def learn(n, seed, turned=0):
        x, y = lessons(n, seed, turned)
        return [
            ask(Command.LEARN, flags=1, argument=label, data=sample.tobytes())
            for sample, label in zip(x, y.tolist(), strict=True)
        ]

    def hurry():
        return [
            ask(Command.RATE, argument=index, data=struct.pack("<Hh", *astuple(rate)))
            for index, rate in enumerate(fast_rates())
        ]

    looks = [ask(Command.GUARD), ask(Command.STATISTICS), ask(Command.INFO)]
    return [
        *(*hurry(), ask(Command.GUARD), *learn(10 * INTERVAL, 2), ask(Command.CHECKPOINT)),
        *(*looks, *learn(4 * INTERVAL + 3, 3, turned=1), ask(Command.SAVE), ask(Command.GUARD)),
        *(*learn(2 * INTERVAL, 4), ask(Command.GUARD), ask(Command.LOAD), ask(Command.GUARD)),
        *(
            ask(Command.RESET),
            *hurry(),
            *learn(2 * INTERVAL, 2),
            ask(Command.ROLLBACK),
            ask(Command.GUARD),
        ),
    ]


@pytest.fixture(scope="module")
def compiler():
    found = sanitizing_compilers()
    if not found:
        pytest.skip("no compiler with sanitizers (gcc, clang or zig)")
    return next(iter(found.values()))


@pytest.mark.parametrize("name", CASES)
def test_the_device_answers_as_the_twin(name, compiler, tmp_path):
    case = toy(**CASES[name])
    program = build_application(case.project, tmp_path / "p", compiler)
    assert differing(twin_of(case, GUARD), program, conversation()) is None


FAULTS = {
    "back one sample too late": ("APPLICATION_GUARD_DROP >=", "APPLICATION_GUARD_DROP + 1U >="),
    "back to the saved state": ("STORE_CHECKPOINT) !=", "STORE_SAVED) !="),
    "going back is not counted": ("device->kept.times_back = (", "device->kept.since_look = ("),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name, compiler, tmp_path):
    change = ("application/guard.c", *FAULTS[name])
    program = build_application(CASE.project, tmp_path / "p", compiler, change=change)
    assert differing(twin_of(CASE, GUARD), program, conversation()) is not None


def teach(device, n, seed, turned=0):
    """How often the guard went back."""
    for index, rate in enumerate(fast_rates()):
        device.rate(index, rate)
    x, y = lessons(n, seed, turned)
    return sum(device.learn(*one).went_back for one in zip(x, y.tolist(), strict=True))


def test_a_poisoning_stream_makes_it_go_back():
    """Labels that are wrong undo what was learned; the guard brings it back in time."""
    device = Device(twin_of(CASE, GUARD))
    assert device.info().has_guard
    assert teach(device, 200, 2) == 0
    device.checkpoint()
    before, guard = device.counters().digest, device.guard()
    assert guard.right == guard.baseline >= GUARD.count - GUARD.drop
    times = teach(device, 12 * INTERVAL, 3, turned=1)
    assert times >= 2
    device.rollback()
    assert device.counters().digest == before

    free = Device(twin_of(CASE))  # the same without a guard forgets
    teach(free, 200, 2)
    teach(free, 12 * INTERVAL, 3, turned=1)
    labels = [free.infer_last(sample).label for sample in HELD_OUT[0]]
    assert np.count_nonzero(labels == HELD_OUT[1]) < GUARD.count / 2


def test_going_back_restores_the_checkpoint():
    device = Device(twin_of(CASE, GUARD))
    teach(device, 200, 2)
    device.checkpoint()
    before = device.counters().digest
    for sample, label in zip(*lessons(12 * INTERVAL, 3, turned=1), strict=True):
        learned = device.learn(sample, int(label))
        if learned.went_back:
            break
    assert learned.went_back
    assert learned.digest == before
    assert device.guard().times_back == 1


def test_another_guards_baseline_does_not_count():
    """A device whose firmware was generated anew goes on with the state that the old one saved."""
    flash = flash_of(CASE.project)
    old = Device(Twin(CASE.network(), CASE.project.model, flash=flash))
    teach(old, 200, 2)
    old.save()
    new = Device(Twin(CASE.network(), CASE.project.model, flash=flash, guard=GUARD))
    assert new.guard().baseline == new.guard().right > GUARD.count / 2


# ----------------------------------------------------------------------------- samples


def split_of(labels):
    labels = np.array(labels, np.int64)
    return Split(np.arange(len(labels), dtype=np.float32)[:, None] / 127, labels)


def test_classes_take_turns():
    made = make_guard(Guard(samples=7, drop=1), split_of([2, 2, 2, 0, 0, 1, 2, 1, 2]), 3)
    assert made.labels.tolist() == [0, 1, 2, 0, 1, 2, 2]
    assert made.samples[:, 0].tolist() == [3, 5, 0, 4, 7, 1, 2]
    assert make_guard(Guard(), split_of([0, 1]), 2) is None


@pytest.mark.parametrize(("samples", "said"), [(2, "3 classes"), (5, "part has 4")])
def test_what_cannot_be_chosen_is_refused(samples, said):
    with pytest.raises(UserError, match=said):
        make_guard(Guard(samples=samples), split_of([0, 1, 2, 0]), 3)


@pytest.mark.parametrize(
    ("section", "said"),
    [("{drop: 3}", "no guard"), ("{samples: 3, drop: 3}", "lost"), ("{samples: -1}", "0")],
)
def test_what_cannot_be_is_refused(section, said, tmp_path):
    file = tmp_path / "model.yaml"
    file.write_text(
        "name: m\ndata: {source: sklearn}\nnetwork: {layers: [{units: 9}]}\n"
        f"guard: {section}\n"
    )
    with pytest.raises(UserError, match=said):
        load_spec(file)


def test_a_model_yaml_brings_its_guard(tmp_path):
    """Samples of the validation part, whose flash the pre-flight counts."""
    file = tmp_path / "model.yaml"
    text = (
        "name: m\ndata: {source: sklearn, dataset: iris}\nnetwork: {layers: [{units: 9}]}\n"
        "learning: {start: untrained}\n"
    )
    file.write_text(text)
    plain = prepare(file)
    file.write_text(text + "guard: {samples: 6, drop: 1}\n")
    guarded = prepare(file)
    inputs = guarded.dataset.inputs
    assert plain.guard is None
    assert sorted(guarded.guard.labels.tolist()) == [0, 0, 1, 1, 2, 2]
    held_out = set(map(bytes, guarded.dataset.validation.samples))
    assert {bytes(sample) for sample in guarded.guard.samples} <= held_out
    assert guarded.memory.tables == plain.memory.tables + guard_bytes(6, inputs)
    assert guarded.memory.ram == plain.memory.ram
    assert guarded.source() == plain.source()


def test_stats_tell_what_the_guard_sees():
    seen = GuardFigures(samples=20, right=14, baseline=16, drop=4, interval=8, times_back=2)
    assert guard_text(seen) == (
        "guard: 14 of 20 samples right, 16 at the checkpoint; below 12 it goes back, which it did "
        "2 times; it looks every 8 samples learned"
    )


# ------------------------------------------------------------------------- on the chip


def test_the_firmware_goes_back_and_takes_the_bytes_planned(tmp_path):
    plain = build_toy(toy(), tmp_path / "plain")
    build = build_toy(CASE, tmp_path / "guarded")
    table = guard_bytes(GUARD.count, INPUTS)
    assert table <= build.flash_bytes - plain.flash_bytes <= table + GUARD_CODE_BYTES["O2"]
    assert build.ram_bytes == plain.ram_bytes
    reserved = stack_bytes(CASE.project.board, learns=True, sums_updates=False)
    assert worst_case_stack(build.read_elf()).bytes + FAULT_STACK_BYTES <= reserved
    twin = twin_of(CASE, GUARD)
    with UnicornSimulator().start(build) as machine:
        for frame in conversation():
            assert decode_frame(machine.exchange(frame)[:-1]) == twin.answer(frame[:-1])
