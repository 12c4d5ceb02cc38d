import json

import pytest
from click.testing import CliRunner

from spela_mcu.cli.boards import command
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import board_directory, board_ids, load_board, load_boards

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


def test_the_boards_asked_for_are_there():
    assert {"mps2-an386", "stm32f4_discovery"} <= set(board_ids())
    discovery = load_board("stm32f4_discovery")
    assert (discovery.flash.address, discovery.flash.bytes) == (0x08000000, 1 << 20)
    assert (discovery.ram.address, discovery.ram.bytes) == (0x20000000, 128 << 10)


def test_adding_a_board_is_adding_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text(FILE)
    board = load_board("mine", tmp_path)
    assert board.ram.bytes == 16384
    assert board_ids(tmp_path) == ("mine",)


def test_an_unknown_board_names_the_nearest():
    with pytest.raises(UserError) as raised:
        load_board("stm32f4-disco")
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
