"""MicroPython: the native module, built by its own rules and run in its port for Unix."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from exports.subject import STEPS, Subject
from exports.way import Way, lacks, run, told
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


def _unix_digest(subject: Subject, directory: Path) -> int:
    module = build(subject, "x64", directory)
    tree = Path(os.environ[TREE]).resolve()
    port = tree / "ports" / "unix"
    interpreter = port / "build-standard" / "micropython"
    if not interpreter.exists():
        run(["make", "-C", port, *WITHOUT], directory)
    place = directory / "place"
    place.mkdir()
    name = subject.model.name
    for file in (f"{name}_native.mpy", f"{name}.py"):
        (module / file).rename(place / file)
    program = PROGRAM.format(half=STEPS // 2, steps=STEPS)
    (place / "program.py").write_text(program, encoding="utf-8")
    return told(run([interpreter, "program.py"], place))


WAYS = (
    Way(
        "micropython",
        "native module, port for Unix",
        "this computer",
        lambda: _missing("x86_64-linux-gnu-gcc", "cc"),
        _unix_digest,
    ),
)
