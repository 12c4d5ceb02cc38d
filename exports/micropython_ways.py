"""MicroPython: the native module, built by its own rules and run in its ports."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from exports.subject import STEPS, Subject
from exports.way import DATA, Way, lacks, run, told
from spela_mcu.firmware.directory import write_project
from spela_mcu.forms.make import make_form

TREE = "SPELA_MICROPYTHON"
"""The environment variable that names a MicroPython tree."""

WITHOUT = ("MICROPY_PY_BTREE=0", "MICROPY_PY_SSL=0", "MICROPY_PY_FFI=0", "FROZEN_MANIFEST=")
"""What the port for Unix does without: it needs sources that a tree may lack."""

PROGRAM = """
import digits

network = digits.Network()
assert network.selftest()
sample = bytearray(digits.INPUTS)


def learn(steps):
    for step in steps:
        for k in range(digits.INPUTS):
            sample[k] = ((step * 37 + k * k * 11) % 255 - 127) & 255
        network.learn(sample, step % len(digits.CLASS_NAMES))


learn(range(0, {half}))
network.save("learned.bin")
network.forget()
assert not network.load("nothing.bin")
assert network.load("learned.bin")
learn(range({half}, {steps}))
assert network.infer(sample)[0] in range(len(digits.CLASS_NAMES))
try:
    network.learn(sample, len(digits.CLASS_NAMES))
    assert False
except ValueError:
    pass
print("digest: %08x" % network.digest())
"""

DRIVER = """
import sys

tools, command, *files = sys.argv[1:]
sys.path.insert(0, tools)
from pyboard import Pyboard

board = Pyboard("execpty:" + command)
try:
    board.enter_raw_repl()
    board.execfile("ram.py")
    for file in files:
        board.fs_writefile(file, open(file, "rb").read())
    print(board.exec_(open("program.py").read(), timeout=600).decode())
finally:
    board.close()
"""
"""Brings files to a board by MicroPython's own means, and runs the program."""

QEMU = (
    "qemu-system-arm -machine mps2-an385 -nographic -monitor null -semihosting -serial pty -kernel"
)


def _missing(*commands: str) -> str | None:
    tree = os.environ.get(TREE)
    if not tree:
        return "no MicroPython tree: name one by make exports MICROPYTHON=DIR"
    if not (Path(tree) / "py" / "dynruntime.mk").is_file():
        return f"{tree} holds no py/dynruntime.mk"
    return lacks("make", *commands)


def build(subject: Subject, architecture: str, directory: Path) -> Path:
    """Builds the module; its directory, with the .mpy file and the face."""
    tree = Path(os.environ[TREE]).resolve()
    run(["make", "-C", tree / "mpy-cross"], directory)
    module = directory / "module"
    write_project(make_form("micropython", subject.model, subject.samples), module)
    # MicroPython's rules call python3, which must have pyelftools: this one has.
    tools = [f"MPY_DIR={tree}", f"PYTHON={sys.executable}", f"ARCH={architecture}"]
    run(["make", "-C", module, *tools], directory)
    return module


def _place(subject: Subject, module: Path, directory: Path) -> Path:
    """A directory with the module's two files and the program."""
    place = directory / "place"
    place.mkdir()
    for file in _files(subject):
        (module / file).rename(place / file)
    program = PROGRAM.format(half=STEPS // 2, steps=STEPS)
    (place / "program.py").write_text(program, encoding="utf-8")
    return place


def _files(subject: Subject) -> tuple[str, str]:
    return f"{subject.model.name}_native.mpy", f"{subject.model.name}.py"


def _unix_digest(subject: Subject, directory: Path) -> int:
    place = _place(subject, build(subject, "x64", directory), directory)
    port = Path(os.environ[TREE]).resolve() / "ports" / "unix"
    interpreter = port / "build-standard" / "micropython"
    if not interpreter.exists():
        run(["make", "-C", port, *WITHOUT], directory)
    return told(run([interpreter, "program.py"], place))


def _qemu_digest(subject: Subject, directory: Path) -> int:
    place = _place(subject, build(subject, "armv7m", directory), directory)
    tree = Path(os.environ[TREE]).resolve()
    port = tree / "ports" / "qemu"
    firmware = port / "build-MPS2_AN385" / "firmware.elf"
    if not firmware.exists():
        run(["make", "-C", port, "BOARD=MPS2_AN385", "FROZEN_MANIFEST="], directory)
    shutil.copy(DATA / "micropython" / "ram.upy", place / "ram.py")
    (place / "driver.py").write_text(DRIVER, encoding="utf-8")
    words: list[str | Path] = [
        sys.executable,
        "driver.py",
        tree / "tools",
        f"{QEMU} {firmware}",
        *_files(subject),
    ]
    return told(run(words, place))


WAYS = (
    Way(
        "micropython",
        "native module, port for Unix",
        "this computer",
        lambda: _missing("x86_64-linux-gnu-gcc", "cc"),
        _unix_digest,
    ),
    Way(
        "micropython",
        "native module, port for QEMU",
        "cortex-m3 in qemu",
        lambda: _missing("arm-none-eabi-gcc", "qemu-system-arm"),
        _qemu_digest,
    ),
)
