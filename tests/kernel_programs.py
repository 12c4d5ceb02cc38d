"""tests/c/kernels.c with the kernels of every core, compiled, and run on that core."""

import ctypes
import platform
import subprocess
from pathlib import Path

import pytest
from host_process import RUNTIME, plant
from kernel_cases import blob, joined

from spela_mcu.cores import CORTEX_M, RISCV
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.elf import read_elf
from spela_mcu.firmware.toolchain import WARNING_FLAGS, find_compiler
from spela_mcu.host.network import host_compiler
from spela_mcu.simulators.qemu_process import qemu_program
from spela_mcu.simulators.unicorn_core import unicorn_core

HOST = RUNTIME.parent / "host"
PROGRAM = Path(__file__).parent / "c" / "kernels.c"
CASES = 0x20040000
ENTRIES = {"cortex_m": ("-Wl,-u,vectors", "-Wl,-e,start"), "riscv": ("-Wl,-e,run_cases",)}
BACK = 0xFF00
"""An address that the program does not reach by itself."""
WHAT = (
    *("", "inputs", "sums", "weights", "state", "relieved", "halved", "memory of others"),
    *("registers of the caller", "kept inputs", "applied weights", "applied state"),
)
LINKER_SCRIPT = """\
SECTIONS {
    .text 0x0 : { KEEP(*(.vectors)) *(.text .text.* .rodata .rodata.* .srodata*) }
    .bss 0x20000000 (NOLOAD) : { *(.data .data.* .sdata* .bss .bss.* .sbss* COMMON) }
    /DISCARD/ : { *(.ARM.exidx* .ARM.extab* .eh_frame*) }
}
"""

# A board of each core, how its program is run, and the macros it is compiled with. The host's own
# kernels run in this process.
KERNELS = {
    "sse2": (None, "host", ("SPELA_HOST_KERNELS",)),
    "armv6-m": ("nucleo-g071rb", "unicorn", ()),
    "armv7-m": ("mps2-an385", "unicorn", ()),
    "dsp": ("mps2-an386", "unicorn", ()),
    "dsp, small": ("mps2-an386", "unicorn", ("__OPTIMIZE_SIZE__",)),
    "dsp, armv8-m": ("mps2-an505", "unicorn", ()),
    "mve": ("mps3-an547", "qemu", ()),
    "riscv": ("riscv-virt", "unicorn", ()),
    "portable": ("mps2-an386", "unicorn", ("SPELA_PORTABLE_KERNELS",)),
}


def run_by(kernels):
    """Marks of a test that runs some kernels, or a part of them."""
    how = KERNELS[kernels if kernels in KERNELS else kernels.partition(", ")[0]][1]
    return [] if how == "host" else [pytest.mark.needs_simulator(how)]


def build_program(compile_object, kernels, compiler, directory, change=None):
    """Compiles tests/c/kernels.c with the runtime's kernels; a fault may be planted in them."""
    board_id, how, defines = KERNELS[kernels]
    if how == "host" and platform.machine() not in {"x86_64", "AMD64"}:
        pytest.skip(f"{platform.machine()} has no {kernels}")
    board = None if board_id is None else load_board(board_id)
    family = CORTEX_M if board is None else board.family
    try:
        is_native = how == "host" and compiler == "gcc"
        command = host_compiler() if is_native else list(find_compiler(compiler, family).command)
    except UserError as error:
        pytest.skip(str(error))
    files = [
        PROGRAM,
        PROGRAM.with_name("semihosting.h"),
        *RUNTIME.glob("spela_kernels*"),
        RUNTIME / "spela_arithmetic.h",
        RUNTIME / "spela_config.h",
    ]
    for file in [*files, *HOST.glob("*.c")] if how == "host" else files:
        (directory / file.name).write_text(file.read_text())
    if change is not None:
        plant(directory / change[0], *change[1:])
    if how == "host":
        program = directory / "kernels.so"
        flags, link = ["-std=c99", "-O1", *WARNING_FLAGS, "-fPIC"], ["-shared"]
    else:
        program = directory / "kernels.elf"
        found = find_compiler(compiler, family)
        (directory / "linker.ld").write_text(LINKER_SCRIPT)
        flags = found.compile_flags(board, "O1")
        link = [*found.link_flags(board, "linker.ld"), *ENTRIES[family.name]]
    compiled = [*command, *flags, "-Werror", "-I.", *(f"-D{define}" for define in defines)]
    objects = []
    for source in sorted(directory.glob("*.c")):
        objects.append(source.with_suffix(".o"))
        compile_object([*compiled, "-c", source.name, "-o", str(objects[-1])], directory)
    subprocess.run([*command, *objects, *link, "-o", program], cwd=directory, check=True)
    return program


FIRST_BYTES, MOST_BYTES = 0x8000, 0x38000
"""Of the cases in one run: few show most faults, more take as long as a simulator's start; the
smallest board has a quarter of a megabyte for them."""


def check(kernels, program, some):
    """Runs cases; fails with the first that goes wrong, and in what."""
    said = _run(kernels, program, blob(some))
    assert said == 0, f"{WHAT[said % 16]} of {some[said // 16 - 1]}"


def check_many(kernels, program, some):
    """The same with pairs of cases and their bytes, as many as there may be."""
    for part in _parts(some):
        said = _run(kernels, program, joined([content for _, content in part]))
        assert said == 0, f"{WHAT[said % 16]} of {part[said // 16 - 1][0]}"


def _parts(some):
    """What is run at a time."""
    part, size, room = [], 0, FIRST_BYTES
    for case, content in some:
        if part and size + len(content) > room:
            yield part
            part, size, room = [], 0, min(2 * room, MOST_BYTES)
        part.append((case, content))
        size += len(content)
    yield part


def _run(kernels, program, data):
    """What run_cases says of the cases."""
    board_id, how, _ = KERNELS[kernels]
    if how == "host":
        return ctypes.CDLL(str(program)).run_cases(data)
    run = _run_in_unicorn if how == "unicorn" else _run_in_qemu
    return run(load_board(board_id), program, data)


def _run_in_unicorn(board, elf, data):
    """What run_cases says, called in a core without anything around it."""
    unicorn = pytest.importorskip("unicorn")
    core = unicorn_core(board)
    machine, argument = core.uc, "a0" if board.family == RISCV else "r0"
    machine.mem_map(0, 0x10000, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
    machine.mem_map(0x20000000, 0x200000, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
    program = read_elf(elf)
    for address, content in program.load_segments:
        machine.mem_write(address, content)
    machine.mem_write(CASES, data)
    for register, value in (
        ("sp", CASES),
        (board.family.link, core.entry(BACK)),
        (argument, CASES),
    ):
        core.set(register, value)
    machine.emu_start(core.entry(program.by_name["run_cases"].address), BACK)
    return core.register(argument)


def _run_in_qemu(board, elf, data):
    """What run_cases says, told by semihosting."""
    file = elf.with_suffix(".cases")
    file.write_bytes(data)
    done = subprocess.run(
        [
            *(qemu_program(), "-M", board.simulators.qemu.machine, "-kernel", elf),
            *("-device", f"loader,file={file},addr={CASES:#x},force-raw=on"),
            *("-semihosting-config", "enable=on,target=native"),
            *("-display", "none", "-monitor", "none", "-serial", "none"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return int(done.stdout + done.stderr, 16)
