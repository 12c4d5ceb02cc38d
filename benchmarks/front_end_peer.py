"""The real transform beside CMSIS-DSP's, both counted on a Cortex-M4."""

from __future__ import annotations

import importlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spela_mcu.errors import UserError
from spela_mcu.firmware.elf import read_elf
from spela_mcu.front_end.tables import twiddles
from spela_mcu.resources import resource_directory

POINTS = (64, 256, 1024)
SOURCES = (
    *(f"TransformFunctions/arm_{name}.c" for name in (
        "rfft_q15", "rfft_init_q15", "cfft_q15", "cfft_init_q15", "cfft_radix4_q15", "bitreversal2",
    )),
    *("BasicMathFunctions/arm_shift_q15.c", "CommonTables/arm_common_tables.c"),
    "CommonTables/arm_const_structs.c",
)  # fmt: skip

PROGRAM = """
#include <arm_math.h>
#include "spela_fft.h"
static arm_rfft_instance_q15 instance;
int16_t values[1024], spectrum[2048];
uint32_t work[512];
extern const uint32_t table[];
int start(int points) { return arm_rfft_init_q15(&instance, (uint32_t)points, 0U, 1U); }
void peer(int points) { (void)points; arm_rfft_q15(&instance, values, spectrum); }
void ours(int points) {
    const uint32_t *pairs = (const uint32_t *)(const void *)values;
    const uint32_t count = (uint32_t)points / 2U;
    uint32_t reversed = 0U;
    for (uint32_t k = 0U; k < count; k++) {
        uint32_t bit = count / 2U;
        work[reversed] = pairs[k];
        for (; (reversed & bit) != 0U; bit /= 2U) { reversed ^= bit; }
        reversed |= bit;
    }
    spela_transform(work, table, (uint32_t)points);
}
int main(void) { return 0; }
"""

CODE, DATA, STACK, END = 0x8000, 0x20000000, 0x20080000, 0x100000


@dataclass(frozen=True)
class Transforms:
    """Instructions of one real transform of so many points."""

    points: int
    ours: int
    peer: int


def compare(checkout: Path, directory: Path) -> tuple[Transforms, ...]:
    """Counts both for each number of points.

    Args:
        checkout: of CMSIS-DSP, with CMSIS/Core/Include in it or beside it.
        directory: for the programs.

    Raises:
        UserError: they do not compile.
    """
    return tuple(_count(_build(checkout, directory, points), points) for points in POINTS)


def _build(checkout: Path, directory: Path, points: int) -> Path:
    firmware = resource_directory("firmware")
    (directory / "peer.c").write_text(PROGRAM)
    pairs = np.ascontiguousarray(twiddles(points).astype("<i2")).view("<u4").ravel()
    numbers = ", ".join(map(str, pairs.tolist()))
    text = f"#include <stdint.h>\nconst uint32_t table[] = {{{numbers}}};\n"
    (directory / "table.c").write_text(text)
    elf = directory / f"peer{points}.elf"
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-O2", "-w", "-DARM_MATH_CM4"]
    command += ["-D__FPU_PRESENT=0", "-ffunction-sections", "-fdata-sections", "-nostartfiles"]
    command += ["-nostdlib", f"-Wl,-Ttext={CODE:#x}", f"-Wl,-Tdata={DATA:#x}", "-Wl,--gc-sections"]
    command += ["-Wl,-e,main", *(f"-Wl,-u,{name}" for name in ("start", "peer", "ours"))]
    core = (checkout / "CMSIS/Core/Include", checkout.parent / "CMSIS/Core/Include")
    folders = (
        checkout / "Include",
        checkout / "PrivateInclude",
        *core,
        firmware / "front_end",
        firmware / "spela",
    )
    command += [f"-I{folder}" for folder in folders]
    command += [str(directory / "peer.c"), str(directory / "table.c")]
    command += [str(firmware / "front_end" / "spela_fft.c")]
    command += [str(checkout / "Source" / source) for source in SOURCES]
    done = subprocess.run(
        [*command, "-o", str(elf), "-lgcc"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(
            f"CMSIS-DSP does not compile: {done.stderr[:500]}",
            mend="name a checkout with Include, PrivateInclude, Source and CMSIS/Core/Include",
        )
    return elf


def _count(elf_file: Path, points: int) -> Transforms:
    elf = read_elf(elf_file)
    unicorn: Any = importlib.import_module("unicorn")
    arm: Any = importlib.import_module("unicorn.arm_const")
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
    machine.mem_map(0, 2 * END)
    machine.mem_map(DATA, 0x100000)
    for address, content in elf.load_segments:
        machine.mem_write(address, content)
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    machine.hook_add(unicorn.UC_HOOK_CODE, counted)
    found = {}
    values = np.random.default_rng(0).integers(-8000, 8000, points).astype("<i2")
    for name in ("start", "peer", "ours"):
        machine.mem_write(elf.by_name["values"].address, values.tobytes())
        machine.reg_write(arm.UC_ARM_REG_SP, STACK)
        machine.reg_write(arm.UC_ARM_REG_LR, END | 1)
        machine.reg_write(arm.UC_ARM_REG_R0, points)
        count = 0
        machine.emu_start(elf.by_name[name].address | 1, END)
        found[name] = count
    return Transforms(points, found["ours"], found["peer"])
