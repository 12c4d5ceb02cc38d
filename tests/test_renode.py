"""Boards in Renode: the reference's answers, Unicorn's counts, and a readable end to what fails."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from test_simulation import FAULTS
from toy import Broken, build_toy, toy, toy_samples

from spela_mcu.cli.simulate import command
from spela_mcu.device.device import Device
from spela_mcu.device.protocol import Command, encode_frame, request
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import board_ids, load_board
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.memory import STACK_BYTES
from spela_mcu.firmware.project import generate_project
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.simulators.base import SimulationError
from spela_mcu.simulators.renode import RenodeSimulator
from spela_mcu.simulators.unicorn import UnicornSimulator

# One Renode process serves all of them.
pytestmark = [pytest.mark.needs_simulator("renode"), pytest.mark.xdist_group("renode")]

BOARD = "stm32f4_discovery"
BOARDS = [board for board in board_ids() if load_board(board).simulators.renode]
CASE = toy(BOARD)
X, Y = toy_samples(CASE, 12)

RENODE = ["renode", "--disable-xwt", "--console", "--plain", "--hide-log"]
TIMEOUT_S = 120


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return build_toy(CASE, tmp_path_factory.mktemp("renode") / "p")


@pytest.fixture
def machine(build):
    with RenodeSimulator().start(build) as machine:
        yield machine


# --------------------------------------------------------------------------- every board


@pytest.mark.parametrize("board", BOARDS)
def test_answers_and_learns_as_the_reference_and_counts_as_unicorn(board, tmp_path):
    case = toy(board)
    build = build_toy(case, tmp_path / "p")
    network = case.network()
    with RenodeSimulator().start(build) as machine:
        device = Device(machine)
        with machine.counting("spela_learn", "spela_infer") as calls:
            for sample, label in zip(X, Y, strict=True):
                network.learn(sample, int(label))
                assert device.learn(sample, int(label)).digest == network.digest()
                expected = network.infer(sample)
                assert device.infer_last(sample).label == expected[-1].label
        for answer, expected in zip(device.infer(X[0]), network.infer(X[0]), strict=True):
            assert np.array_equal(answer.scores, expected.scores)
        stack = machine.stack_high_water_bytes()
    assert 0 < stack < STACK_BYTES
    assert [call.symbol for call in calls] == ["spela_learn", "spela_infer"] * len(X)
    if "unicorn" not in build.project.board.simulators.names:
        return
    with UnicornSimulator().start(build) as machine:
        device = Device(machine)
        with machine.counting("spela_learn", "spela_infer") as counted:
            for sample, label in zip(X, Y, strict=True):
                device.learn(sample, int(label))
                device.infer_last(sample)
        assert machine.stack_high_water_bytes() == stack
    assert [call.instructions for call in calls] == [call.instructions for call in counted]


@pytest.mark.parametrize("board", BOARDS)
def test_the_platform_has_the_board_s_memory(board, tmp_path):
    """Bytes stick from the first to the last of flash and RAM, and nowhere around them."""
    case = toy(board)
    with RenodeSimulator().start(build_toy(case, tmp_path / "p")) as machine:
        regions = machine.build.project.board.flash, machine.build.project.board.ram
        for region in regions:
            for address in (region.address, region.end - 1):
                machine.monitor(f"sysbus WriteByte {address:#x} 0x5A")
                assert machine.read_memory(address, 1) == b"\x5a"
            for address in (region.end, (region.address or region.end + 1) - 1):
                machine.monitor(f"sysbus WriteByte {address:#x} 0x5A")
                assert machine.monitor(f"sysbus ReadByte {address:#x}") == "0x00"


# --------------------------------------------------------------------------- machines


def test_one_process_serves_many_machines(build):
    processes = set()
    for _ in range(3):
        with RenodeSimulator().start(build) as machine:
            assert Device(machine).info().name == "toy"
            processes.add(machine._renode.pid)
    assert len(processes) == 1


def test_the_monitor_of_a_machine(build):
    with RenodeSimulator().start(build) as one, RenodeSimulator().start(build) as other:
        Device(one).learn(X[0], 1)
        executed = {
            one.monitor("cpu ExecutedInstructions"),
            other.monitor("cpu ExecutedInstructions"),
        }
        assert len(executed) == 2
        with pytest.raises(UserError, match="No such command or device: fly"):
            one.monitor("fly")
        assert Device(one).info().name == "toy"


# --------------------------------------------------------------------------- what goes wrong

# What Renode has no model of: memory that cannot be written, baud rates, clocks and pins.
NOT_SEEN = {"flash", "baud", "clock", "pin", "register"}
IN_RENODE = {
    "load": "load from nothing at 0x90000000, in main",
    "store": "store to nothing at 0x90000000, in main",
    "jump": "jump to nothing at 0x20020000",
    "undefined": "the core took a fault: undefined instruction, in main",
    "breakpoint": "the core took a fault: .*in main",
    "service": "the core took a fault: .*in main",
    "stack": "store to nothing at 0x1ff.*in eat",
    "loop": "no answer within 0.3 s, in main",
    "missing UART": "store to nothing at 0x40011804, in main",
    "silent UART": r"no answer within 0.3 s, in port_read(.|\n)*the receiver is not enabled",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return Broken(CASE, tmp_path_factory.mktemp("broken") / "p")


def test_every_fault_is_one_or_the_other():
    assert set(FAULTS) == NOT_SEEN | set(IN_RENODE)


@pytest.mark.parametrize("fault", IN_RENODE)
def test_faults_end_in_a_readable_error(broken, fault, monkeypatch):
    monkeypatch.setattr("spela_mcu.simulators.stream.BOOT_TIMEOUT_S", 0.3)
    line, _ = FAULTS[fault]
    # Another USART is there, in Renode.
    build = broken.build(line.replace("0x40011004", "0x40011804"))
    with pytest.raises(SimulationError, match=IN_RENODE[fault]) as raised:
        RenodeSimulator().start(build)
    assert raised.value.exit_code == 1
    assert raised.value.file == build.elf
    for register in ("lr ", "pc ", "xpsr "):
        assert register in raised.value.reason


def test_a_missing_uart_is_named_with_the_function_that_uses_it(tmp_path):
    project = CASE.project
    uart = project.board.uart.model_copy(update={"base": 0x40011800})
    board = project.board.model_copy(update={"uart": uart})
    write_project(generate_project(project.model, board), tmp_path / "p")
    with pytest.raises(SimulationError, match=r"nothing at 0x400118\d\d, in port_init"):
        RenodeSimulator().start(build_project(tmp_path / "p", find_compiler()))


def test_a_machine_that_failed_stays_failed(machine):
    entry = machine.build.read_elf().by_name["frame_read"].address
    machine.monitor(f"sysbus WriteWord {entry:#x} 0xDE00")  # udf
    machine.monitor("cpu ClearTranslationCache")
    for _ in range(2):
        with pytest.raises(SimulationError, match="undefined instruction, in frame_read"):
            Device(machine).info()


def test_an_exchange_that_takes_too_long_is_given_up(machine):
    entry = machine.build.read_elf().by_name["spela_infer"].address
    machine.monitor(f"sysbus WriteWord {entry:#x} 0xE7FE")  # an endless loop
    machine.monitor("cpu ClearTranslationCache")
    assert Device(machine).info().name == "toy"
    frame = encode_frame(request(Command.INFER_LAST, data=X[0].tobytes()))
    with pytest.raises(SimulationError, match=r"no answer within 0\.3 s, in spela_infer"):
        machine.exchange(frame, 0.3)


def test_a_renode_that_ends_is_reported_and_started_again(build):
    with RenodeSimulator().start(build) as machine:
        os.kill(machine._renode.pid, signal.SIGKILL)
        with pytest.raises(SimulationError, match="Renode ended unexpectedly, by SIGKILL"):
            Device(machine).info()
    with RenodeSimulator().start(build) as other:
        assert Device(other).info().name == "toy"
        assert other._renode.pid != machine._renode.pid


def test_a_renode_that_does_not_answer_is_ended(build):
    with RenodeSimulator().start(build) as machine:
        process = machine._renode
        with pytest.raises(SimulationError, match=r"did not answer within 0\.2 s, and was ended"):
            process.call("monitor", "sleep 5", timeout_s=0.2)
        with pytest.raises(SimulationError, match="ended unexpectedly"):
            Device(machine).info()


def test_a_renode_that_does_not_start(tmp_path, build, monkeypatch):
    program = tmp_path / "renode"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 1.2.3 && exit\necho no; exit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("spela_mcu.simulators.renode_process._shared", None)
    assert RenodeSimulator().version() == "1.2.3"
    with pytest.raises(SimulationError, match="Renode ended at once: no") as raised:
        RenodeSimulator().start(build)
    assert "renode --version" in raised.value.mend
    assert len(raised.value.reason.splitlines()) == 1


def test_renode_ends_with_the_program_that_started_it():
    """Even one that is killed: the end of its standard input is Renode's."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from spela_mcu.simulators.renode_process import shared_renode\n"
        f"renode = shared_renode({shutil.which('renode')!r})\n"
        "print(renode.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    renode = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(renode, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(renode, signal.SIGKILL)
    pytest.fail("Renode is still there after 10 s")


# --------------------------------------------------------------------------- Renode alone


def renode(*arguments, cwd, tmp_path):
    """Runs Renode as a user would; what it prints."""
    done = subprocess.run(
        [*RENODE, *arguments],
        cwd=cwd,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return done.stdout


def test_a_project_opens_with_renode_alone(tmp_path):
    write_project(CASE.project, tmp_path / "p")
    missing = renode("board.resc", cwd=tmp_path / "p", tmp_path=tmp_path)
    assert "build the firmware first" in missing
    build = build_project(tmp_path / "p", find_compiler())
    look = "pause; emulation RunFor '0.01'; sysbus FindSymbolAt `cpu PC`; quit"
    assert "port_read" in renode("board.resc", "-e", look, cwd=tmp_path / "p", tmp_path=tmp_path)
    # From elsewhere, with an ELF file named, and after a reset.
    shutil.move(build.elf, tmp_path / "other.elf")
    shutil.rmtree(tmp_path / "p/build")
    commands = f"set elf @{tmp_path}/other.elf; include @p/board.resc; machine Reset; {look}"
    assert "port_read" in renode("-e", commands, cwd=tmp_path, tmp_path=tmp_path)


def test_the_robot_suite(build, tmp_path):
    """tests/renode/board.robot, by Renode's test runner."""
    if shutil.which("renode-test") is None:
        pytest.skip("renode-test, which comes with Renode, is not on PATH")
    suite = Path(__file__).with_name("renode") / "board.robot"
    variables = {"PROJECT": build.project.path, "UART": "sysbus.usart2"}
    done = subprocess.run(
        [
            "renode-test",
            *("--results-dir", tmp_path / "results"),
            *(f"--variable={name}:{value}" for name, value in variables.items()),
            suite,
        ],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT_S,
        check=False,
    )
    said = done.stdout + done.stderr
    if "install required dependencies" in said:
        pytest.skip("renode-test needs Python packages: tests/requirements.txt beside it")
    assert done.returncode == 0, said
    assert "finished successfully" in said


def test_a_board_that_renode_does_not_know_has_no_script():
    assert "board.resc" in CASE.project.files
    assert "board.resc" not in toy("mps2-an386").project.files


# --------------------------------------------------------------------------- command


def test_simulate_answers_as_the_reference(tmp_path):
    project = generate_project(CASE.project.model, CASE.project.board, samples=(X, Y))
    write_project(project, tmp_path / "p")
    arguments = [str(tmp_path / "p"), "--simulator", "renode"]
    done = CliRunner().invoke(command, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["simulator"].startswith("renode 1.")
    network = CASE.network()
    for sample, answer in zip(X, report["answers"], strict=True):
        assert [one["label"] for one in answer["exits"]] == [
            one.label for one in network.infer(sample)
        ]
    done = CliRunner().invoke(
        command, [*arguments, "--interactive"], input="info\nmonitor cpu PC\nmonitor fly\nquit\n"
    )
    assert done.exit_code == 0, done.output
    assert "toy: 13 inputs" in done.stdout
    assert "0x80" in done.stdout
    assert "No such command or device: fly" in done.stdout
