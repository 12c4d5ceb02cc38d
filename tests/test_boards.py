import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from toy import toy, toy_samples

from spela_mcu.cli.boards import command
from spela_mcu.cores import CORES
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import board_directory, board_ids, load_board, load_boards
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.project import generate_project
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.pipeline import Overrides, prepare
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
            assert board.simulators.qemu.machine == board.id


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
        ("driver: cmsdk", "driver: smoke", "uart"),
        ("id: mine", "id: yours", "id"),
        ("title: A board of mine\n", "", "title"),
    ],
)
def test_a_wrong_board_file_is_refused_by_key(tmp_path, old, new, key):
    file = tmp_path / "mine.yaml"
    assert old in FILE
    file.write_text(FILE.replace(old, new))
    with pytest.raises(UserError) as raised:
        load_board("mine", tmp_path)
    assert raised.value.file == file
    assert raised.value.key == key


def test_a_simulator_that_lacks_the_core_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text(FILE.replace("cortex-m4", "cortex-m55"))
    with pytest.raises(UserError, match="Unicorn has no model of a cortex-m55"):
        load_board("mine", tmp_path)


def test_an_unknown_core_is_answered_with_the_known_ones(tmp_path):
    (tmp_path / "mine.yaml").write_text(FILE.replace("cortex-m4", "cortex-a9"))
    with pytest.raises(UserError, match=r'no core "cortex-a9"; the cores are: cortex-m0, .*m55'):
        load_board("mine", tmp_path)


def test_a_board_file_that_is_not_yaml(tmp_path):
    (tmp_path / "mine.yaml").write_text("id: [")
    with pytest.raises(UserError, match="cannot be read as YAML"):
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
