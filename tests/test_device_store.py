"""States in a simulated board's flash: saved, loaded, rolled back, exported, imported."""

import struct
import zlib

import numpy as np
import pytest
from toy import build_toy, toy, toy_samples

from spela_mcu.device.answers import Rate, StoreStatus, Thresholds
from spela_mcu.device.device import Device
from spela_mcu.device.protocol import Command, DeviceError, Status
from spela_mcu.errors import UserError
from spela_mcu.firmware.build import build_with
from spela_mcu.firmware.directory import write_project
from spela_mcu.simulators.base import SimulationError
from spela_mcu.simulators.choice import simulator_named
from spela_mcu.simulators.flash_image import powered
from spela_mcu.simulators.unicorn import UnicornSimulator
from spela_mcu.store.payload import learned_state, write_payload

CASE = toy()
BATCH = toy("nrf52840dk", batch=4)
X, Y = toy_samples(CASE, 40)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds a case, once for all tests: no two are of the same board."""
    made = {}

    def build(case):
        board = case.project.board.id
        if board not in made:
            made[board] = build_toy(case, tmp_path_factory.mktemp("store") / "p")
        return made[board]

    return build


@pytest.fixture
def device(built):
    with UnicornSimulator().start(built(CASE)) as machine:
        yield Device(machine)


def refusal(call, *arguments):
    with pytest.raises(DeviceError) as raised:
        call(*arguments)
    return raised.value.status


def ask(device, command, flags=0, argument=0, data=b""):
    return device._ask(command, flags=flags, argument=argument, data=data)


# one board of each driver, and each simulator that can program its flash
@pytest.mark.parametrize(
    ("case", "simulator"),
    [
        (CASE, "unicorn"),
        (CASE, "qemu"),
        (BATCH, "unicorn"),
        (toy("microbit"), "qemu"),
        (toy("stm32f4_discovery"), "unicorn"),
        (toy("stm32f4_discovery"), "renode"),
        (toy("stm32l552"), "unicorn"),
        (toy("stm32l552"), "renode"),
        (toy("pico"), "unicorn"),
        (toy("pico"), "renode"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.project.board.id,
)
def test_what_was_saved_outlives_the_power(case, simulator, built, tmp_path):
    tool = simulator_named(simulator)
    if not tool.is_installed():
        pytest.skip(f"{simulator} is not installed")
    flash = tmp_path / "flash.bin"
    reference, made = case.network(), built(case)
    with powered(tool, made, flash) as one:
        device = Device(one)
        assert (device.info().can_save, device.info().start) == (True, StoreStatus.EMPTY)
        device.partial_fit(X[:10], Y[:10])
        reference.partial_fit(X[:10], Y[:10])
        device.rate(0, Rate(40000, 20))
        assert device.save().saves == 1
        device.partial_fit(X[10:], Y[10:])
        device.checkpoint() if device.info().can_checkpoint else device.save()
    with powered(tool, made, flash) as one:
        device = Device(one)
        assert device.info().start == StoreStatus.OK
        if device.info().can_checkpoint:
            assert device.counters().digest == reference.digest()
            assert device.rate(0) == Rate(40000, 20)
            device.rollback()
        assert device.counters().samples == 40


@pytest.mark.parametrize(
    ("board", "old", "new", "words"),
    [
        ("nrf52840dk", "NVMC_CONFIG = CONFIG_WRITE;", "", "the controller not told so"),
        ("stm32f4_discovery", "CR_PG | CR_WORDS", "CR_WORDS", "the controller not told so"),
        (
            "pico",
            "return store->unit_bytes == PAGE_BYTES &&",
            "*(volatile uint32_t *)(uintptr_t)address = *data;\n    return",
            "only the boot ROM programs it",
        ),
    ],
)
def test_a_driver_that_stores_to_flash_as_to_memory_is_told(board, old, new, words, tmp_path):
    project = toy(board).project
    text = project.files["port/flash.c"]
    assert old in text
    write_project(project, tmp_path / "p")
    (tmp_path / "p/port/flash.c").write_text(text.replace(old, new))
    build = build_with(tmp_path / "p", "auto", "O1")
    with (
        UnicornSimulator().start(build) as machine,
        pytest.raises(SimulationError, match=words),
    ):
        Device(machine).save()


def test_load_goes_back_to_what_was_saved(device):
    device.partial_fit(X[:5], Y[:5])
    device.name(2, "cup")
    before, figures = device.counters(), device.statistics()
    saved = device.save()
    device.partial_fit(X[5:], Y[5:])
    device.name(2, "jug")
    assert device.load() == saved
    assert (device.counters(), device.statistics(), device.name(2)) == (before, figures, "cup")
    assert device.store().bytes == saved.bytes == len(device.export_payload())
    assert device.store(checkpoint=True).status == StoreStatus.EMPTY
    assert refusal(device.rollback) == Status.STORE_EMPTY


def test_a_checkpoint_is_not_what_the_device_starts_from(device):
    device.partial_fit(X[:5], Y[:5])
    good = device.counters()
    device.checkpoint()
    device.partial_fit(X[5:20], Y[5:20])
    device.save()
    device.rollback()
    assert device.counters() == good
    device.load()
    assert device.counters().samples == 20
    device.reset()
    assert device.counters().samples == 0
    device.load()
    assert device.counters().samples == 20


def test_an_export_is_the_device_in_python_and_the_reverse(device):
    twin = CASE.network()
    device.partial_fit(X[:10], Y[:10])
    device.export(twin)
    assert twin.digest() == device.counters().digest
    twin.partial_fit(X[10:], Y[10:])
    device.name(1, "one")
    saved = device.restore(twin)
    assert device.counters().digest == twin.digest()
    assert device.name(1) == "one"  # what Python wrote has no names
    assert device.store().saves == saved.saves == 1
    assert device.learn(X[0], 1).digest == twin_after(twin, X[0], 1)


def twin_after(network, sample, label):
    network.learn(sample, label)
    return network.digest()


def test_pending_updates_are_exported_and_imported(built):
    x, y = toy_samples(BATCH, 7)
    with UnicornSimulator().start(built(BATCH)) as machine:
        device, reference = Device(machine), BATCH.network()
        device.partial_fit(x, y)
        reference.partial_fit(x, y)
        assert device.layer_part(1, 0, 0).pending == len(reference.layers[1].pending) > 0
        copy = device.export(BATCH.network())
        assert copy.digest() == reference.digest()
        device.reset()
        device.restore(copy)
        assert device.counters().digest == reference.digest()


def start(payload, model):
    """An import's beginning, as `Device` asks for it."""
    crc = zlib.crc32(payload)
    return Command.IMPORT_START, 0, len(payload), struct.pack("<II", model, crc)


def part(offset, data):
    return Command.IMPORT_PART, 0, offset, data


def test_a_broken_import_changes_nothing(device):
    network = CASE.network()
    network.partial_fit(X, Y)
    payload = write_payload(network.plan, learned_state(network))
    model = device.info().digest
    device.partial_fit(X[:3], Y[:3])
    device.save()
    device.partial_fit(X[3:5], Y[3:5])
    before, stored = device.counters(), device.store()

    def check(status, changed, *, model=model):
        assert refusal(device.import_payload, changed, model) == status
        assert (device.counters(), device.store()) == (before, stored)

    check(Status.STORE_FOREIGN, payload, model=model ^ 1)
    check(Status.STORE_SIZE, bytes(1 << 20))
    check(Status.STORE_CORRUPT, payload[:-40] + b"\x7f" * 40)  # padding that is not zero
    check(Status.STORE_OTHER_FORMAT, b"\x09" + payload[1:])
    check(Status.STORE_OTHER_FORMAT, payload + bytes(8))
    assert refusal(device.import_payload, b"", model) == Status.STORE_ARGUMENT
    # what a device that was switched off in between says to the next part
    assert refusal(ask, device, *part(0, payload[:8])) == Status.ORDER
    ask(device, *start(payload, model))
    assert refusal(ask, device, *part(8, payload[8:16])) == Status.ORDER
    ask(device, *part(0, payload[:8]))
    assert refusal(ask, device, Command.IMPORT_END) == Status.ORDER
    device.store()
    assert refusal(ask, device, *part(8, payload[8:16])) == Status.ORDER
    assert (device.counters(), device.store()) == (before, stored)
    device.load()
    assert device.counters().samples == 3
    device.import_payload(payload, model)
    assert device.counters().digest == network.digest()


def test_another_model_is_told(device):
    other = toy(layers=(16, 9)).network()
    for call in (device.export, device.restore):
        with pytest.raises(UserError, match="another"):
            call(other)


def test_a_board_without_a_store_exports_and_says_so(built):
    case = toy("bluepill")
    with UnicornSimulator().start(built(case)) as machine:
        device, reference = Device(machine), case.network()
        device.partial_fit(X, Y)
        reference.partial_fit(X, Y)
        assert device.export(case.network()).digest() == reference.digest()
        for call in (device.save, device.load, device.checkpoint, device.rollback, device.store):
            assert refusal(call) == Status.NO_STORE
        assert refusal(device.restore, reference) == Status.NO_STORE
        assert not device.info().can_save


def test_a_frozen_device_does_not_learn(device):
    device.freeze()
    assert device.info().is_frozen
    assert refusal(device.learn, X[0], 1) == Status.FROZEN
    device.freeze(frozen=False)
    device.learn(X[0], 1)
    assert device.counters().samples == 1


def test_names_are_short(device):
    assert device.name(0) is None
    assert device.name(0, "Käse") == device.name(0) == "Käse"
    with pytest.raises(UserError, match="12 bytes"):
        device.name(0, "thirteen char")
    assert refusal(device.name, 5) == Status.ERROR_ARGUMENT


def test_statistics_tell_confidence_and_drift(device):
    reference = CASE.network()
    margins = {label: [] for label in range(CASE.classes)}
    learned, right = [0] * CASE.classes, [0] * CASE.classes
    for sample, label in zip(X, Y.tolist(), strict=True):
        said = reference.infer(sample)[-1]
        margins[said.label].append(said.margin)
        learned[label] += 1
        right[label] += said.label == label
        device.learn(sample, label)
        reference.learn(sample, label)
    figures = device.statistics()
    assert figures.updates + figures.skipped == 2 * len(X)
    for label, one in enumerate(figures.classes):
        assert (one.learned, one.right) == (learned[label], right[label])
        assert (one.answered, one.margins) == (len(margins[label]), sum(margins[label]))
        if margins[label]:
            assert one.confidence == pytest.approx(np.mean(margins[label]) / 16384)  # floats
            assert abs(one.drift) < 2
    assert [one.saturated for one in figures.layers] == [reference.saturated(i) for i in (0, 1)]


def test_thresholds_are_bounded(device):
    assert device.thresholds(0, Thresholds(3000, -5)) == device.thresholds(0)
    for wrong in (Thresholds(-1, 0), Thresholds(0, 16385), Thresholds(0, -16385)):
        assert refusal(device.thresholds, 0, wrong) == Status.ERROR_ARGUMENT
    assert device.thresholds(0) == Thresholds(3000, -5)
    assert refusal(device.thresholds, 2) == Status.ERROR_ARGUMENT
