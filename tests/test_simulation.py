"""The simulator: exact counts, and a readable end to whatever goes wrong."""

import dataclasses
import json
import re
import subprocess
import sys
from collections import Counter

import capstone
import numpy as np
import pytest
from click.testing import CliRunner
from toy import Broken, build_toy, toy, toy_samples

from spela_mcu.cli.simulate import command
from spela_mcu.device.device import Device
from spela_mcu.device.protocol import Command, encode_frame, request
from spela_mcu.device.samples import read_samples
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Simulators
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.project import generate_project
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.simulators.base import SimulationError
from spela_mcu.simulators.unicorn import UnicornSimulator

CASE = toy()
X, Y = toy_samples(CASE, 12)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return build_toy(CASE, tmp_path_factory.mktemp("simulation") / "p")


@pytest.fixture
def machine(build):
    with UnicornSimulator().start(build) as machine:
        yield machine


# ------------------------------------------------------------------------- counting


def traced(machine, symbol, work):
    """Instructions of the first call of a function, by a hook on every single instruction.

    Unicorn does not call the hook for instructions of an IT block whose condition fails. They
    count (the core fetches and decodes them), and are added here block by block.
    """
    import unicorn

    entry = machine.build.read_elf().by_name[symbol].address
    trace, state = [], {"from": None}

    def hook(uc, address, size, data):
        if address == entry and state["from"] is None:
            state["from"] = uc.reg_read(unicorn.arm_const.UC_ARM_REG_LR) & ~1
        if state["from"] == address:
            state["from"] = -1
        elif state["from"] not in (None, -1):
            trace.append((address, size))

    handle = machine._uc.hook_add(unicorn.UC_HOOK_CODE, hook)
    machine._uc.ctl_flush_tb()
    work()
    machine._uc.hook_del(handle)
    machine._uc.ctl_flush_tb()

    disassembler = capstone.Cs(
        capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
    )
    counts = Counter(trace)
    inside, total = set(), 0
    for address, size in counts:
        code = machine.read_memory(address, size)
        (name,) = [i[2] for i in disassembler.disasm_lite(code, address)]
        if re.fullmatch(r"it[te]*", name):
            length = len(name) - 1
            block = disassembler.disasm_lite(machine.read_memory(address + 2, 16), address + 2)
            inside |= {i[0] for i, _ in zip(block, range(length), strict=False)}
            total += length * counts[address, size]
    return total + sum(n for (address, _), n in counts.items() if address not in inside)


@pytest.mark.parametrize("optimization", ["O1", "O2", "O3"])
def test_counts_are_exact(tmp_path, optimization):
    with UnicornSimulator().start(build_toy(CASE, tmp_path / "p", "auto", optimization)) as machine:
        device = Device(machine)
        for symbol, work in (
            ("spela_infer", lambda: device.infer_last(X[0])),
            ("spela_infer_exit", lambda: device.infer(X[0])),
            ("spela_learn", lambda: device.learn(X[0], int(Y[0]))),
        ):
            device.reset()
            expected = traced(machine, symbol, work)
            device.reset()
            with machine.counting(symbol) as calls:
                work()
            assert calls[0].instructions == expected > 500
            assert calls[0].symbol == symbol
            assert sum(calls[0].functions.values()) == expected


# ------------------------------------------------------------------- what goes wrong

FAULTS = {
    "load": ("(void)*(volatile uint32_t *)0x90000000;", "load from nothing at 0x90000000, in main"),
    "store": ("*(volatile uint32_t *)0x90000000 = 1;", "store to nothing at 0x90000000, in main"),
    "flash": ("*(volatile uint32_t *)0x08000100 = 1;", "store to flash at 0x08000100, in main"),
    "jump": ("((void (*)(void))0x20000101)();", "jump into data at 0x20000100"),
    "undefined": ('__asm__ volatile("udf #0");', "Invalid instruction .*in main"),
    "breakpoint": ('__asm__ volatile("bkpt #1");', "unexpected BKPT, in main"),
    "service": ('__asm__ volatile("svc #1");', "unexpected SVC, in main"),
    "stack": ("(void)eat(100000);", r"store to nothing .*\(the stack overflowed\), in eat"),
    "loop": ("for (volatile int i = 0;; i++) {}", "no answer within 0.3 s, in main"),
    "missing UART": ("*(volatile uint32_t *)0x40011004 = 1;", "store to nothing at 0x40011004"),
    "silent UART": ("*(volatile uint32_t *)0x4000440C = 0;", "sends before it is enabled"),
    "baud": ("*(volatile uint32_t *)0x40004408 = 1667;", "runs at 9598 baud, .* at 115200"),
    "clock": ("*(volatile uint32_t *)0x40023840 = 0;", "used before bit 17 of 0x40023840 is set"),
    "pin": ("*(volatile uint32_t *)0x40020000 = 0;", "before its TX pin is connected"),
    "register": ("*(volatile uint32_t *)0x40004430 = 0;", "no register to write at offset 0x30"),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return Broken(toy("stm32f4_discovery"), tmp_path_factory.mktemp("broken") / "p")


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_end_in_a_readable_error(broken, fault, monkeypatch):
    line, words = FAULTS[fault]
    if fault == "loop":
        monkeypatch.setattr("spela_mcu.simulators.unicorn.BOOT_TIMEOUT_S", 0.3)
    build = broken.build(line)
    with pytest.raises(SimulationError, match=words) as raised:
        Device(UnicornSimulator().start(build)).info()
    assert raised.value.exit_code == 1
    assert raised.value.file == build.elf
    for register in ("r0 ", "sp ", "lr ", "pc ", "xpsr "):
        assert register in raised.value.reason


def test_a_cmsdk_uart_must_be_enabled_too(tmp_path):
    write_project(CASE.project, tmp_path / "p")
    file = tmp_path / "p" / "port" / "uart.c"
    text = file.read_text()
    for old, new, words in (
        ("CONTROL_TX_ENABLE | CONTROL_RX_ENABLE", "CONTROL_RX_ENABLE", "transmitter and receiver"),
        ("= BAUD_DIVIDER;", "= 3;", "divider is 3"),
        ("= BAUD_DIVIDER;", "= 2 * BAUD_DIVIDER;", "runs at 57604 baud"),
    ):
        assert old in text
        file.write_text(text.replace(old, new))
        build = build_project(tmp_path / "p", find_compiler())
        with pytest.raises(SimulationError, match=words):
            Device(UnicornSimulator().start(build)).info()


def test_a_machine_that_failed_stays_failed(broken):
    build = broken.build("if (*(volatile uint32_t *)0x20000000 == 0x12345678) {}")
    machine = UnicornSimulator().start(build)
    machine._uc.mem_write(build.read_elf().by_name["frame_read"].address, b"\x00\xde")  # udf
    for _ in range(2):
        with pytest.raises(SimulationError, match="in frame_read"):
            Device(machine).info()


def test_an_exchange_that_takes_too_long_is_given_up(machine):
    entry = machine.build.read_elf().by_name["spela_infer"].address
    machine._uc.mem_write(entry, b"\xfe\xe7")  # an endless loop
    assert Device(machine).info().name == "toy"
    frame = encode_frame(request(Command.INFER_LAST, data=X[0].tobytes()))
    with pytest.raises(SimulationError, match=r"no answer within 0\.3 s, in spela_infer"):
        machine.exchange(frame, 0.3)


def test_a_board_the_simulator_does_not_know(build):
    project = build.project
    stranger = project.board.model_copy(update={"simulators": Simulators()})
    other = dataclasses.replace(build, project=dataclasses.replace(project, board=stranger))
    with pytest.raises(UserError, match="cannot be simulated by unicorn"):
        UnicornSimulator().start(other)


# ------------------------------------------------------------------------- samples


def test_samples_from_files(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    np.savez(tmp_path / "b.npz", x=X.astype(np.int64).reshape(12, 13, 1))
    np.savetxt(tmp_path / "c.csv", np.column_stack((X, Y)), fmt="%d", delimiter=",")
    np.savetxt(tmp_path / "d.csv", X, fmt="%d", delimiter=",")
    for name, labels in (("a.npz", True), ("b.npz", False), ("c.csv", True), ("d.csv", False)):
        samples = read_samples(tmp_path / name, 13, 5)
        assert samples.x.dtype == np.int8
        assert np.array_equal(samples.x, X)
        assert (samples.y is not None) == labels
        if labels:
            assert np.array_equal(samples.first(3).y, Y[:3])


def test_samples_of_a_file_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.csv").write_text("\ufeff1,2,0\n-3,4.0,1\n", encoding="utf-8")
    samples = read_samples(tmp_path / "a.csv", 2, 2)
    assert samples.x.tolist() == [[1, 2], [-3, 4]]
    assert samples.y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "reason", "mend"),
    [
        ("1,2,1\n3,4,9\n", "sample 1 (counted from 0) has label 9 of 3 classes", "from 0 to 2"),
        ("1,2,-1\n", "sample 0 (counted from 0) has label -1 of 3 classes", "from 0 to 2"),
        (
            "0.5,2,1\n",
            "samples are not integers from -128 to 127, as the",
            "(raw - offset) * scale",
        ),
    ],
)
def test_samples_that_the_model_cannot_have(tmp_path, text, reason, mend):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError) as raised:
        read_samples(tmp_path / "a.csv", 2, 3)
    assert reason in raised.value.reason
    assert mend in raised.value.mend


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "1,2,3\n"),
        ("a.csv", ",".join("1" * 15) + "\n"),
        ("a.csv", ",".join(["200"] * 13) + "\n"),
        ("a.csv", ",".join(["0.5"] * 13) + "\n"),
        ("a.csv", ",".join(["1"] * 13) + "\n1,2\n"),
        ("a.csv", ""),
        ("a.npz", "not a zip"),
        ("a.npz", {"z": X}),
        ("a.npz", {"x": X.astype(float)}),
        ("a.npz", {"x": X, "y": Y[:3]}),
        ("a.npz", {"x": X[:, :5]}),
        ("a.npz", {"x": X[:0]}),
        ("a.npz", {"x": np.array([{}], object)}),
        ("a.txt", "1"),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_files_that_hold_no_samples(tmp_path, name, content):
    file = tmp_path / name
    if isinstance(content, str):
        file.write_text(content)
    else:
        np.savez(file, **content)
    with pytest.raises(UserError) as raised:
        read_samples(file, 13, 5)
    assert raised.value.file == file
    assert raised.value.mend


# ------------------------------------------------------------------------- command


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    directory = tmp_path_factory.mktemp("command") / "p"
    base = CASE.project
    write_project(generate_project(base.model, base.board, samples=(X, Y)), directory)
    build_project(directory, find_compiler())
    return directory


def test_simulate_answers_as_the_reference(project):
    done = CliRunner().invoke(command, [str(project), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    reference = CASE.network()
    expected = [reference.infer(sample) for sample in X]
    for answer, exits, label in zip(report["answers"], expected, Y, strict=True):
        assert answer["label"] == label
        assert [one["label"] for one in answer["exits"]] == [one.label for one in exits]
        assert [one["scores"] for one in answer["exits"]] == [o.scores.tolist() for o in exits]
    labels = np.array([[one.label for one in exits] for exits in expected])
    assert report["accuracy"] == (labels == Y[:, None]).mean(axis=0).tolist()


def test_simulate_prints_a_table(project, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.tile(X, (2, 1)))
    done = CliRunner().invoke(command, [str(project), "--input", str(tmp_path / "x.npz")])
    assert done.exit_code == 0, done.output
    assert "exit 1" in done.stdout
    assert "and 4 more" in done.stdout
    assert "accuracy" not in done.stdout  # there are no labels
    limited = CliRunner().invoke(command, [str(project), "--samples", "5"])
    assert "accuracy on 5 samples" in limited.stdout
    assert f" class {Y[0]} " in limited.stdout  # classes by their names, not their numbers


def test_simulate_refuses_what_does_not_fit(project, tmp_path):
    np.savez(tmp_path / "x.npz", x=X[:, :7])
    done = CliRunner().invoke(command, [str(project), "--input", str(tmp_path / "x.npz")])
    assert "7 values, and the model 13 inputs" in str(done.exception)
    np.savez(tmp_path / "x.npz", x=X[:2], y=[0, 5])
    done = CliRunner().invoke(command, [str(project), "--input", str(tmp_path / "x.npz")])
    assert "sample 1 (counted from 0) has label 5 of 5 classes" in str(done.exception)
    other = tmp_path / "model.yaml"  # digits: 64 inputs and 10 classes
    other.write_text("name: a\ndata: {source: sklearn}\nnetwork: {layers: [{units: 16}]}\n")
    done = CliRunner().invoke(command, [str(project), "--data", str(other)])
    assert "64 values of 10 classes, and the project's model 13 inputs and 5 classes" in str(
        done.exception
    )
    both = CliRunner().invoke(command, [str(project), "--input", "a.csv", "--data", "b.yaml"])
    assert both.exit_code == 2


def test_a_crash_ends_the_command_with_exit_code_1(project, tmp_path):
    write_project(CASE.project, tmp_path / "p")
    (tmp_path / "p" / "samples.csv").write_text((project / "samples.csv").read_text())
    file = tmp_path / "p" / "application" / "main.c"
    file.write_text(file.read_text().replace("port_init();", "*(volatile int *)1000 = 0;"))
    script = "from spela_mcu.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "simulate", str(tmp_path / "p"), "--simulator", "unicorn"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "store to flash at 0x000003e8, in main" in done.stderr
    assert "Traceback" not in done.stderr
