import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from toy import Broken, toy, toy_samples

from spela_mcu.cli.boards import command
from spela_mcu.cores import CORES
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError, UserErrors
from spela_mcu.firmware.board import board_directory, board_ids, load_board, load_boards
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.project import generate_project
from spela_mcu.firmware.templates import render
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.pipeline import Overrides, prepare
from spela_mcu.resources import resource_directory
from spela_mcu.simulators.base import SimulationError
from spela_mcu.simulators.unicorn import UnicornSimulator

FILE = """\
id: mine
title: A board of mine
core: cortex-m4
fpu: false
dsp: true
flash: {address: 0x00000000, bytes: 0x20000}
ram: {address: 0x20000000, bytes: 0x4000}
uart: {driver: cmsdk, base: 0x40004000, clock_hz: 8000000, baud: 9600}
simulators: {unicorn: {}}
clock_hz: 8000000
"""


@pytest.mark.parametrize("board_id", board_ids())
def test_every_board_is_whole(board_id):
    board = load_board(board_id)
    assert board.id == board_id
    flash, ram = board.flash, board.ram
    assert flash.end <= ram.address or ram.end <= flash.address
    assert not flash.holds(board.uart.base)
    assert not ram.holds(board.uart.base)
    # What is below the stack must not be memory, or an overflow would go unnoticed.
    assert not flash.holds(ram.address - 1)
    assert board.simulators.names


QEMU_MACHINES = {"riscv-virt": "virt", "hifive1": "sifive_e"}
"""Of boards that are not named after them."""


def test_every_core_has_a_board():
    boards = load_boards()
    assert {board.core for board in boards} == set(CORES)
    assert any(board.mve for board in boards)
    for board in boards:
        knows = CORES[board.core].unicorn is not None
        assert ("unicorn" in board.simulators.names) == knows, board.id
        if board.simulators.renode is not None:
            assert board.simulators.renode.platform == f"{board.id}.repl"
        if board.simulators.qemu is not None:
            machine = QEMU_MACHINES.get(board.id, board.id)
            assert board.simulators.qemu.machine == machine


def test_the_boards_asked_for_are_there():
    discovery = load_board("stm32f4_discovery")
    assert (discovery.flash.address, discovery.flash.bytes) == (0x08000000, 1 << 20)
    assert (discovery.ram.address, discovery.ram.bytes) == (0x20000000, 128 << 10)


def test_adding_a_board_is_adding_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text(FILE)
    board = load_board("mine", tmp_path)
    assert board.ram.bytes == 16384
    assert board_ids(tmp_path) == ("mine",)


def test_the_firmware_of_an_added_board_runs(tmp_path):
    """Another UART address, other memory, another core: nothing but the file says so."""
    text = FILE.replace("cortex-m4", "cortex-m3").replace("dsp: true", "dsp: false")
    text = text.replace("0x40004000", "0x50001000").replace("0x20000000", "0x30010000")
    (tmp_path / "mine.yaml").write_text(text)
    case = toy("mps2-an386")
    project = generate_project(case.project.model, load_board("mine", tmp_path))
    write_project(project, tmp_path / "p")
    build = build_project(tmp_path / "p", find_compiler())
    assert build.read_elf().by_name["port_stack_bottom"].address == 0x30010000
    reference = case.network()
    x, y = toy_samples(case, 3)
    with UnicornSimulator().start(build) as machine:
        for sample, label in zip(x, y.tolist(), strict=True):
            Device(machine).learn(sample, label)
            reference.learn(sample, label)
        assert Device(machine).counters().digest == reference.digest()


MODEL = """\
name: own
data: {source: npz, path: data.npz}
network: {layers: [{units: 6}]}
learning: {start: untrained}
target: {board: BOARD}
"""


@pytest.fixture
def model(tmp_path):
    np.savez(
        tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(60, 4)), y=np.arange(60) % 3
    )
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "mine.yaml").write_text(FILE)

    def write(board):
        file = tmp_path / "model.yaml"
        file.write_text(MODEL.replace("BOARD", board))
        return file

    return write


def test_a_model_names_a_board_file_beside_it(model, monkeypatch, tmp_path):
    file = model("./boards/mine.yaml")
    monkeypatch.chdir("/")
    assert prepare(file).board.title == "A board of mine"
    monkeypatch.chdir(tmp_path / "boards")
    asked = Overrides(board="mine.yaml")  # on the command line: from where the user is
    assert prepare(model("stm32f4_discovery"), asked).board.id == "mine"


def test_a_board_file_that_is_missing_or_wrong_is_named(model, tmp_path):
    with pytest.raises(UserError, match="there is no board file") as raised:
        prepare(model("./boards/other.yaml"))
    assert (raised.value.key, raised.value.line) == ("target.board", 5)
    (tmp_path / "boards" / "mine.yaml").write_text(FILE.replace("fpu: false", "fpu: perhaps"))
    with pytest.raises(UserError) as raised:
        prepare(model("./boards/mine.yaml"))
    assert raised.value.file == tmp_path / "boards" / "mine.yaml"
    assert raised.value.key == "fpu"


def test_the_example_of_the_manual_is_a_board(tmp_path):
    manual = Path(__file__).parents[1] / "docs" / "boards.md"
    text = re.search(r"```yaml\n(id: mine\n.*?)```", manual.read_text(), re.S)[1]
    (tmp_path / "mine.yaml").write_text(text)
    assert load_board("mine", tmp_path).uart.tx.function == 7
    for driver in {board.uart.driver for board in load_boards()}:
        assert f"| `{driver}` |" in manual.read_text()


def test_an_unknown_board_names_the_nearest():
    with pytest.raises(UserError) as raised:
        load_board("stm32f4discovery")
    assert 'did you mean "stm32f4_discovery"?' in raised.value.mend
    assert "mps2-an386" in raised.value.mend


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("core: cortex-m4", "core: cortex-a9", "core"),
        ("bytes: 0x4000}", "bytes: many}", "ram.bytes"),
        ("fpu: false", "fpu: false\nspeed: 11", "speed"),
        ("driver: cmsdk", "driver: smoke", "uart.driver"),
        ("id: mine", "id: yours", "id"),
        ("title: A board of mine\n", "", "title"),
        ("A board of mine", "ends here */ int x;", "title"),
        ("A board of mine", "C:\\boards\\", "title"),
        ("A board of mine", r'"two\nlines"', "title"),
        ("address: 0x20000000", "address: 0x10000", "ram"),
        ("address: 0x20000000", "address: 0x00020000", "ram.address"),
        ("address: 0x20000000", "address: 0xffffff00", "ram.bytes"),
        ("address: 0x20000000", "address: 0x20000004", "ram.address"),
        ("bytes: 0x4000", "bytes: 0x3ffc", "ram.bytes"),
        ("bytes: 0x4000", "bytes: 99999999999999999999", "ram.bytes"),
        ("address: 0x00000000", "address: 0x80", "flash.address"),
        ("base: 0x40004000", "base: 0x20000100", "uart.base"),
        ("baud: 9600", "baud: 8000000", "uart.baud"),
        ("baud: 9600", "baud: 1", "uart.baud"),
        ("baud: 9600", "baud: 485000", "uart.baud"),  # 16 or 17, and neither is near
        ("baud: 9600", "baud: 1e300", "uart.baud"),
        ("clock_hz: 8000000\n", "clock_hz: 1000000001\n", "clock_hz"),
        ("fpu: false", "fpu: false\nmve: true", "mve"),
        ("unicorn: {}", "qemu: {machine: 'x,y'}", "simulators.qemu.machine"),
        ("driver: cmsdk", "driver: nrf51_uart, tx: 1, rx: 2", "uart.clock_hz"),
    ],
)
def test_a_wrong_board_file_is_refused_by_line_and_key(tmp_path, old, new, key):
    file = tmp_path / "mine.yaml"
    assert old in FILE
    file.write_text(FILE.replace(old, new))
    with pytest.raises(UserError) as raised:
        load_board("mine", tmp_path)
    assert raised.value.file == file
    assert raised.value.key == key
    if key != "title" or "title" in file.read_text():  # one that is missing stands nowhere
        line = next(
            number
            for number, text in enumerate(file.read_text().splitlines(), 1)
            if text.startswith(f"{key.partition('.')[0]}:")
        )
        assert raised.value.line == line
    assert raised.value.mend


def test_all_that_is_wrong_in_a_board_file_is_told_at_once(tmp_path):
    text = FILE.replace("fpu: false", "fpu: perhaps").replace("core: cortex-m4", "core: z80")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserErrors) as raised:
        load_board("mine", tmp_path)
    assert [(one.line, one.key) for one in raised.value.errors] == [(3, "core"), (4, "fpu")]


# What the drivers' own conditions in C accept: (rest of uart, least and greatest baud).
RATES = [
    ("driver: cmsdk, clock_hz: 1000000000", 954, 62500000),
    ("driver: stm32_usart, clock_hz: 8000000", 123, 500000),
    ("driver: stm32f7_usart, clock_hz: 8000000", 123, 500000),
    ("driver: stm32f7_usart, low_power: true, clock_hz: 4000000", 977, 1333333),
    ("driver: rp2040_uart, clock_hz: 12000000", 12, 750000),
    ("driver: ns16550, clock_hz: 3686400", 4, 230400),
    ("driver: sifive, clock_hz: 16000000", 245, 1000000),
    ("driver: nrf51_uart, clock_hz: 16000000", 1200, 1000000),
    ("driver: nrf52_uarte, clock_hz: 16000000", 9600, 1000000),
]
PINS = {
    "stm32": ", enables: [], tx: {port: 0x40020000, pin: 2}, rx: {port: 0x40020000, pin: 3}",
    "nrf51": ", tx: 1, rx: 2",
    "nrf52": ", tx: 1, rx: 2",
    "rp2040": ", tx: 0, rx: 1",
}


@pytest.mark.parametrize(("uart", "least", "greatest"), RATES)
def test_the_rates_that_a_driver_can_have(tmp_path, uart, least, greatest):
    """Python and the driver's #error agree about the ends and what is beyond."""
    file, driver = tmp_path / "mine.yaml", re.search(r"driver: (\w+)", uart)[1]
    pins = next((pins for name, pins in PINS.items() if driver.startswith(name)), "")
    base = {"rp2040_uart": "0x40034000", "sifive": "0x10013000"}.get(driver, "0x40004000")
    compiler = shutil.which("arm-none-eabi-gcc")
    for baud in (least, greatest, int(least * 0.95), int(greatest * 1.05)):
        line = f"uart: {{base: {base}, baud: {baud}, {uart}{pins}}}\n"
        file.write_text(re.sub("uart: {driver.*\n", line, FILE))
        possible = least <= baud <= greatest
        if possible:
            board = load_board("mine", tmp_path)
        else:
            with pytest.raises(UserError, match="cannot be had") as raised:
                load_board("mine", tmp_path)
            assert raised.value.key == "uart.baud"
        if compiler is None:
            continue
        (tmp_path / "board.h").write_text(
            render("board.h.j2", project=SimpleNamespace(board=board, banner="")).replace(
                f"_BAUD     {board.uart.baud}U", f"_BAUD     {baud}U"
            )
        )
        ports = resource_directory("firmware") / "ports"
        command = [compiler, "-std=c99", "-mcpu=cortex-m4", "-mthumb", "-fsyntax-only"]
        command += [f"-I{tmp_path}", f"-I{ports}", str(ports / f"uart_{driver}.c")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == possible, done.stderr


def test_ram_behind_a_softdevice(tmp_path):
    """RAM that begins in the midst of a page; what is below it is not ours."""
    region = "{address: 0x20002260, bytes: 0x%x}" % (0x4000 - 0x2260)
    text = FILE.replace("{address: 0x20000000, bytes: 0x4000}", region)
    (tmp_path / "mine.yaml").write_text(text)
    board = load_board("mine", tmp_path)
    assert (board.ram.address, board.ram.end) == (0x20002260, 0x20004000)
    case = toy("mps2-an386")
    project = generate_project(case.project.model, board)
    write_project(project, tmp_path / "p")
    build = build_project(tmp_path / "p", find_compiler())
    assert build.read_elf().by_name["port_stack_bottom"].address == 0x20002260
    reference = case.network()
    x, y = toy_samples(case, 3)
    with UnicornSimulator().start(build) as machine:
        for sample, label in zip(x, y.tolist(), strict=True):
            Device(machine).learn(sample, label)
            reference.learn(sample, label)
        assert Device(machine).counters().digest == reference.digest()
    # An overflow of the stack is noticed there as well, though Unicorn maps the whole page.
    broken = Broken(replace(case, project=project), tmp_path / "broken")
    with pytest.raises(SimulationError, match="the stack overflowed"):
        UnicornSimulator().start(broken.build("eat(1000);"))


def test_a_simulator_that_lacks_the_core_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text(FILE.replace("cortex-m4", "cortex-m55"))
    with pytest.raises(UserError, match="Unicorn has no model of a cortex-m55"):
        load_board("mine", tmp_path)


def test_an_unknown_core_is_answered_with_the_known_ones(tmp_path):
    (tmp_path / "mine.yaml").write_text(FILE.replace("cortex-m4", "cortex-a9"))
    with pytest.raises(UserError, match=r"cortex-a9(.|\n)*the cores are: cortex-m0, .*m55"):
        load_board("mine", tmp_path)


def test_a_board_file_that_is_not_yaml(tmp_path):
    (tmp_path / "mine.yaml").write_text("id: [")
    with pytest.raises(UserError, match="YAML syntax error"):
        load_board("mine", tmp_path)


def test_boards_lists_them_all():
    shown = CliRunner().invoke(command, [])
    assert shown.exit_code == 0
    for board in load_boards():
        assert board.id in shown.stdout
    listed = json.loads(CliRunner().invoke(command, ["--json"]).stdout)
    assert [board["id"] for board in listed] == list(board_ids())
    assert listed[0]["flash"]["bytes"] == load_boards()[0].flash.bytes


def test_every_file_in_the_directory_is_a_board():
    assert {path.suffix for path in board_directory().iterdir()} == {".yaml"}
