"""The store's drivers on simulated chips, whose flash outlives a reset."""

import shutil
import subprocess
from dataclasses import dataclass, replace
from itertools import count, pairwise

import numpy as np
import pytest
from host_process import plant
from stm32f4_chip import Flash, run
from store_program import PROGRAMS
from toy import toy

from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.project import runtime_defines
from spela_mcu.firmware.toolchain import WARNING_FLAGS

GCC = "arm-none-eabi-gcc"
FOLDERS = ("model", "spela", "port")

if shutil.which(GCC) is None:
    pytest.skip(f"{GCC} is not on PATH", allow_module_level=True)


@dataclass(frozen=True)
class Chip:
    """A board, its store's driver, and where the slots lie."""

    board: str
    driver: str
    unit: int
    slots: tuple[tuple[int, int], tuple[int, int]]
    steps: int
    has_uart: bool = True


CASE = toy("microbit", inputs=40, batch=3)
"""Its state takes more than a page of nRF51."""
MICROBIT = Chip("microbit", "flash_nrf_nvmc", 4, ((0x3E000, 0x800), (0x3F000, 0xC00)), steps=200)


def build(chip, case, directory, change=None):
    """The firmware of tests/c/store_device.c for a chip; a fault may be planted in its driver."""
    write_project(case.project, directory)
    driver = directory / "store" / "drivers" / f"{chip.driver}.c"
    if change is not None:
        plant(driver, *change)
    slots = ", ".join(f"{{{address:#x}, {size:#x}}}" for address, size in chip.slots)
    settings = directory / "settings.h"
    settings.write_text(
        f"#define STORE_SLOTS {{{slots}}}\n#define STORE_UNIT {chip.unit}U\n"
        f"#define STEPS {chip.steps}U\n"
    )
    sources = [PROGRAMS / "store_device.c", driver]
    sources += [path for folder in (*FOLDERS, "store") for path in directory.glob(f"{folder}/*.c")]
    if not chip.has_uart:
        sources.remove(directory / "port" / "uart.c")
        sources.append(PROGRAMS / "port_mailbox.c")
    core = load_board(chip.board).core
    model = case.project.model
    defines = runtime_defines(model.weights, model.batch, inference_only=False)
    command = [GCC, f"-mcpu={core}", "-mthumb", "-std=c99", "-O2", "-ffreestanding"]
    command += ["-ffunction-sections", "-fdata-sections", *WARNING_FLAGS, "-Werror"]
    command += [f"-I{directory / folder}" for folder in (*FOLDERS, "store")]
    command += [f"-D{define}" for define in defines]
    command += ["-include", str(settings), "-nostdlib", "-nostartfiles", "-Wl,--gc-sections"]
    command += [f"-T{directory / 'port' / 'linker.ld'}", *map(str, sources), "-lgcc"]
    elf = directory / "device.elf"
    done = subprocess.run([*command, "-o", str(elf)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return elf


def learn(network, case, steps):
    """As the program does."""
    k = np.arange(case.inputs)
    for step in range(network.samples, network.samples + steps):
        sample = ((step * 37 + k * k * 11) % 255 - 127).astype(np.int8)
        network.learn(sample, step % case.classes)


def expected(chip, case, first):
    """What the device says, by the reference; `first` is what its first start finds."""
    network = case.network()
    lines = []
    found = first
    for _ in range(3):
        line = f"{found:08x} {network.digest():08x}"
        learn(network, case, chip.steps)
        lines.append(f"{line} {0:08x} {network.digest():08x}")
        found = 0
    return [*lines, f"{0:08x} {network.digest():08x} ."]


def said_in_qemu(elf):
    """What a micro:bit says until it has saved three times, or something goes wrong."""
    command = ["qemu-system-arm", "-machine", "microbit", "-kernel", str(elf)]
    command += ["-display", "none", "-monitor", "none", "-serial", "stdio"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        while len(lines) < 5 and not (lines and lines[-1].endswith(".")):
            lines.append(process.stdout.readline().rstrip())
        process.kill()
    return lines


FAULTS = {
    "a page is not erased": ("NVMC_ERASE_PAGE = address + done;", ""),
    "erasing is not enabled": ("NVMC_CONFIG = CONFIG_ERASE;", ""),
    "writing is not enabled": ("NVMC_CONFIG = CONFIG_WRITE;", ""),
    "the first page alone is erased": ("done < bytes;", "done < page_bytes;"),
}


@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="no qemu-system-arm")
@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_nvmc_keeps_what_was_learned_through_resets(fault, tmp_path):
    # QEMU's flash is all zeros at first: no chip's is, and it is refused.
    lines = said_in_qemu(build(MICROBIT, CASE, tmp_path / "p", FAULTS.get(fault)))
    assert (lines == expected(MICROBIT, CASE, first=2)) == (fault is None)


# ---------------------------------------------------------------------------- STM32F4

SMALL = toy("stm32f4_discovery", inputs=3, layers=(3, 2), classes=2, batch=3)
DISCOVERY = Chip(
    "stm32f4_discovery",
    "flash_stm32f4",
    4,
    ((0x080C0000, 0x20000), (0x080E0000, 0x20000)),
    steps=5,
    has_uart=False,
)
EMPTY, ERROR_FLASH = 1, 7


def test_stm32f4_keeps_what_was_learned_through_every_cut(tmp_path):
    elf = build(DISCOVERY, SMALL, tmp_path / "p")
    lines = expected(DISCOVERY, SMALL, first=EMPTY)
    flash = Flash(10)
    assert [run(elf, flash) for _ in lines] == lines
    # All of the second and the third save, cut at each operation; then a start without a cut.
    flash = Flash(10)
    run(elf, flash)
    cuts = 0
    for line, after in pairwise(lines[1:]):
        before = bytes(flash.content)
        for cut in count():
            flash.content[:] = before
            run(elf, flash, cut_after=cut)
            if not flash.is_dead:
                break
            cuts += 1
            said = run(elf, flash)
            assert said in (line, after), (cut, said)
    assert cuts > 90


F4_FAULTS = {
    "another sector": ("(sector << CR_SNB)", "((sector ^ 2U) << CR_SNB)"),
    "without the keys": ("FLASH_KEYR = KEY_2;", ""),
    "by bytes": ("FLASH_CR = CR_PG | CR_WORDS;", "FLASH_CR = CR_PG;"),
    "without the end of an operation": (
        "while ((FLASH_SR & SR_BSY) != 0U) {",
        "while (FLASH_SR == SR_BSY + 1U) {",
    ),
}


@pytest.mark.parametrize("fault", F4_FAULTS)
def test_a_fault_in_the_driver_is_seen(fault, tmp_path):
    elf = build(DISCOVERY, SMALL, tmp_path / "p", F4_FAULTS[fault])
    flash = Flash(10)
    lines = expected(DISCOVERY, SMALL, first=EMPTY)
    assert [run(elf, flash) for _ in lines] != lines


def test_a_slot_that_is_not_whole_sectors_is_refused(tmp_path):
    for slots in (
        ((0x080C0000, 0x10000), (0x080E0000, 0x20000)),
        ((0x080C4000, 0x4000), (0x080E0000, 0x20000)),
    ):
        elf = build(replace(DISCOVERY, slots=slots), SMALL, tmp_path / f"{slots[0][0]}")
        flash = Flash(10)
        assert run(elf, flash).split()[2] == f"{ERROR_FLASH:08x}"
        assert flash.operations == 0
