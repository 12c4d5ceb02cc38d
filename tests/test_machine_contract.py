"""What every simulator's machine does alike: counts, memory, stack, independence."""

import pytest
from toy import build_toy, toy, toy_samples

from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.stack import worst_case_stack
from spela_mcu.simulators.base import STACK_PAINT
from spela_mcu.simulators.choice import simulator_named

pytestmark = pytest.mark.xdist_group("contract")  # one firmware is built

SIMULATORS = ("unicorn", "qemu", "renode")
CASE = toy("mps2-an385")  # all of them know it
X, Y = toy_samples(CASE, 12)
NOWHERE = 0x90000000


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return build_toy(CASE, tmp_path_factory.mktemp("contract") / "p")


@pytest.fixture(params=[pytest.param(s, marks=pytest.mark.needs_simulator(s)) for s in SIMULATORS])
def simulator(request):
    return simulator_named(request.param)


@pytest.fixture
def machine(simulator, build):
    with simulator.start(build) as machine:
        yield machine


def test_every_call_is_counted_and_answers_are_the_same(machine):
    device = Device(machine)
    plain = [device.infer_last(sample) for sample in X]
    with machine.counting("spela_infer", "spela_infer_exit", "spela_digest") as calls:
        assert [device.infer_last(sample) for sample in X] == plain
        device.counters()
        device.infer(X[0])
    names = ["spela_infer"] * len(X) + ["spela_digest"] + ["spela_infer_exit"] * 2
    assert [call.symbol for call in calls] == names
    assert calls[0].instructions > CASE.project.model.infer_macs
    with machine.counting("spela_infer") as again:
        device.infer_last(X[0])
    assert device.infer_last(X[0]) == plain[0]
    assert again == calls[:1]
    assert len(calls) == len(names)


def test_equal_calls_cost_the_same(machine):
    device = Device(machine)
    with machine.counting("spela_infer") as calls:
        for _ in range(3):
            device.infer_last(X[1])
    assert len({call.instructions for call in calls}) == 1


def test_counting_what_is_not_there(machine):
    with (
        pytest.raises(UserError, match="no function spela_fly"),
        machine.counting("spela_fly"),
    ):
        pass
    assert Device(machine).info().name == "toy"


def test_the_stack_is_painted_and_read_back(machine):
    bottom, top = machine.stack_region()
    first = machine.stack_high_water_bytes()
    Device(machine).learn(X[0], 1)
    used = machine.stack_high_water_bytes()
    assert 0 < first < used <= worst_case_stack(machine.build.read_elf()).bytes < top - bottom
    assert machine.read_memory(bottom, 16) == bytes([STACK_PAINT]) * 16


def test_memory_is_read_as_the_elf_has_it(machine):
    ((address, data), *_) = machine.build.read_elf().load_segments
    assert machine.read_memory(address + 1, 5000) == data[1:5001]
    with pytest.raises(ValueError, match=f"no memory at {NOWHERE:#x}"):
        machine.read_memory(NOWHERE, 4)
    assert Device(machine).info().name == "toy"


def test_two_machines_are_independent(simulator, build):
    with simulator.start(build) as one, simulator.start(build) as other:
        Device(one).learn(X[0], 1)
        with one.counting("spela_learn") as calls, other.counting("spela_learn") as others:
            Device(one).learn(X[1], 1)
        assert (len(calls), others) == (1, [])
        assert Device(one).counters().samples == 2
        assert Device(other).counters().samples == 0
        Device(other).learn(X[1], 2)
        assert Device(one).counters().samples == 2
