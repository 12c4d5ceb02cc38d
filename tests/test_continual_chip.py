"""Classes that come and go on simulated chips: equal to numpy, within the plans of memory."""

import pytest
from faulty_build import build_faulty
from toy import build_toy, toy, toy_samples

from spela_mcu.data.dataset import Lesson
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.memory import FAULT_STACK_BYTES
from spela_mcu.firmware.preflight import Preflight
from spela_mcu.firmware.stack import worst_case_stack
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.proof.classes import compare_classes
from spela_mcu.proof.equality import Probes
from spela_mcu.simulators.unicorn import UnicornSimulator
from spela_mcu.store.payload import learned_state, read_payload, restore, write_payload

BOARDS = ("microbit", "stm32f4_discovery")
KEYS = {"classes": 3, "spare": 2, "unknown_by": "margin", "batch": 2}
CASES = {
    board: toy(board, drawn=False, rehearsed=rehearsed, **KEYS)
    for board, rehearsed in zip(BOARDS, (3, "means"), strict=True)
}
SAMPLES, MEANS = BOARDS
FLASHES = ("pico", "stm32l552")
"""Flash of which the simulated controllers forgive nothing."""

FAULTS = {
    "a spare class is answered": (
        MEANS,
        "spela_continual.c",
        "classes[c].is_active != 0U && c != other_than",
        "c != other_than",
    ),
    "the memory is not a fair choice": (
        SAMPLES,
        "spela_memory.c",
        "draw(network, now);",
        "draw(network, now + 1U);",
    ),
    "a mean follows too slowly": (
        MEANS,
        "spela_memory.c",
        "mean_weight(seen);",
        "mean_weight(seen) + 1U;",
    ),
    "the noise is not of the input": (
        MEANS,
        "spela_memory.c",
        "deviations[i] * z",
        "deviations[0] * z",
    ),
    "too little is rehearsed": (MEANS, "spela_learn_continual.h", "REHEARSED 4U", "REHEARSED 3U"),
    "a class stays": (MEANS, "spela_continual.c", "spare = {0U, 0U}", "spare = {0U, 1U}"),
}


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    return {
        board: build_toy(case, tmp_path_factory.mktemp(board) / "p")
        for board, case in CASES.items()
    }


def planned(case, build):
    return Preflight(
        plan=case.network().plan,
        weights_in_flash=True,
        inference_only=False,
        compiler=build.compiler.name,
        optimization=build.optimization,
    ).memory(load_board(build.project.board.id))


def compared(case, build):
    """Both meet a new class, rehearse, and forget it."""
    x, y = toy_samples(case, 12)
    lessons = [Lesson(sample, sample, label) for sample, label in zip(x, y.tolist(), strict=True)]
    reference = case.network()
    with UnicornSimulator().start(build) as machine:
        device = Device(machine)
        for lesson in lessons:  # the memory has something of each class
            reference.learn(lesson.inputs, lesson.label)
            device.learn(lesson.sample, lesson.label, digest=False)
        found = compare_classes(reference, device, lessons, Probes(x, x))
        return found, reference, device.export_payload(), machine.stack_high_water_bytes()


@pytest.mark.parametrize("board", BOARDS)
def test_the_chip_equals_numpy_within_the_plans(board, builds):
    case, build = CASES[board], builds[board]
    memory = planned(case, build)
    assert build.ram_bytes == memory.ram
    assert build.flash_bytes <= memory.flash
    stack = worst_case_stack(build.read_elf())
    assert stack.bytes <= memory.stack - FAULT_STACK_BYTES, stack.path

    found, reference, payload, used = compared(case, build)
    assert found.difference is None
    assert found.steps > 20
    assert used <= stack.bytes
    state = read_payload(reference.plan, payload)
    assert payload.startswith(write_payload(reference.plan, state))
    assert restored(case, state).digest() == reference.digest()
    assert write_payload(reference.plan, learned_state(reference))[32:] in payload


def restored(case, state):
    network = case.network()
    restore(network, state)
    return network


@pytest.mark.parametrize("board", FLASHES)
def test_samples_in_flash_are_those_in_ram(board, tmp_path):
    case = toy(board, drawn=False, rehearsed=3, memory="flash", **KEYS)
    build = build_toy(case, tmp_path / "p")
    memory = planned(case, build)
    assert build.ram_bytes == memory.ram
    assert build.flash_bytes <= memory.flash
    assert build.project.board.store.address == memory.rehearsal.region.address
    stack = worst_case_stack(build.read_elf())
    assert stack.bytes <= memory.stack - FAULT_STACK_BYTES, stack.path
    found, reference, payload, _ = compared(case, build)
    assert found.difference is None
    assert payload.startswith(write_payload(reference.plan, read_payload(reference.plan, payload)))
    assert restored(case, read_payload(reference.plan, payload)).digest() == reference.digest()
    with UnicornSimulator().start(build) as machine, machine.counting("spela_learn") as calls:
        x, y = toy_samples(case, 1)
        Device(machine).learn(x[0], int(y[0]), digest=False)  # erases a block, maybe in a ROM
        assert calls[0].instructions > calls[0].functions["spela_flash_program"] > 0
        Device(machine).save()
        state, flash = Device(machine).export_payload(), machine.read_store()
    with UnicornSimulator().start(build, flash) as machine:  # after a power cut
        assert Device(machine).export_payload() == state


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, builds):
    board, *change = FAULTS[fault]
    case, build = CASES[board], builds[board]
    faulty = build_faulty(build.project.path, *change, folder="continual")
    assert compared(case, faulty)[0].difference is not None


def test_only_a_model_that_keeps_means_has_their_code(builds):
    of_means = {"spela_deviations", "spela_drawn"}
    assert of_means <= builds[MEANS].read_elf().by_name.keys()
    assert not of_means & builds[SAMPLES].read_elf().by_name.keys()


def test_a_runtime_without_means_refuses_the_model(builds, monkeypatch):
    monkeypatch.setattr("spela_mcu.firmware.runtime.MEANS_DEFINE", "SPELA_OTHERWISE")
    with pytest.raises(UserError, match="spela_runtime_for_means"):
        build_project(builds[MEANS].project.path, find_compiler("gcc"))
