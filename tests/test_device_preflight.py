"""What `generate` says of a project's store."""

from toy import toy

from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.memory import kept_bytes
from spela_mcu.firmware.store import plan_store, wear


def plan(board, state=6000):
    return plan_store(load_board(board), state, kept_bytes(5, 2))


def test_slots_are_quarters_of_the_region_or_halves_or_none():
    board = load_board("nrf52840dk")
    quarters = plan("nrf52840dk")
    starts = [slot.address for pair in quarters.slots for slot in pair]
    assert starts == [0xC0000, 0xD0000, 0xE0000, 0xF0000]
    assert {slot.bytes for pair in quarters.slots for slot in pair} == {2 * board.store.block_bytes}
    halves = plan("nrf52840dk", 100_000)
    assert [slot.address for pair in halves.slots for slot in pair] == [0xC0000, 0xE0000]
    assert plan("nrf52840dk", 200_000) is None
    assert plan("bluepill") is None


def test_lifetime_and_time_of_a_save():
    costs = wear(load_board("stm32f4_discovery"), plan("stm32f4_discovery"))
    assert costs.saves == 20_000
    assert 13 < costs.years < 14
    assert 1 < costs.save.typical < costs.save.longest < 3
    assert wear(load_board("mps2-an386"), plan("mps2-an386")) is None


def test_the_program_ends_where_the_store_begins():
    project = toy("stm32f4_discovery").project
    assert "ORIGIN = 0x08000000, LENGTH = 0x00080000" in project.files["port/linker.ld"]
    assert "flash_none" not in project.files["port/flash.c"]
