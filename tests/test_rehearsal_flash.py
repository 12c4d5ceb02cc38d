"""Samples in flash: in which blocks, on which boards, and what is said where there is no room."""

import re

import pytest
from pydantic import ValidationError
from rich.console import Console
from test_continual import INPUTS, make_spec
from toy import toy

from spela_mcu.cli.generate import memory_table, rehearsal_json
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Region, board_directory, load_board, load_boards, read_board
from spela_mcu.firmware.manifest import Manifest
from spela_mcu.firmware.preflight import Preflight, check_fit
from spela_mcu.firmware.rehearsal import PAGE_BYTES, plan_rehearsal, with_rehearsal
from spela_mcu.fixed_point.arena import MemoryInFlash, arena_bytes, memory_in_flash
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.fixed_point.structures import model_digests
from spela_mcu.forms.make import make_form
from spela_mcu.spec.learning import Rehearsal

WORDS = MemoryInFlash(240, 68)
GARMENTS = MemoryInFlash(200, 788)
ROOMY = [board for board in load_boards() if board.rehearsal is not None]


@pytest.mark.parametrize("memory", [MemoryInFlash(2, 8), WORDS, GARMENTS])
def test_a_ring_has_room_and_lies_before_the_store(memory):
    planned = 0
    for board in ROOMY:
        plan = plan_rehearsal(board, memory)
        if plan is None:
            continue
        planned += 1
        region, store = plan.region, board.store
        assert region.end == store.address
        assert region.address >= board.rehearsal.address
        assert region.address % PAGE_BYTES == 0
        assert plan.block_bytes % store.block_bytes == 0
        assert plan.blocks >= 2
        assert (plan.blocks - 1) * plan.records > memory.slots
        used = max(8, store.unit_bytes) + plan.records * memory.record_bytes
        assert used <= plan.block_bytes
        project = with_rehearsal(board, plan)
        assert project.program == Region(
            address=board.flash.address, bytes=region.address - board.flash.address
        )
        assert project.store.end == store.end
    assert planned >= 12


def test_the_documents_sizes_are_these():
    sizes = {
        (board, memory): plan_rehearsal(load_board(board), memory).region.bytes // 1024
        for board in ("nrf52840dk", "stm32l552", "pico", "stm32f4_discovery")
        for memory in (WORDS, GARMENTS)
    }
    assert list(sizes.values()) == [36, 256, 40, 256, 132, 472, 256, 384]
    assert plan_rehearsal(load_board("microbit"), WORDS).region.bytes == 36 * 1024
    assert [memory.arena_bytes for memory in (WORDS, GARMENTS)] == [564, 1204]


def test_the_digest_and_the_state_do_not_depend_on_it():
    plans = [
        make_plan(make_spec(1, {"samples": 4, "memory": memory}), INPUTS, 3)
        for memory in ("ram", "flash")
    ]
    networks = [IntegerNetwork.untrained(plan) for plan in plans]
    digests = [model_digests(one.plan, one.initial) for one in networks]
    assert digests[0] == digests[1]
    sizes = [arena_bytes(plan, inference_only=False) for plan in plans]
    assert sizes[0] - sizes[1] == 4 * 4 * 16 - (16 + 20 + 2 * 16) - 4  # in steps of 8
    assert memory_in_flash(plans[0]) is None


def asked(**keys):
    plan = make_plan(make_spec(1, {"samples": 200} | keys), 784, 10)
    return Preflight(
        plan=plan, weights_in_flash=True, inference_only=False, compiler="gcc", optimization="O2"
    )


def test_a_board_without_room_is_told_and_others_named():
    for name in ("nucleo-f446re", "bluepill"):
        with pytest.raises(UserError, match="no room in flash for 2,200 samples") as caught:
            check_fit(asked(memory="flash"), load_board(name))
        assert "memory: ram" in caught.value.mend
        assert "mps2-an386" not in caught.value.mend  # 2,200 of 788 bytes are too many
    with pytest.raises(UserError, match="no room in flash") as caught:
        toy("bluepill", rehearsed=3, memory="flash")
    assert "pico" in caught.value.mend


def test_what_helps_is_the_other_memory():
    board = load_board("nrf52840dk")
    with pytest.raises(UserError, match="exceeds RAM") as caught:
        check_fit(asked(samples=30), board)
    assert "in flash (learning.rehearsal.memory: flash)" not in caught.value.mend
    with pytest.raises(UserError, match="exceeds RAM") as caught:
        check_fit(
            asked(samples=20),
            board.model_copy(update={"ram": Region(address=0x20000000, bytes=0x20000)}),
        )
    assert "in flash (learning.rehearsal.memory: flash)" in caught.value.mend
    tight = board.model_copy(update={"flash": Region(address=0x7F000, bytes=0x81000)})
    with pytest.raises(UserError, match="exceeds flash") as caught:
        check_fit(asked(samples=20, memory="flash"), tight)
    assert "in RAM (learning.rehearsal.memory: ram)" in caught.value.mend


def test_the_table_and_json_count_it():
    board = load_board("nrf52840dk")
    memory = check_fit(asked(samples=20, memory="flash"), board)
    console = Console(width=120)
    with console.capture() as shown:
        console.print(memory_table(memory))
    assert re.search(r"flash for samples rehearsed +262,144 +25.0 %", shown.get())
    assert rehearsal_json(memory) == {
        "address": 0x80000,
        "bytes": 0x40000,
        "block_bytes": 4096,
        "samples": 320,
    }
    beside = check_fit(asked(samples=2), board)
    assert rehearsal_json(beside) is None
    assert beside.program.bytes - memory.program.bytes == 0x40000


def test_means_are_not_kept_in_flash():
    with pytest.raises(ValidationError, match="flash does not endure"):
        Rehearsal(keep="means", memory="flash")


def test_a_form_without_flash_of_its_own_is_refused():
    model = toy("mps2-an386", rehearsed=3, memory="flash").project.model
    for form in ("arduino", "zephyr", "esp-idf", "micropython"):
        with pytest.raises(UserError, match=f"the form {form} has no flash"):
            make_form(form, model, None)
    files = make_form("cmake", model, None).files
    assert "memory_in_flash" in files["CMakeLists.txt"]
    assert "toy_memory_flash = {" in files["README.md"]
    assert "extern const spela_memory_flash_t toy_memory_flash;" in files["model/toy_model.h"]


def test_a_project_keeps_its_ring_apart():
    project = toy("nrf52840dk", rehearsed=3, memory="flash").project
    manifest = Manifest.model_validate_json(project.files["project.json"])
    assert manifest.model.has_memory_in_flash
    assert manifest.board.rehearsal is None
    assert manifest.board.store.address == manifest.board.program.end == 0xBE000
    assert "LENGTH = 0x000BE000" in project.files["port/linker.ld"]
    assert ".address = 0x000BE000U" in project.files["application/memory_flash.c"]
    inferring = toy("nrf52840dk", rehearsed=3, memory="flash", inference_only=True).project
    assert "application/memory_flash.c" not in inferring.files
    assert "LENGTH = 0x000C0000" in inferring.files["port/linker.ld"]


@pytest.mark.parametrize(
    ("address", "size", "what"),
    [
        (0x70000, 0x40000, "right before"),
        (0, 0xC0000, "right before"),
    ],
)
def test_a_region_that_cannot_be_is_told(tmp_path, address, size, what):
    text = (board_directory() / "nrf52840dk.yaml").read_text()
    right = "{address: 0x00080000, bytes: 0x40000}"
    assert right in text
    wrong = f"{{address: {address:#x}, bytes: {size:#x}}}"
    file = tmp_path / "nrf52840dk.yaml"
    file.write_text(text.replace(right, wrong))
    with pytest.raises(UserError, match=what) as caught:
        read_board(file)
    assert caught.value.key.startswith("rehearsal.")


@pytest.mark.parametrize(
    ("right", "wrong", "key", "what"),
    [
        (
            "rehearsal: {address: 0x00080000, bytes: 0x40000}",
            "rehearsal: {address: 0x00080800, bytes: 0x3F800}",
            "rehearsal.address",
            "must be a multiple of store.block_bytes, got 0x80800",
        ),
        (
            "address: 0x000C0000, bytes: 0x40000",
            "address: 0x000C0800, bytes: 0x3F800",
            "store.address",
            "must be a multiple of block_bytes, got 0xc0800",
        ),
        (
            "address: 0x000C0000, bytes: 0x40000",
            "address: 0x000C0000, bytes: 0x3F800",
            "store.bytes",
            "must be a multiple of block_bytes, got 0x3f800",
        ),
    ],
    ids=["rehearsal", "store's address", "store's bytes"],
)
def test_a_region_that_is_not_of_whole_blocks_is_told(tmp_path, right, wrong, key, what):
    text = (board_directory() / "nrf52840dk.yaml").read_text()
    assert right in text
    file = tmp_path / "nrf52840dk.yaml"
    file.write_text(text.replace(right, wrong))
    with pytest.raises(UserError) as caught:
        read_board(file)
    assert (caught.value.key, caught.value.reason) == (key, what)
    assert caught.value.mend == "begin and end the region with a block"


def test_a_board_without_a_store_has_no_region():
    board = load_board("nrf52840dk")
    with pytest.raises(ValidationError, match="right before the store"):
        replace_store(board)


def replace_store(board):
    return type(board).model_validate(board.model_dump() | {"store": None})
