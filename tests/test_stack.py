"""Calls through registers: followed where the machine code says where they lead, else refused."""

import shutil
import subprocess

import pytest

from spela_mcu.firmware.elf import read_elf
from spela_mcu.firmware.stack import BOOT_ROM_BYTES, worst_case_stack

GCC = "arm-none-eabi-gcc"

if shutil.which(GCC) is None:
    pytest.skip(f"{GCC} is not on PATH", allow_module_level=True)

DEEP = """
    .type deep, %function
    .thumb_func
deep:
    sub sp, #48
    add sp, #48
    bx lr
    .size deep, . - deep
"""


def bound(body, tmp_path, name="Reset_Handler"):
    """The bound of a function that consists of these instructions, beside one of 48 bytes."""
    source = tmp_path / "program.s"
    source.write_text(
        f".syntax unified\n.thumb\n{DEEP}.global {name}\n.type {name}, %function\n.thumb_func\n"
        f"{name}:\n{body}\n.balign 4\n.Ldeep: .word deep\n.size {name}, . - {name}\n"
    )
    elf = tmp_path / "program.elf"
    command = [GCC, "-mcpu=cortex-m0plus", "-nostdlib", f"-Wl,-e,{name},-Ttext=0x1000"]
    subprocess.run([*command, str(source), "-o", str(elf)], check=True)
    return worst_case_stack(read_elf(elf), name)


@pytest.mark.parametrize("jump", ["blx r3", "bx r3"])
def test_a_call_of_a_constant_is_followed(jump, tmp_path):
    found = bound(f"push {{r4, lr}}\nldr r3, .Ldeep\n{jump}\npop {{r4, pc}}", tmp_path)
    assert (found.bytes, found.path) == (56, ("Reset_Handler", "deep"))


@pytest.mark.parametrize(
    "body",
    [
        "push {r4, lr}\nldr r3, [r0]\nblx r3\npop {r4, pc}",
        "ldr r3, [r0]\nbx r3",
        "ldr r3, .Ldeep\nbx r2",
    ],
    ids=["a call", "a tail call", "another register"],
)
def test_a_call_through_a_pointer_is_refused(body, tmp_path):
    with pytest.raises(ValueError, match="Reset_Handler calls through a pointer"):
        bound(body, tmp_path)


def test_the_boot_rom_has_a_bound_of_its_own(tmp_path):
    body = "push {r4, lr}\nldr r3, [r0]\nblx r3\npop {r4, pc}"
    assert bound(body, tmp_path, "flash_rp2040_run").bytes == 8 + BOOT_ROM_BYTES
