"""Each kind of instruction that a core cannot execute, planted in a program and found."""

import random
import re
import shutil
import struct
import subprocess

import pytest
from toy import toy

from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.elf import read_elf
from spela_mcu.firmware.legality import illegal_instructions
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.machine_code.thumb_extension import long_extension

M0, M3, M4, M7, M33, M55 = (
    *("microbit", "mps2-an385", "mps2-an386", "mps2-an500"),
    *("mps2-an505", "mps3-an547"),
)
BEFORE_M55 = (M0, M3, M4, M7, M33)
ALL = (*BEFORE_M55, M55)

PLANTS = [
    # instruction, its code, where it is illegal
    ("movw r0, #1", 0xF2400001, (M0,)),
    ("udiv r0, r1, r2", 0xFBB1F0F2, (M0,)),
    ("cbz r0", 0xB100, (M0,)),
    ("it eq", 0xBF08, (M0,)),
    ("nop", 0xBF00, ()),
    ("dsb sy", 0xF3BF8F4F, ()),
    ("mrs r0, msp", 0xF3EF8008, ()),
    ("uxtb.w r8, r8", 0xFA5FF888, (M0,)),
    ("smull r0, r1, r2, r3", 0xFB820103, (M0,)),
    ("smlad r0, r1, r2, r3", 0xFB213002, (M0, M3)),
    ("smlabb r0, r1, r2, r3", 0xFB113002, (M0, M3)),
    ("smlald r0, r1, r2, r3", 0xFBC201C3, (M0, M3)),
    ("umaal r0, r1, r2, r3", 0xFBE20163, (M0, M3)),
    ("sxtb16 r0, r1", 0xFA2FF081, (M0, M3)),
    ("uxtab r0, r1, r2", 0xFA51F082, (M0, M3)),
    ("pkhbt r0, r1, r2", 0xEAC10002, (M0, M3)),
    ("ssat16 r0, #8, r1", 0xF3210007, (M0, M3)),
    ("qadd r0, r1, r2", 0xFA82F081, (M0, M3)),
    ("sel r0, r1, r2", 0xFAA1F082, (M0, M3)),
    ("uadd8 r0, r1, r2", 0xFA81F042, (M0, M3)),
    ("lda r0, [r1]", 0xE8D10FAF, (M0, M3, M4, M7)),
    ("tt r0, r1", 0xE841F000, (M0, M3, M4, M7)),
    ("bxns lr", 0x4774, (M0, M3, M4, M7)),
    ("csel r0, r1, r2, eq", 0xEA518002, BEFORE_M55),
    ("dls lr, r0", 0xF040E001, BEFORE_M55),
    ("vadd.i32 q0, q1, q2", 0xEF220844, BEFORE_M55),
    ("vldrw.u32 q0, [r0]", 0xED901F00, BEFORE_M55),
    ("vmladav.s8 r0, q0, q1", 0xEEF00F02, BEFORE_M55),
    ("vpush {d8}", 0xED2D8B02, BEFORE_M55),
    ("vpst", 0xFE710F4D, BEFORE_M55),
    ("vpstttt", 0xFE312F4D, BEFORE_M55),
    ("lsll r0, r1, #1", 0xEA50014F, BEFORE_M55),
    ("vadd.f32 s0, s1, s2", 0xEE300A81, ALL),
    ("vadd.f32 q0, q1, q2", 0xEF020D44, ALL),
    ("vcmp.f32 gt, q0, q1", 0xEE311F03, ALL),
    ("mrc p15, 0, r0, c1, c0, 0", 0xEE110F10, ALL),
    ("mcrr p2, 0, r0, r1, c0", 0xEC410200, ALL),
]


@pytest.fixture(scope="module")
def elf_of(tmp_path_factory):
    """A program that is `codes` and nothing else."""
    compiler = find_compiler()
    directory = tmp_path_factory.mktemp("plants")

    def make(*codes):
        words = [f".inst.{'w' if code > 0xFFFF else 'n'} 0x{code:x}" for code in codes]
        lines = [".syntax unified", ".thumb", ".type planted, %function", ".thumb_func"]
        lines += ["planted:", *words, "bx lr", ".size planted, . - planted", ".global planted"]
        source, out = directory / "x.s", directory / "x.elf"
        source.write_text("\n".join(lines) + "\n")
        # Assembled for the largest core, so that everything is accepted.
        board = toy(M55).project.board
        flags = [f for f in compiler.compile_flags(board, "O2") if not f.startswith("-W")]
        link = ["-nostdlib", "-Wl,-e,planted", "-Wl,-Ttext=0"]
        subprocess.run([*compiler.command, *flags, *link, str(source), "-o", str(out)], check=True)
        return read_elf(out)

    return make


def test_each_kind_is_found_where_it_is_illegal_and_nowhere_else(elf_of):
    elf = elf_of(*(code for _, code, _ in PLANTS))
    for board_id in ALL:
        found = illegal_instructions(elf, toy(board_id).project.board)
        address, expected = 0, []
        for _, code, illegal_on in PLANTS:
            if board_id in illegal_on:
                expected.append(address)
            address += 4 if code > 0xFFFF else 2
        names = dict(zip(expected, [n for n, _, on in PLANTS if board_id in on], strict=True))
        got = {one.address for one in found}
        assert got == set(expected), (
            board_id,
            [names[one] for one in set(expected) - got],
            [str(one) for one in found if one.address not in names],
        )
        assert {one.function for one in found} == {"planted"}


def test_a_core_that_has_the_extension_may_still_be_without_it(elf_of):
    elf = elf_of(0xFB213002, 0xEF220844)
    with_both = toy(M55).project.board
    without = with_both.model_copy(update={"mve": False})
    assert illegal_instructions(elf, with_both) == ()
    (found,) = illegal_instructions(elf, without)
    assert "MVE" in found.reason
    plain = toy(M33).project.board.model_copy(update={"dsp": False})
    assert "DSP" in illegal_instructions(elf, plain)[0].reason


def test_what_is_no_instruction_at_all(elf_of):
    (found,) = illegal_instructions(elf_of(0xFBF0F0F0), toy(M4).project.board)
    assert found.text == ".inst 0xfbf0f0f0"
    assert found.reason == "no core has such an instruction"


def test_a_finding_says_where_what_and_why(elf_of):
    (found,) = illegal_instructions(elf_of(0xFBB1F0F2), toy(M0).project.board)
    assert str(found) == ("0x00000000 in planted: udiv r0, r1, r2: ARMv6-M has no such instruction")


def test_firmware_for_a_larger_core_is_found_out(tmp_path):
    """The mistake that simulators let pass: the wrong -mcpu."""
    write_project(toy(M4).project, tmp_path / "p")
    elf = build_project(tmp_path / "p", find_compiler()).read_elf()
    assert illegal_instructions(elf, toy(M4).project.board) == ()
    on_m3 = illegal_instructions(elf, toy(M3).project.board)
    assert any("sxtb16" in one.text for one in on_m3)
    assert {one.reason for one in on_m3} == {"the core has no DSP extension"}
    assert len(illegal_instructions(elf, toy(M0).project.board)) > 100


def test_floats_among_vectors_are_told_as_binutils_tells_them(tmp_path):
    """Codes drawn at random from the space of MVE; objdump names what computes with floats."""
    objdump = shutil.which("arm-none-eabi-objdump")
    if objdump is None:
        pytest.skip("arm-none-eabi-objdump is not on PATH")
    draw = random.Random(0)
    firsts = [draw.choice((0xEC, 0xED, 0xEE, 0xEF, 0xFC, 0xFD, 0xFE, 0xFF)) for _ in range(60_000)]
    data = b"".join(
        struct.pack("<HH", first << 8 | draw.getrandbits(8), draw.getrandbits(16))
        for first in firsts
    )
    (tmp_path / "codes").write_bytes(data)
    options = ["-D", "-b", "binary", "-m", "armv8.1-m.main", "-M", "force-thumb"]
    shown = subprocess.run(
        [objdump, *options, str(tmp_path / "codes")], capture_output=True, text=True, check=True
    ).stdout
    compared = 0
    for line in shown.splitlines():
        match = re.match(r"\s*[0-9a-f]+:\s+([0-9a-f]{4}) ([0-9a-f]{4})\s+(v\S+)\s+(.*)", line)
        doubtful = ("undefined", "UNDEFINED", "UNPREDICTABLE", "illegal", "Deprecated")
        if match is None or any(word in line for word in doubtful):
            continue
        name = match[3]
        if name.startswith(("vfmal", "vfmsl", "vudo", "vsdo")):
            continue  # of larger cores than a Cortex-M
        moves_constant = name.startswith("vmov") and match[4].startswith("q")
        computes = re.search(r"\.f(16|32|64)|^vrin|^vcv|^vsel", name) and not moves_constant
        code = int(match[1] + match[2], 16)
        told = long_extension(code, mve=True)
        assert told == ("floating point" if computes else "mve"), line
        compared += 1
    assert compared > 300
