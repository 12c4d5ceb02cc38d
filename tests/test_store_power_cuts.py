"""The store loses nothing when the power is cut at any flash operation: tests/c/store.c."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from host_process import RUNTIME, SanitizingCompiler, run_program
from store_program import COMPILERS, PLAIN, SANITIZING, STORE, build, write_model
from toy import toy

from spela_mcu.firmware.runtime import CONTINUAL_DEFINE, MEANS_DEFINE, runtime_defines

CASE = toy(inputs=3, layers=(3, 2), classes=2, batch=3)

if not COMPILERS:
    pytest.skip("no compiler for this machine (gcc, clang or zig)", allow_module_level=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(CASE, tmp_path_factory.mktemp("model"))


DEFINES = [
    (),
    runtime_defines("int8", inference_only=False),
    runtime_defines("int16", 8, inference_only=False),
    runtime_defines("int8", inference_only=True),
]
THUMB = SanitizingCompiler("thumb", ("arm-none-eabi-gcc",), ("-mcpu=cortex-m0", "-ffreestanding"))


@pytest.mark.parametrize("defines", DEFINES, ids=lambda defines: "+".join(defines) or "whole")
@pytest.mark.parametrize(
    "compiler",
    [*(replace(one, flags=()) for one in COMPILERS.values()), THUMB],
    ids=lambda one: one.name,
)
def test_every_compiler_takes_it_without_a_warning(compiler, defines, tmp_path):
    if shutil.which(compiler.command[0]) is None:
        pytest.skip(f"{compiler.command[0]} is not on PATH")
    for source in STORE.glob("*.c"):
        target = tmp_path / f"{source.stem}.o"
        compiler.compile(["-c", source], target, [STORE, RUNTIME], defines, "O2")


EXAMPLE = """
#include "toy_model.h"
static uint64_t arena[(TOY_ARENA_BYTES + 7U) / 8U];
static spela_t *network;
static void report(const char *what) { (void)what; }
void start(void);
void on_idle(void);
void NMI_Handler(void);
"""


def test_the_example_of_the_page_compiles(model, tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "store.md").read_text(encoding="utf-8")
    example = "".join(re.findall(r"```c\n(.*?)```", page, re.DOTALL))
    source = tmp_path / "example.c"
    source.write_text(EXAMPLE + example.replace("digits", "toy"))
    includes = [model, STORE, STORE / "drivers", RUNTIME]
    PLAIN.compile(["-c", source], tmp_path / "example.o", includes)


@pytest.fixture(scope="module")
def proof(model, tmp_path_factory):
    return build("store", model, tmp_path_factory.mktemp("store"))


# Cuts: of one save, and of what follows each of them.
@pytest.mark.parametrize(
    ("part", "arguments", "cuts"),
    [
        ("stm32f4", (), 35_000),
        ("nrf52", (), 35_000),
        ("stm32l4", (), 15_000),
        ("rp2040", ("all",), 2_900),
    ],
)
def test_no_cut_loses_a_state(proof, part, arguments, cuts):
    code, output, report = run_program(proof, part, *arguments)
    assert (code, report) == (0, ""), output
    (cut, lost) = map(int, re.fullmatch(rf"{part}: (\d+) .*, (\d+) losses\n", output).groups())
    assert lost == 0
    assert cut > cuts


CLASSES = toy(
    inputs=3, layers=(3, 2), classes=2, batch=3, spare=1, rehearsed="means", unknown_by="margin"
)


def cut_while_classes_are_saved(directory, change=None):
    (directory / "model").mkdir()
    model = write_model(CLASSES, directory / "model")
    program = build(
        "store", model, directory, change=change, defines=(CONTINUAL_DEFINE, MEANS_DEFINE)
    )
    return run_program(program, "rp2040", "all")


def test_no_cut_loses_classes_and_their_memory(tmp_path):
    """A class appears in the first state; means, deviations and limits are saved as well."""
    code, output, report = cut_while_classes_are_saved(tmp_path)
    assert (code, report) == (0, ""), output
    cut, lost = map(int, re.fullmatch(r"rp2040: (\d+) .*, (\d+) losses\n", output).groups())
    assert lost == 0
    assert cut > 2_900


def test_a_table_that_is_not_loaded_is_a_loss(tmp_path):
    change = ("spela_payload.c", "state->seen = words[0];", "")
    assert cut_while_classes_are_saved(tmp_path, change)[0] == 1


def test_the_store_breaks_no_rule_of_c(model, tmp_path):
    program = build("store", model, tmp_path, compiler=SANITIZING, level="O0")
    code, output, report = run_program(program, "rp2040", "all")
    assert (code, report) == (0, ""), output


FAULTS = {
    "numbers are compared plainly": (
        "spela_slots.c",
        "return a - b - 1U < UINT32_C(0x7FFFFFFF);",
        "return a > b;",
    ),
    "numbers are compared as signed": (
        "spela_slots.c",
        "return a - b - 1U < UINT32_C(0x7FFFFFFF);",
        "return (int32_t)a > (int32_t)b;",
    ),
    "the slot in use is erased": (
        "spela_store.c",
        "store->in_use == 0U ? 1U : 0U",
        "store->in_use == 0U ? 0U : 1U",
    ),
    "both slots are erased": (
        "spela_slots.c",
        "!spela_flash_erase(store, store->slots[slot].address, store->slots[slot].bytes);",
        "!spela_flash_erase(store, store->slots[slot].address, store->slots[slot].bytes) ||"
        " !spela_flash_erase(store, store->slots[1U - slot].address,"
        " store->slots[1U - slot].bytes);",
    ),
    "only a slot that counts is erased": (
        "spela_slots.c",
        "!spela_flash_erase(store, store->slots[slot].address, store->slots[slot].bytes);",
        "is_sealed(store, slot) &&"
        " !spela_flash_erase(store, store->slots[slot].address, store->slots[slot].bytes);",
    ),
    "seals are not asked for": (
        "spela_slots.c",
        "if (!is_sealed(store, slot)) {",
        "if (!is_sealed(store, slot) && store->unit_bytes == 0U) {",
    ),
    "the last seal alone counts": (
        "spela_slots.c",
        "for (uint32_t seal = 0U; seal < SEALS; seal++) {\n        if (seal_is_begun",
        "for (uint32_t seal = SEALS - 1U; seal < SEALS; seal++) {\n        if (seal_is_begun",
    ),
    "seals in doubt are not confirmed": (
        "spela_store.c",
        "spela_slot_confirm(store, in_use);",
        "",
    ),
    "a seal is programmed before the header": (
        "spela_slots.c",
        "if (!write_header(store, slot, header)) {",
        "if (!program_seal(store, slot, 0U) || !write_header(store, slot, header)) {",
    ),
    "which slot is in use is decided again and again": (
        "spela_store.c",
        "if (!store->is_decided) {",
        "if (!store->is_decided || store->in_use < 3U) {",
    ),
    "the number does not go on": (
        "spela_store.c",
        "store->saves + 1U",
        "store->saves",
    ),
    "the dither's state is not kept": (
        "spela_payload.c",
        "network->dither_state = words[0];",
        "",
    ),
    "pending updates are not kept": (
        "spela_payload.c",
        "state->pending = (uint16_t)words[2];",
        "state->pending = 0U;",
    ),
    "the last unit is not filled up": (
        "spela_store.c",
        "network, &stream);\n    }\n    spela_stream_end(&stream);\n",
        "network, &stream);\n    }\n",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_loses_a_state(fault, model, tmp_path):
    program = build("store", model, tmp_path, change=FAULTS[fault])
    seen = []
    for part in ("rp2040", "stm32l4"):
        code, output, _ = run_program(program, part)
        seen += re.findall(r"came back|that was saved|neither|fails|misuse of flash", output)
        assert (code != 0) == bool(seen), output
        if seen:
            return
    pytest.fail("no loss was seen")


@pytest.mark.parametrize(
    ("part", "compiler", "level"), [("stm32l4", SANITIZING, "O0"), ("rp2040", PLAIN, "O2")]
)
def test_damage_and_misuse_are_refused(part, compiler, level, model, tmp_path):
    program = build("store_damage", model, tmp_path, compiler=compiler, level=level)
    code, output, report = run_program(program, part)
    assert (code, report) == (0, ""), output
    assert re.fullmatch(rf"{part}: \d+ bits flipped, 0 failures\n", output)


MISSED = {
    "the payload's CRC": (
        "spela_slots.c",
        "return !stream.failed && ~stream.crc == crc;",
        "return !stream.failed && (~stream.crc == crc || true);",
        "not refused as it should be",
    ),
    "the header's CRC": (
        "spela_slots.c",
        "header_word(header, WORD_HEADER_CRC) == header_crc(header) &&",
        "",
        "not every flip is noticed|not refused",
    ),
    "the CRC of what is loaded": (
        "spela_payload.c",
        "stream.failed || ~stream.crc != payload->crc",
        "stream.failed || (~stream.crc != payload->crc && way != WALK_LOAD)",
        "half a state is loaded",
    ),
    "the padding after a failure": (
        "spela_store.c",
        "weights[k] = 0U;",
        "weights[k] += 0U;",
        "half a state is loaded",
    ),
    "reading the payload back": (
        "spela_slots.c",
        "stream->failed || !payload_is_whole(store, slot, stream->bytes, ~stream->crc)",
        "stream->failed",
        "without effect",
    ),
    "reading the header back": (
        "spela_slots.c",
        "return difference == 0U;",
        "return difference == 0U || store != NULL;",
        "without effect",
    ),
    "reading the seals back": (
        "spela_slots.c",
        "if (!program_seal(store, slot, seal) || !seal_is_begun(store, slot, seal)) {",
        "if (!program_seal(store, slot, seal)) {",
        "without effect",
    ),
    "the model's digest": (
        "spela_store.c",
        "if (views[in_use].digest != network->model.pointer->digest) {",
        "if (views[in_use].digest == ~network->model.pointer->digest) {",
        "not foreign",
    ),
    "its own model's state first": (
        "spela_store.c",
        "worths[newer] >= worths[1U - newer] ? newer",
        "worths[newer] > 0U ? newer",
        "its own is lost",
    ),
    "the size of a slot": (
        "spela_store.c",
        "store->slots[0].bytes >= needed &&",
        "store->slots[0].bytes != 0U &&",
        "misuse of flash",
    ),
    "overlapping slots": (
        "spela_slots.c",
        "gap >= first_bytes &&",
        "gap >= first_bytes % 2U &&",
        "a store that cannot be is accepted|misuse of flash",
    ),
}


@pytest.mark.parametrize("check", MISSED)
def test_a_missing_check_is_seen(check, model, tmp_path):
    *change, words = MISSED[check]
    program = build("store_damage", model, tmp_path, change=change)
    code, output, _ = run_program(program, "stm32l4")
    assert code != 0
    assert re.search(words, output), output
