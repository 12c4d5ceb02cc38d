"""The store's drivers on simulated chips, whose flash outlives a reset."""

import shutil
import subprocess
from dataclasses import dataclass, replace
from itertools import count, pairwise

import numpy as np
import pytest
from flash_chip import run
from flash_chips import Rp2040, Stm32f4, Stm32l4, Stm32l5
from host_process import plant
from store_program import PROGRAMS
from toy import toy

from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.boot_rom import boot_rom
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.elf import read_elf
from spela_mcu.firmware.runtime import runtime_defines
from spela_mcu.firmware.toolchain import WARNING_FLAGS
from spela_mcu.resources import resource_directory

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
    has_nmi: bool = False


CASE = toy("microbit", inputs=40, batch=3)
"""Its state takes more than a page of nRF51."""
MICROBIT = Chip("microbit", "flash_nrf_nvmc", 4, ((0x3E000, 0x800), (0x3F000, 0xC00)), steps=200)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Makes the firmware of tests/c/store_device.c for a chip.

    A fault may be planted in its driver. All but the driver and the program is compiled once.
    """

    made = {}

    def project(chip, case):
        key = (chip.board, chip.has_uart)
        if key not in made:
            made[key] = make_project(chip, case)
        return made[key]

    def make_project(chip, case):
        directory = tmp_path_factory.mktemp("project")
        write_project(case.project, directory)
        patterns = (*(f"{folder}/*.c" for folder in FOLDERS), "store/spela_*.c")
        sources = [path for pattern in patterns for path in directory.glob(pattern)]
        of_application = [directory / "port" / name for name in ("flash.c", "nmi.c")]
        sources = [path for path in sources if path not in of_application]
        if not chip.has_uart:
            sources.remove(directory / "port" / "uart.c")
            sources.append(PROGRAMS / "port_mailbox.c")
        model = case.project.model
        defines = runtime_defines(model.weights, model.batch, inference_only=False)
        command = [GCC, f"-mcpu={load_board(chip.board).core}", "-mthumb", "-std=c99", "-O2"]
        command += ["-ffreestanding", "-ffunction-sections", "-fdata-sections"]
        command += [*WARNING_FLAGS, "-Werror", *(f"-D{define}" for define in defines)]
        command += [f"-I{directory / folder}" for folder in (*FOLDERS, "store", "store/drivers")]
        (directory / "objects").mkdir()
        subprocess.run([*command, "-c", *map(str, sources)], cwd=directory / "objects", check=True)
        return directory, command

    def make(chip, case, directory, change=None):
        rest, command = project(chip, case)
        directory.mkdir()
        driver = directory / f"{chip.driver}.c"
        driver.write_text((rest / "store" / "drivers" / driver.name).read_text())
        if change is not None:
            plant(driver, *change)
        slots = ", ".join(f"{{{address:#x}, {size:#x}}}" for address, size in chip.slots)
        settings = directory / "settings.h"
        settings.write_text(
            f"#define STORE_SLOTS {{{slots}}}\n#define STORE_UNIT {chip.unit}U\n"
            f"#define STEPS {chip.steps}U\n" + ("#define STORE_NMI\n" if chip.has_nmi else "")
        )
        elf = directory / "device.elf"
        command = [*command, "-include", str(settings), "-nostdlib", "-nostartfiles"]
        command += ["-Wl,--gc-sections", f"-T{rest / 'port' / 'linker.ld'}", "-o", str(elf)]
        command += [str(PROGRAMS / "store_device.c"), str(driver)]
        command += [*map(str, (rest / "objects").glob("*.o")), "-lgcc"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return elf

    return make


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
def test_nvmc_keeps_what_was_learned_through_resets(fault, build, tmp_path):
    # QEMU's flash is all zeros at first: no chip's is, and it is refused.
    lines = said_in_qemu(build(MICROBIT, CASE, tmp_path / "p", FAULTS.get(fault)))
    assert (lines == expected(MICROBIT, CASE, first=2)) == (fault is None)


# ---------------------------------------------------------- through every cut, in Unicorn

SMALL = {"inputs": 3, "layers": (3, 2), "classes": 2, "batch": 3}
F4 = Chip(
    "stm32f4_discovery",
    "flash_stm32f4",
    4,
    ((0x080C0000, 0x20000), (0x080E0000, 0x20000)),
    steps=5,
    has_uart=False,
)
# The board's core and memory, with L4's flash.
L4 = replace(
    F4,
    driver="flash_stm32l4",
    unit=8,
    slots=((0x080FE000, 0x1000), (0x080FF000, 0x800)),
    has_nmi=True,
)
L5 = Chip(
    "stm32l552",
    "flash_stm32l5",
    8,
    ((0x0807E000, 0x1000), (0x0807F000, 0x800)),
    steps=5,
    has_uart=False,
    has_nmi=True,
)
PICO = Chip(
    "pico",
    "flash_rp2040",
    256,
    ((0x101FC000, 0x2000), (0x101FE000, 0x1000)),
    steps=5,
    has_uart=False,
)
CHIPS = {
    "stm32f4": (F4, lambda: Stm32f4(10), 90),
    "stm32l4": (L4, lambda: Stm32l4(4), 50),
    "stm32l5": (L5, lambda: Stm32l5(4), 50),
    "rp2040": (PICO, lambda: Rp2040(4), 12),
}
"""The chip, its flash, and how many operations two saves take at least."""
EMPTY, ERROR_FLASH = 1, 7


def small(chip):
    return toy(chip.board, **SMALL)


def starts(elf, flash):
    """What four starts say, after an erase of the second save was cut."""
    first = run(elf, flash)
    run(elf, flash, cut_after=0)
    return [first, *(run(elf, flash) for _ in range(3))]


@pytest.mark.parametrize("name", CHIPS)
def test_a_driver_keeps_what_was_learned_through_every_cut(name, build, tmp_path):
    chip, new_flash, operations = CHIPS[name]
    elf = build(chip, small(chip), tmp_path / "p")
    lines = expected(chip, small(chip), first=EMPTY)
    assert starts(elf, new_flash()) == lines
    # All of the second and the third save, cut at each operation; then a start without a cut.
    flash = new_flash()
    run(elf, flash)
    cuts = 0
    for line, after in pairwise(lines[1:]):
        before = flash.keep()
        for cut in count():
            flash.restore(before)
            run(elf, flash, cut_after=cut)
            if not flash.is_dead:
                break
            cuts += 1
            said = run(elf, flash)
            assert said in (line, after), (cut, said)
    assert cuts > operations


FAULTS_BY_CHIP = {
    "stm32f4": {
        "another sector": ("(sector << CR_SNB)", "((sector ^ 2U) << CR_SNB)"),
        "without the keys": ("FLASH_KEYR = KEY_2;", ""),
        "by bytes": ("FLASH_CR = CR_PG | CR_WORDS;", "FLASH_CR = CR_PG;"),
        "without the end of an operation": (
            "while ((FLASH_SR & SR_BSY) != 0U) {",
            "while (FLASH_SR == SR_BSY + 1U) {",
        ),
    },
    "stm32l4": {
        "another bank": ("? CR_BKER : 0U", "? 0U : CR_BKER"),
        "half a double word": ("words[1] = data[1];", ""),
        "with the data cache": ("FLASH_ACR &= ~ACR_DCEN;", ""),
        "the NMI is not cleared": ("FLASH_ECCR |= ECCR_ECCD;", ""),
        "the cache keeps what was erased": ("FLASH_ACR |= ACR_DCRST; /*", "/*"),
    },
    "stm32l5": {
        "another bank": ("? CR_BKER : 0U", "? 0U : CR_BKER"),
        "another page": ("% PAGES_PER_BANK) << CR_PNB", "% PAGES_PER_BANK - 1U) << CR_PNB"),
        "with the cache": ("ICACHE_CR &= ~ICACHE_EN;", ""),
        "before the cache is invalidated": ("(ICACHE_SR & ICACHE_BUSYF) != 0U", "false"),
        "without the keys": ("FLASH_NSKEYR = KEY_2;", ""),
        "the NMI is not cleared": ("FLASH_ECCR |= ECCR_ECCD;", ""),
    },
    "rp2040": {
        "the code lies in flash": (
            '.data.flash_rp2040_run, \\"aw',
            '.text.flash_rp2040_run, \\"ax',
        ),
        "interrupts are on": ('"  cpsid i\\n"', ""),
        "the cache is not flushed": ('"  blx  r3\\n" /* flash_flush_cache */', ""),
        "flash stays busy": ('"  blx  r3\\n" /* flash_enter_cmd_xip:', '"" /*'),
        "the clock is set too early": ('"  str  r0, [r6, #0x08]\\n" /* SSIENR: off', '"" /*'),
        "the clock stays slow": ('"  str  r7, [r6, #0x14]\\n"', ""),
    },
}


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name in CHIPS for fault in FAULTS_BY_CHIP[name]]
)
def test_a_fault_in_a_driver_is_seen(name, fault, build, tmp_path):
    chip, new_flash, _ = CHIPS[name]
    elf = build(chip, small(chip), tmp_path / "p", FAULTS_BY_CHIP[name][fault])
    assert starts(elf, new_flash()) != expected(chip, small(chip), first=EMPTY)


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        ("stm32f4", (0x080C0000, 0x10000)),
        ("stm32f4", (0x080C4000, 0x4000)),
        ("stm32l4", (0x080FE000, 0x400)),
        ("stm32l4", (0x080FE008, 0x800)),
        ("stm32l5", (0x0807E400, 0x800)),
        ("stm32l5", (0x0807F800, 0x1000)),
        ("rp2040", (0x101FC000, 0x800)),
        ("rp2040", (0x101FC100, 0x1000)),
    ],
)
def test_a_slot_that_is_not_whole_blocks_of_flash_is_refused(name, slot, build, tmp_path):
    chip, new_flash, _ = CHIPS[name]
    elf = build(replace(chip, slots=(slot, chip.slots[1])), small(chip), tmp_path / "p")
    flash = new_flash()
    assert run(elf, flash).split()[2] == f"{ERROR_FLASH:08x}"
    assert flash.operations == 0


def test_the_simulators_rom_is_its_source(tmp_path):
    rom = boot_rom(load_board("pico"))
    source = resource_directory("sim") / "rom" / "rp2040.S"
    elf = tmp_path / "rom.elf"
    subprocess.run([GCC, "-nostdlib", "-Wl,-e,0,-Ttext=0", str(source), "-o", str(elf)], check=True)
    assert read_elf(elf).read(0, len(rom.content)) == rom.content
