"""What is RISC-V's own: how its machine code is read, and what its traps tell."""

import re
import shutil
import subprocess

import pytest
from toy import Broken, build_toy, toy

from spela_mcu.cores import RISCV
from spela_mcu.device.device import Device
from spela_mcu.device.fault import TRAP_CAUSES, RiscVTrap, read_fault
from spela_mcu.firmware.disassembly import instructions
from spela_mcu.firmware.elf import Elf
from spela_mcu.firmware.legality import illegal_instructions
from spela_mcu.machine_code import INSTRUCTION_SETS, Instruction
from spela_mcu.simulators.base import SimulationError
from spela_mcu.simulators.choice import simulator_named

RISCV_CODE = INSTRUCTION_SETS["riscv"]
IMC, IMAC = toy("riscv-virt"), toy("hifive1")


def test_each_kind_of_instruction_is_told():
    """One of each format, and the reserved codes beside them (volume I, chapters 16 and 24)."""
    kinds = {
        None: (0x00A00513, 0x00B50533, 0x40B50533, 0x40155513, 0x00052503, 0x00A52023, 0x00B50463,
               0x0040006F, 0x00008067, 0x000102B7, 0x00000297, 0x0FF0000F, 0x0000100F, 0x00000073,
               0x00100073, 0x30200073, 0x10500073, 0x30529073, 0x34202573),
        "multiplication": (0x02B50533, 0x02B51533, 0x02B54533, 0x02B57533),
        "atomics": (0x1005252F, 0x00B5252F),
        "compressed": (0x0000, 0x0001, 0x1141, 0x7139, 0x4501, 0x6505, 0x4108, 0xC108, 0x0028,
                       0x050A, 0x45B2, 0xC606, 0x8082, 0x9502, 0x85AA, 0x95AA, 0x9002, 0xA001,
                       0x2001, 0xC119, 0xE119, 0x8105, 0x8505, 0x8905, 0x8D0D, 0x8D2D, 0x8D4D),
        "floating point": (0x00052007, 0x00A52027, 0x00B57553, 0x00A50543, 0x2108, 0x6108, 0xE108,
                           0x6502, 0xA002, 0xE002),
    }  # fmt: skip
    for extension, codes in kinds.items():
        for code in codes:
            found = RISCV_CODE.extension(Instruction(0, 4, code, "", ""), mve=False)
            assert found == extension, hex(code)
    for code in (0x20B55533, 0x60B55533, 0x0A050513 | 1 << 12, 0x0000302F, 0x00003003, 0x00002063,
                 0x0000006B, 0x0000700F, 0x30300073, 0x6101 & 0xE003 | 1, 0x9D0D, 0x9C01, 0x9105,
                 0x8002, 0x4002, 0x1002):  # fmt: skip
        with pytest.raises(LookupError):
            RISCV_CODE.extension(Instruction(0, 4, code, "", ""), mve=False)


def test_a_core_without_atomics_is_told():
    elf = Elf(RISCV, (), (), ((0, (0x1005252F).to_bytes(4, "little")),), (), ((0, 4),))
    assert illegal_instructions(elf, IMAC.project.board) == ()
    (found,) = illegal_instructions(elf, IMC.project.board)
    assert str(found) == ("0x00000000 in ?: lr.w a0, (a0): the core has no atomic instructions (A)")


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return build_toy(IMC, tmp_path_factory.mktemp("riscv") / "p", optimization="O2")


def test_instructions_are_those_that_binutils_sees(build):
    """Where each begins, where it goes, and by how much it moves the stack."""
    objdump = shutil.which("riscv64-unknown-elf-objdump")
    if objdump is None:
        pytest.skip("riscv64-unknown-elf-objdump is not on PATH")
    shown = subprocess.run(
        [objdump, "-d", "-M", "no-aliases", build.elf], capture_output=True, text=True, check=True
    ).stdout
    seen = {}
    for line in shown.splitlines():
        match = re.match(r"\s*([0-9a-f]+):\s+([0-9a-f]{4,8})\s+(\S+)\s*([^#<]*)", line)
        if match:
            seen[int(match[1], 16)] = (len(match[2]) // 2, match[3], match[4].strip())
    mine = {step.address: step for step in instructions(build.read_elf(), 0, 1 << 32)}
    assert {address: size for address, (size, *_) in seen.items()} == {
        address: step.size
        for address, step in mine.items()
        if step.code != 0  # padding
    }
    jumps, pushes = 0, 0
    for address, (_, name, operands) in seen.items():
        flow = RISCV_CODE.flow(mine[address])
        if re.match(r"(c\.)?(j|jal|b\w+)$", name) and "break" not in name:
            assert flow.target == int(operands.split(",")[-1], 16), (hex(address), name, operands)
            jumps += 1
        moved = re.match(r"sp,(?:sp,)?(-?\d+)$", operands)
        if moved and name in ("addi", "c.addi", "c.addi16sp"):
            assert flow.pushed == -int(moved[1]), (hex(address), name, operands)
            pushes += 1
    assert jumps > 500
    assert pushes > 50


# ------------------------------------------------------------------------------ traps

TRAPS = {
    "illegal": ('__asm__ volatile(".word 0xFFFFFFFF");', 2, "illegal instruction"),
    "load": ("(void)*(volatile uint32_t *)0x40;", 5, "load not permitted, address 0x00000040"),
    "store": ("*(volatile uint32_t *)0x44 = 1;", 7, "store not permitted, address 0x00000044"),
    "call": ('__asm__ volatile("ecall");', 11, "environment call"),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """On the board with nothing at address 0, and nothing but RAM at its own."""
    return Broken(IMAC, tmp_path_factory.mktemp("broken") / "p")


def need_qemu():
    qemu = simulator_named("qemu", RISCV)
    if not qemu.is_installed():
        pytest.skip(qemu.mend)
    return qemu


@pytest.mark.parametrize("trap", TRAPS)
def test_the_firmware_tells_its_traps(broken, trap):
    line, cause, words = TRAPS[trap]
    qemu = need_qemu()
    with pytest.raises(SimulationError, match=f"{words}.*, in main") as raised:
        qemu.start(broken.build(line))
    told = raised.value.__cause__.fault
    assert (told.mcause, set(told.registers)) == (cause, {"pc", "ra", "sp"})
    unicorn = simulator_named("unicorn")
    with pytest.raises(SimulationError, match="in main"):
        unicorn.start(broken.build(line))


@pytest.mark.parametrize("case", [IMC, IMAC], ids=lambda case: case.project.board.id)
def test_an_overflowed_stack_is_told(case, tmp_path):
    """By the locked page below it on the one board, by nothing there on the other."""
    qemu = need_qemu()
    broken = Broken(case, tmp_path / "p")
    with pytest.raises(SimulationError, match="with an overflowed stack, store not permitted"):
        qemu.start(broken.build("(void)eat(100000);"))


def test_a_core_without_memory_protection_starts(tmp_path):
    """Its first access to that traps, and is passed over."""
    broken = Broken(IMC, tmp_path / "p")
    startup = tmp_path / "p" / "port" / "startup.c"
    text = startup.read_text()
    assert text.count("pmpaddr1") == 1
    startup.write_text(text.replace("pmpaddr1", "0x7C0"))  # no such register
    with need_qemu().start(broken.build("")) as machine:
        assert Device(machine).info().name == "toy"


def test_traps_in_words():
    def words(mcause, mtval):
        body = (mcause, mtval, 0x1800, 0x80000123, 0x80000100, 0x80800010)
        return read_fault(b"".join(word.to_bytes(4, "little") for word in body))

    fault = words(5, 0x40)
    assert isinstance(fault, RiscVTrap)
    assert (fault.place, fault.causes) == (
        "at 0x80000123",
        "load not permitted, address 0x00000040",
    )
    assert words(2, 0x7F).causes == "illegal instruction, code 0x0000007f"
    assert words(1 << 31 | 7, 0).causes == "unexpected interrupt 7"
    assert words(24, 0).causes == "trap 24"
    for number, cause in TRAP_CAUSES.items():
        assert words(number, 0).causes == cause
