"""The UART drivers against models that say what a driver forgot, and RP2040's boot stage."""

import re

import numpy as np
import pytest
from toy import build_toy, toy, toy_samples

from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.boot import RP2040_BOOT_BYTES, check_boot, crc32_mpeg2
from spela_mcu.firmware.build import build_project, build_with
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.simulators.base import SimulationError
from spela_mcu.simulators.unicorn import UnicornSimulator

MISUSES = [
    # board, file of the port, what stands there, what stands there instead, what is said
    ("bluepill", "uart.c", "stm32_connect_pins();", "", "before its TX pin is connected"),
    ("bluepill", "stm32.h", "PULLED    8U", "PULLED    3U", "before its RX pin is connected"),
    ("bluepill", "stm32.h", "gpio->output |= 1U << pin;", "", "before its RX pin is connected"),
    ("bluepill", "board.h", "1U << 14", "1U << 13", "before bit 14 of 0x40021018 is set"),
    ("stm32l552", "board.h", "1U << 9", "1U << 8", "before bit 9 of 0x40007004 is set"),
    ("stm32l552", "uart.c", ")BAUD_DIVIDER;", ")BAUD_DIVIDER / 256U;", "runs at 30117647 baud"),
    ("stm32l552", "uart.c", " | CONTROL_RX_ENABLE;", ";", "before it is enabled"),
    ("stm32l552", "stm32.h", "alternate = (*", "alternate |= (*", None),  # just as good
    ("microbit", "uart.c", "nrf_start_crystal();", "", "before the crystal oscillator is started"),
    ("microbit", "uart.c", "nrf_configure_pins();", "", "before its TX pin is connected"),
    ("microbit", "uart.c", "*uart(PIN_RX) = BOARD_UART_RX_PIN;", "", "before its RX pin"),
    ("microbit", "uart.c", "*uart(TASK_START_TX) = 1U;", "", "its transmitter is started"),
    ("microbit", "uart.c", "= ENABLE_UART;", "= 8U;", "before it is enabled"),
    ("microbit", "uart.c", ")BAUD_REGISTER;", ")BAUD_REGISTER / 2U;", r"runs at 576\d\d baud"),
    (
        *("microbit", "uart.c", "*uart(EVENT_RX_READY) = 0U;\n    return (uint8_t)*uart(RX_DATA);"),
        "uint8_t b = (uint8_t)*uart(RX_DATA);\n    *uart(EVENT_RX_READY) = 0U;\n    return b;",
        "event of a byte was cleared, and the byte not read",
    ),
    ("nrf52840dk", "uart.c", ")&sent;", ")0x100U;", "DMA cannot reach 1 bytes at 0x00000100"),
    (
        *("nrf52840dk", "uart.c", "*uarte(TASK_START_RX) = 1U;\n    return byte;", "return byte;"),
        "asked for a byte while its receiver is stopped",
    ),
    (
        *("nrf52840dk", "uart.c", "*uarte(EVENT_RX_END) = 0U;", ""),
        "started before the end of the last is cleared",
    ),
    ("nrf52840dk", "uart.c", "0x01D60000U", "0x01D60U", r"runs at \d+ baud"),
    ("nrf52840dk", "uart.c", "= ENABLE_UARTE;", "= 4U;", "before it is enabled"),
    ("riscv-virt", "uart.c", "= LINE_8_BITS;", "= 2U;", "does not send 8 data bits"),
    ("riscv-virt", "uart.c", "= FIFO_ENABLE;", "= 0U;", "before its FIFO is enabled"),
    ("riscv-virt", "uart.c", "= (uint8_t)(BAUD_DIVIDER & 0xFFU);", "= 0U;", "divider is set"),
    ("riscv-virt", "uart.c", "BAUD_DIVIDER >> 8", "1U", r"runs at \d+ baud"),
    ("riscv-virt", "uart.c", "REGISTER_FIFO    2U", "REGISTER_FIFO    4U", "no register to write"),
    ("hifive1", "uart.c", "start_clock(PRCI_CRYSTAL);", "", "does not oscillate"),
    ("hifive1", "uart.c", "start_clock(PRCI_RING);", "", "does not oscillate"),
    ("hifive1", "uart.c", "*at(PRCI_PLL) = PLL_OF", "*at(PRCI_PLL) |= PLL_OF", "is changed"),
    ("hifive1", "uart.c", "*at(PRCI_DIVIDER) = DIVIDE_BY_1;", "", "the crystal's divided"),
    ("hifive1", "uart.c", "PLL_OF_CRYSTAL | PLL_BYPASS", "PLL_OF_CRYSTAL", "is not set up"),
    (
        "hifive1",
        "uart.c",
        "*at(PRCI_PLL) |= PLL_SELECT;",
        "",
        "before the core runs on the crystal",
    ),
    ("hifive1", "uart.c", "*at(GPIO_IOF_SELECT) &= ~UART_PINS;", "", "before its pins"),
    ("hifive1", "uart.c", "uart()->rx_control = ENABLE;", "", "before it is enabled"),
    ("hifive1", "uart.c", "BAUD_DIVIDER - 1U", "BAUD_DIVIDER / 2U", r"runs at \d+ baud"),
    ("pico", "uart.c", " | RESET_UART", "", "used while it is held in reset"),
    ("pico", "uart.c", "RESET_IO_BANK0 | ", "", "its bank is held in reset"),
    ("pico", "uart.c", "connect_pin(BOARD_UART_RX_PIN);", "", "before its RX pin is connected"),
    ("pico", "uart.c", "CLOCK_UART_XOSC | ", "", "before its clock is the crystal's"),
    ("pico", "uart.c", "_8_BITS_FIFO  0x70U", "_8_BITS_FIFO  0x50U", "does not send 8 data bits"),
    ("pico", "uart.c", "BAUD_DIVIDER / 64U;", "BAUD_DIVIDER / 32U;", r"runs at \d+ baud"),
    ("pico", "uart.c", "(BOARD_UART_BASE + 0x04U)", "0x40054000U", "store to nothing at 0x40054"),
]


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    return tmp_path_factory.mktemp("uarts")


@pytest.mark.parametrize("misuse", MISUSES, ids=[f"{one[0]}-{i}" for i, one in enumerate(MISUSES)])
def test_a_driver_that_forgets_something_is_told_what(misuse, directories, monkeypatch):
    board, name, old, new, words = misuse
    if words is not None and words.startswith("no answer"):
        monkeypatch.setattr("spela_mcu.simulators.unicorn.BOOT_TIMEOUT_S", 1.0)
    project = toy(board).project
    directory = directories / board
    if not directory.exists():
        write_project(project, directory)
    text = project.files[f"port/{name}"]
    assert text.count(old) >= 1, f"{name} of {board} has no {old!r}"
    file = directory / "port" / name
    file.write_text(text.replace(old, new, 1))
    try:
        build = build_with(directory, "auto", "O1")
        if words is None:
            assert Device(UnicornSimulator().start(build)).info().name == "toy"
            return
        with pytest.raises(SimulationError, match=words):
            Device(UnicornSimulator().start(build)).info()
    finally:
        file.write_text(text)


@pytest.mark.parametrize(
    ("board", "clock", "baud"),
    [
        ("bluepill", None, 115),
        ("stm32l552", None, 2_000_000),
        ("mps2-an386", None, 2_000_000),
        ("microbit", 8_000_000, 115200),
        ("microbit", None, 300),
        ("nrf52840dk", None, 115201),
        ("pico", None, 1_000_000),
        ("pico", 48_000_000, 115200),
        ("riscv-virt", None, 1_000_000),
        ("hifive1", None, 115),
    ],
)
def test_a_baud_rate_that_cannot_be_had_does_not_compile(board, clock, baud, tmp_path):
    write_project(toy(board).project, tmp_path / "p")
    header = tmp_path / "p" / "port" / "board.h"
    text = re.sub(r"(UART_BAUD +)\d+", rf"\g<1>{baud}", header.read_text())
    if clock is not None:
        text = re.sub(r"(UART_CLOCK_HZ +)\d+", rf"\g<1>{clock}", text)
    header.write_text(text)
    with pytest.raises(UserError, match=r"BOARD_UART|runs on 16 MHz"):
        build_with(tmp_path / "p", "auto", "O1")


# --------------------------------------------------------------- RP2040's second stage

SSI, VECTORS, VTOR, COPIED_TO = 0x18000000, 0x10000100, 0xE000ED08, 0x20041F00


@pytest.fixture(scope="module")
def pico(tmp_path_factory):
    return build_toy(toy("pico"), tmp_path_factory.mktemp("pico") / "p")


def test_the_checksum_is_the_boot_roms():
    assert crc32_mpeg2(b"123456789") == 0x0376E6E7  # the catalogue's check value

    def bit_by_bit(data):
        crc = 0xFFFFFFFF
        for byte in data:
            crc ^= byte << 24
            for _ in range(8):
                crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
        return crc

    data = np.random.default_rng(0).bytes(252)
    assert crc32_mpeg2(data) == bit_by_bit(data)


def test_the_stage_carries_its_checksum_and_the_vectors_follow(pico):
    elf = pico.read_elf()
    stage = elf.read(0x10000000, RP2040_BOOT_BYTES)
    assert int.from_bytes(stage[252:], "little") == crc32_mpeg2(stage[:252])
    assert elf.by_name["port_boot"].bytes == RP2040_BOOT_BYTES
    assert elf.by_name["port_vectors"].address == VECTORS
    check_boot(elf, pico.project.board)


def test_a_stage_that_was_changed_is_not_built(tmp_path):
    write_project(toy("pico").project, tmp_path / "p")
    file = tmp_path / "p" / "port" / "boot.c"
    file.write_text(file.read_text().replace("movs r1, #4", "movs r1, #6"))
    with pytest.raises(UserError, match="the chip would not start") as raised:
        build_project(tmp_path / "p", find_compiler())
    assert re.search(r"boot\.c end with \.word 0x[0-9A-F]{8}", raised.value.mend)


def test_the_stage_sets_up_flash_and_enters_the_firmware(pico):
    """Executed where the boot ROM would execute it: all that it stores, and where it ends."""
    unicorn = pytest.importorskip("unicorn")
    from unicorn import arm_const as arm

    elf, stored = pico.read_elf(), []
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M0)
    for address in (0x10000000, 0x20041000, SSI, VTOR & ~0xFFF):
        uc.mem_map(address, 0x10000 if address == 0x10000000 else 0x1000)
    for address, data in elf.load_segments:
        uc.mem_write(address, data)
    uc.mem_write(COPIED_TO, elf.read(0x10000000, RP2040_BOOT_BYTES))

    def on_store(uc, access, address, size, value, data):
        stored.append((address, value))

    uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, on_store)
    start = elf.by_name["Reset_Handler"].address
    uc.emu_start(COPIED_TO | 1, start, count=100)
    assert uc.reg_read(arm.UC_ARM_REG_PC) == start
    assert uc.reg_read(arm.UC_ARM_REG_SP) == elf.by_name["port_stack_top"].address
    assert stored == [
        (SSI + 0x08, 0),
        (SSI + 0x04, 0),
        (SSI + 0x14, 4),
        (SSI + 0x00, 31 << 16 | 3 << 8),
        (SSI + 0xF4, 0x03 << 24 | 2 << 8 | 6 << 2),
        (SSI + 0x08, 1),
        (VTOR, VECTORS),
    ]


def test_flash_and_simulation_begin_where_each_has_to(pico):
    assert pico.bin_file.read_bytes()[:4] == pico.read_elf().read(0x10000000, 4)
    case = toy("pico")
    with UnicornSimulator().start(pico) as machine:
        x, _ = toy_samples(case, 1)
        expected = case.network().infer(x[0])
        assert [list(one.scores) for one in Device(machine).infer(x[0])] == [
            list(one.scores) for one in expected
        ]
