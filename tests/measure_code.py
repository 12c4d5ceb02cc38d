"""Prints what the CODE_BYTES of spela_mcu/firmware/memory.py should be, but a backbone's.

    python tests/measure_code.py

Builds the toy some 360 times, which takes minutes; run it when the runtime or a compiler changes.
"""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from toy import build_toy, toy

from spela_mcu.cores import CORES
from spela_mcu.firmware.boot import boot_bytes
from spela_mcu.firmware.toolchain import OPTIMIZATIONS

BOARDS = (
    *("microbit", "nucleo-g071rb", "pico"),
    *("bluepill", "stm32f4_discovery", "nrf52840dk", "nucleo-h743zi", "stm32l552", "mps3-an547"),
    "riscv-virt",
)
HEADROOM = 1.08
"""For other versions of the compilers, other drivers and other models."""


def code_bytes(board, compiler, optimization, directory, **options):
    """Of the linked toy: all of flash but the model's tables and what lies before the vectors."""
    case = toy(board, drawn=False, **options)
    build = build_toy(case, directory, compiler, optimization)
    return build.flash_bytes - case.project.model.table_bytes - boot_bytes(build.project.board)


def measure(directory, weights):
    """The largest of each density of code, compiler and level: learning, inference only."""
    largest = defaultdict(lambda: [0, 0])
    for board in BOARDS:
        for inference_only in (False, True):
            for compiler in ("gcc", "zig"):
                for level in OPTIMIZATIONS:
                    place = directory / f"{board}-{inference_only}-{weights}"
                    code = code_bytes(
                        board,
                        compiler,
                        level,
                        place,
                        inference_only=inference_only,
                        weights=weights,
                        store=False,
                    )
                    entry = largest[CORES[toy(board).project.board.core].code_size, compiler, level]
                    entry[inference_only] = max(entry[inference_only], code)
        print(f"# {board} done", file=sys.stderr)
    return largest


def bounded(size):
    return round(size * HEADROOM + 50, -2)


def wider(narrow, wide):
    """By how much the bounds with int16 weights are greater, at each level."""
    return {
        level: max(
            bounded(wide[key][which]) - bounded(narrow[key][which])
            for key in wide
            for which in (False, True)
            if key[2] == level
        )
        for level in OPTIMIZATIONS
    }


STORES = ("microbit", "stm32f4_discovery", "pico")


def measure_store(directory):
    """The most that a store and its driver add, by level."""
    most = dict.fromkeys(OPTIMIZATIONS, 0)
    for board in STORES:
        for compiler in ("gcc", "zig"):
            for level in OPTIMIZATIONS:
                without, with_store = (
                    code_bytes(board, compiler, level, directory / f"{board}-{store}", store=store)
                    for store in (False, True)
                )
                most[level] = max(most[level], with_store - without)
    return {level: bounded(size) for level, size in most.items()}


def table(largest):
    """The table, as it stands in the source."""
    lines = ["{"]
    for core in ("armv6-m", "armv7-m", "rv32imc"):
        lines.append(f'    "{core}": {{')
        for compiler in ("gcc", "zig"):
            lines.append(f'        "{compiler}": {{')
            for level in OPTIMIZATIONS:
                bounds = tuple(bounded(size) for size in largest[core, compiler, level])
                lines.append(f'            "{level}": ({bounds[0]:.0f}, {bounds[1]:.0f}),')
            lines.append("        },")
        lines.append("    },")
    return "\n".join([*lines, "}"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        narrow, wide = (measure(Path(scratch), weights) for weights in ("int8", "int16"))
        stores = measure_store(Path(scratch))
    print("CODE_BYTES =", table(narrow))
    print("INT16_CODE_BYTES =", wider(narrow, wide))
    print("STORE_CODE_BYTES =", stores)
