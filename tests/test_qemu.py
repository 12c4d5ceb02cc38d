"""QEMU: the same bits and the same counts as elsewhere, and a readable end to what goes wrong."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from simulators import need_simulator
from toy import Broken, build_toy, toy, toy_samples

from spela_mcu.device.device import Device
from spela_mcu.device.protocol import Command, encode_frame, request
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import load_boards
from spela_mcu.simulators import qemu_plugin
from spela_mcu.simulators.base import SimulationError
from spela_mcu.simulators.counting import CountingError
from spela_mcu.simulators.cycles import estimate_cycles
from spela_mcu.simulators.qemu import QemuSimulator
from spela_mcu.simulators.unicorn import UnicornSimulator

pytestmark = pytest.mark.needs_simulator("qemu")

CASE = toy()
X, Y = toy_samples(CASE, 8)

FORCED = 1 << 30
"""HFSR: another fault that escalated."""


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return build_toy(CASE, tmp_path_factory.mktemp("qemu") / "p")


@pytest.fixture
def machine(build):
    with QemuSimulator().start(build) as machine:
        yield machine


# ----------------------------------------------------------------------- bits and counts


@pytest.mark.parametrize("board", [b.id for b in load_boards() if "qemu" in b.simulators.names])
def test_every_board_answers_as_the_reference_and_counts_as_unicorn(tmp_path, board):
    case = toy(board)
    build = build_toy(case, tmp_path / "p")
    counted = {}
    for simulator in (QemuSimulator(), UnicornSimulator()):
        if simulator.name not in case.project.board.simulators.names:
            continue
        network = case.network()
        with simulator.start(build) as machine:
            device = Device(machine)
            with machine.counting("spela_infer", "spela_learn", "spela_digest") as calls:
                for sample, label in zip(X, Y, strict=True):
                    exits = device.infer(sample)
                    for answer, expected in zip(exits, network.infer(sample), strict=True):
                        assert np.array_equal(answer.scores, expected.scores)
                    device.infer_last(sample)
                    learned = device.learn(sample, int(label))
                    network.learn(sample, int(label))
                    assert learned.digest == network.digest()
            counted[simulator.name] = (calls, machine.stack_high_water_bytes())
    calls, stack = counted["qemu"]
    assert len(calls) == 3 * len(X)
    assert all(call.instructions == sum(call.functions.values()) > 100 for call in calls)
    assert stack > 0
    if "unicorn" in counted:
        assert counted["unicorn"] == counted["qemu"]


@pytest.mark.parametrize("optimization", ["O1", "Os", "O3"])
def test_counts_do_not_depend_on_how_blocks_are_cut(tmp_path, optimization):
    """A breakpoint anywhere in a page makes QEMU translate the whole page singly."""
    build = build_toy(CASE, tmp_path / "p", "auto", optimization)
    elf = build.read_elf()
    with QemuSimulator().start(build) as machine:
        device = Device(machine)

        def count():
            device.reset()
            with machine.counting("spela_learn") as calls:
                device.learn(X[0], 1)
            return calls[0]

        plain = count()
        for page in {function.address & ~0x3FF for function in elf.functions}:
            machine._gdb.set_breakpoint(page | 0x3FF)  # no instruction: never arrived at
        cut = count()
    assert cut == plain
    assert estimate_cycles(elf, "cortex-m4", cut.blocks) > cut.instructions


def test_a_block_that_a_device_cuts_short_is_not_counted_twice(machine):
    """QEMU 8.2 and later leave a block before a load or store of a device's register."""
    frame = encode_frame(request(Command.INFER, data=X[0].tobytes()))
    with machine.counting("protocol_answer") as calls:
        answer = machine.exchange(frame)
    writer = machine.build.read_elf().by_name["port_write"]
    inside = {
        address: times
        for (address, _), times in calls[0].blocks.items()
        if writer.address <= address < writer.address + writer.bytes
    }
    # Its first and its last instruction, and none less often than once a byte.
    assert inside[min(inside)] == inside[max(inside)] == min(inside.values()) == len(answer)


def test_nothing_is_counted_outside(machine):
    device = Device(machine)
    with machine.counting("spela_infer"):
        device.infer_last(X[0])
    counts = machine._plugin_counts()
    before = counts.read()
    device.learn(X[0], 1)
    assert not counts.since(before)


def test_a_machine_that_cannot_count_runs_all_the_same(build, monkeypatch, tmp_path):
    qemu_plugin.counting_plugin.cache_clear()

    def fail():
        raise UserError("no C compiler for this machine", mend="install gcc")

    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path))
        patch.setattr("spela_mcu.host.network.host_compiler", fail)
        with QemuSimulator().start(build) as machine:
            assert Device(machine).infer_last(X[0]) is not None
            for _ in range(2):
                with pytest.raises(CountingError, match="no C compiler") as raised:
                    machine.start_counting(("spela_infer",), [])
                assert raised.value.mend == "install gcc"
            assert Device(machine).info().name == "toy"


def test_a_qemu_that_does_not_load_the_plugin(tmp_path):
    program = tmp_path / "qemu"
    program.write_text("#!/bin/sh\necho 'plugin interface not enabled' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(CountingError, match=r"does not load .* plugin interface not enabled"):
        qemu_plugin.counting_plugin(str(program))


# ------------------------------------------------------------------- between exchanges


def test_the_core_stands_still_between_exchanges(machine):
    Device(machine).info()
    ticks = Path(f"/proc/{machine._process.pid}/stat")
    if not ticks.exists():
        pytest.skip("no /proc to tell how much a process works")

    def worked():
        return sum(map(int, ticks.read_text().rpartition(")")[2].split()[11:13]))

    before = worked()
    time.sleep(0.3)
    assert worked() - before <= 3  # of 30 ticks


# ------------------------------------------------------------------------ what goes wrong

FAULTS = {
    "load": (
        "(void)*(volatile uint32_t *)0x90000000;",
        "bus error on data access, address 0x90000000, in main",
        (0x8200, FORCED, 0x90000000),
    ),
    "undefined": (
        '__asm__ volatile("udf #0");',
        "undefined instruction, in main",
        (1 << 16, FORCED, 0),
    ),
    "even jump": (
        "((void (*)(void))0x00000100)();",
        "invalid state: a jump to an even address, in ",
        (1 << 17, FORCED, 0),
    ),
    "division": (
        "*(volatile uint32_t *)0xE000ED14 |= 16; volatile int n = 0; n = 7 / n;",
        "division by zero, in main",
        (1 << 25, FORCED, 0),
    ),
    "interrupt": (
        "*(volatile uint32_t *)0xE000ED04 = 1u << 28;",  # PendSV
        "no cause given",
        (0, 0, 0),
    ),
}
"""A line of C, what is said of it, and CFSR, HFSR and BFAR (ARMv7-M ARM, B3.2.15, B3.2.16)."""


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return Broken(CASE, tmp_path_factory.mktemp("broken") / "p")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_firmware_tells_its_faults(broken, fault):
    line, words, registers = FAULTS[fault]
    build = broken.build(line)
    with pytest.raises(SimulationError, match=words) as raised:
        QemuSimulator().start(build)
    said = raised.value.__cause__.fault
    assert (said.cfsr, said.hfsr, said.bfar if said.cfsr & 0x8000 else 0) == registers
    assert raised.value.exit_code == 1
    assert raised.value.file == build.elf
    for register in ("lr ", "pc ", "xpsr "):
        assert register in raised.value.reason


def test_an_overflowed_stack_is_told(broken):
    with pytest.raises(SimulationError, match="with an overflowed stack") as raised:
        QemuSimulator().start(broken.build("(void)eat(100000);"))
    assert raised.value.__cause__.fault.registers == {}


NO_UART = [("BOARD_UART_BASE", "0x90001000U")]
STUCK_UART = [("CONTROL_TX_ENABLE |", "")]
SILENT_UART = [("    uart()->data = byte;", "    (void)byte;")]


def test_a_missing_uart_is_told_though_the_firmware_cannot(broken):
    """The fault's report faults too, and the core locks up: QEMU itself gives up."""
    with pytest.raises(SimulationError, match="QEMU gave up: Lockup") as raised:
        QemuSimulator().start(broken.build("", NO_UART))
    # port_init wrote the first register, and the report looked at another.
    assert "the first exception: Data Abort, CFSR.PRECISERR and BFAR 0x90001010" in str(
        raised.value
    )
    for words in (", in port_write+0x", "called from port_on_fault+0x", "r0 ", "sp ", "xpsr "):
        assert words in raised.value.reason


@pytest.mark.parametrize(
    ("line", "uart", "place"),
    [
        ("for (volatile int i = 0;; i++) {}", (), "in main"),
        ("", STUCK_UART, "in port_write"),
        ("", SILENT_UART, "in port_read"),
    ],
)
def test_a_firmware_that_does_not_answer_is_given_up(broken, monkeypatch, line, uart, place):
    for module in ("qemu", "stream"):
        monkeypatch.setattr(f"spela_mcu.simulators.{module}.BOOT_TIMEOUT_S", 0.5)
    with pytest.raises(SimulationError, match=rf"no answer within 0\.5 s, {place}") as raised:
        QemuSimulator().start(broken.build(line, uart))
    for register in ("r0 ", "sp ", "lr ", "pc ", "xpsr "):
        assert register in raised.value.reason


def test_a_hang_while_counting_is_given_up_and_stays_so(machine):
    entry = machine.build.read_elf().by_name["spela_infer"].address
    machine._gdb.write_memory(entry, b"\xfe\xe7")  # an endless loop
    frame = encode_frame(request(Command.INFER_LAST, data=X[0].tobytes()))
    words = r"no answer within 0\.5 s, in spela_infer"
    with pytest.raises(SimulationError, match=words), machine.counting("spela_infer"):
        machine.exchange(frame, 0.5)
    for work in (Device(machine).info, machine.stack_high_water_bytes):
        with pytest.raises(SimulationError, match=words):
            work()


def test_a_fault_while_counting_is_told(machine):
    entry = machine.build.read_elf().by_name["spela_infer"].address
    machine._gdb.write_memory(entry, b"\x00\xde")  # udf
    with (
        pytest.raises(SimulationError, match="undefined instruction, in spela_infer"),
        machine.counting("spela_infer"),
    ):
        Device(machine).infer_last(X[0])


def test_a_machine_that_the_qemu_does_not_know(build):
    project = build.project
    known = project.board.simulators.qemu.model_copy(update={"machine": "abacus"})
    simulators = project.board.simulators.model_copy(update={"qemu": known})
    board = project.board.model_copy(update={"simulators": simulators})
    other = dataclasses.replace(build, project=dataclasses.replace(project, board=board))
    with pytest.raises(SimulationError, match="exit code 1: unsupported machine type"):
        QemuSimulator().start(other)


# -------------------------------------------------------------------------------- the end


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def has_ended(pid, seconds=20):
    """Whether a process ends within a time that only a hang would take."""
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def open_files():
    directory = Path("/proc/self/fd")
    return len(list(directory.iterdir())) if directory.exists() else 0


def test_a_process_killed_from_outside(machine):
    os.kill(machine._process.pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(SimulationError, match="QEMU ended with signal SIGKILL"):
            Device(machine).info()
    with pytest.raises(SimulationError, match="SIGKILL"):
        machine.read_memory(0, 4)


def test_nothing_is_left_behind(build, broken, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = open_files()
    machines = [QemuSimulator().start(build) for _ in range(2)]
    pids = [machine._process.pid for machine in machines]
    assert all(map(is_running, pids))
    machines[0].close()
    machines[0].close()
    assert not is_running(pids[0])
    with pytest.raises(KeyboardInterrupt), machines.pop():
        raise KeyboardInterrupt
    assert not is_running(pids[1])
    with pytest.raises(SimulationError) as raised:
        QemuSimulator().start(broken.build('__asm__ volatile("udf #0");'))
    del machines, raised
    assert list(tmp_path.iterdir()) == []
    assert open_files() == before


@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), signal.SIGKILL)", "os.abort()"])
def test_qemu_ends_with_the_program_that_started_it(build, end):
    """However it ends: a machine is neither closed nor collected here."""
    script = f"""
import os, signal
from pathlib import Path
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.simulators.qemu import QemuSimulator
build = build_project(Path({str(build.project.path)!r}), find_compiler())
machine = QemuSimulator().start(build)
machine._gdb.resume()
print(machine._process.pid, flush=True)
{end}
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    assert has_ended(int(done.stdout))


# ------------------------------------------------------------------------ without it


def test_a_missing_simulator_is_a_skip_unless_it_is_required(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SPELA_REQUIRE_SIMULATORS", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"qemu is not installed .*apt install"):
        need_simulator("qemu")
    need_simulator("unicorn")
    monkeypatch.setenv("SPELA_REQUIRE_SIMULATORS", "unicorn,qemu")
    with pytest.raises(pytest.fail.Exception, match="SPELA_REQUIRE_SIMULATORS requires it"):
        need_simulator("qemu")


def test_without_qemu_a_user_is_told_how_to_get_it(build, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert QemuSimulator().version() is None
    with pytest.raises(UserError, match="qemu is not installed") as raised:
        QemuSimulator().start(build)
    assert "apt install" in raised.value.mend
