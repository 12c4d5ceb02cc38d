"""Prints what BACKBONE_CODE_BYTES in spela_mcu/firmware/memory.py should be.

    python tests/measure_backbone.py

Compiles the backbone's runtime by every compiler, level and core; run it when that changes.
"""

import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

from elftools.elf.elffile import ELFFile
from measure_code import HEADROOM

from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.memory import BACKBONE_CODE_BYTES
from spela_mcu.firmware.toolchain import OPTIMIZATIONS, find_compiler
from spela_mcu.resources import resource_directory

FILES = {
    "convolution": "spela_convolution",
    "depthwise": "spela_depthwise",
    "pools": "spela_pool",
    "elementwise": "spela_elementwise",
    "padding": "spela_pad",
}
"""How the names of a part's files begin; all others are the front's."""

RUN_TAPS = ("spela", "spela_init", "spela_learn")
"""Sources of the network's runtime that SPELA_WITH_TAPS makes longer, besides the front's."""


def part_of(path):
    return next((part for part, stem in FILES.items() if path.stem.startswith(stem)), "front")


def code_bytes(command, source, directory):
    target = directory / "one.o"
    subprocess.run([*command, "-c", str(source), "-o", str(target)], check=True)
    with target.open("rb") as file:
        return sum(
            section["sh_size"]
            for section in ELFFile(file).iter_sections()
            if section.name.startswith((".text", ".rodata"))
        )


def measure(directory):
    firmware = resource_directory("firmware")
    # spela_quantize, which scales features, is the front's as well
    sources = [*sorted((firmware / "backbone").glob("*.c")), firmware / "spela" / "spela_scaling.c"]
    with_taps = [firmware / "backbone" / "spela_front.c"]
    with_taps += [firmware / "spela" / f"{name}.c" for name in RUN_TAPS]
    largest = defaultdict(int)
    for board in map(load_board, ("microbit", "bluepill", "stm32f4_discovery", "mps3-an547")):
        for name in ("gcc", "zig"):
            compiler = find_compiler(name)
            for level in OPTIMIZATIONS:
                command = [
                    *compiler.command,
                    *compiler.compile_flags(board, level),
                    "-DSPELA_WITH_BACKBONE",
                    f"-I{firmware / 'spela'}",
                    f"-I{firmware / 'backbone'}",
                ]
                sizes = defaultdict(int)
                for source in sources:
                    sizes[part_of(source)] += code_bytes(command, source, directory)
                taps = [*command, "-DSPELA_WITH_TAPS"]
                sizes["taps"] = sum(
                    code_bytes(taps, source, directory) - code_bytes(command, source, directory)
                    for source in with_taps
                )
                for part, size in sizes.items():
                    largest[part, level] = max(largest[part, level], size)
    return largest


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(Path(scratch))
    for part in BACKBONE_CODE_BYTES:
        entries = (
            f'"{level}": {round(found[part, level] * HEADROOM + 50, -2):.0f}'
            for level in OPTIMIZATIONS
        )
        print(f'    "{part}": {{{", ".join(entries)}}},')
