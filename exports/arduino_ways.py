"""Arduino: its own builder makes sketches of the library for a core of ours, in QEMU's machines."""

from __future__ import annotations

from pathlib import Path

from exports.subject import Subject
from exports.way import DATA, Way, WayError, lacks, run, run_in_qemu, told
from spela_mcu.firmware.directory import write_project
from spela_mcu.forms.form import Form
from spela_mcu.forms.make import make_form

MACHINES = {"m0": "microbit", "m3": "mps2-an385", "m4": "mps2-an386", "m7": "mps2-an500"}
"""QEMU's machines by the boards of the core."""

CTAGS = Path("/usr/bin/arduino-ctags")
"""As the core's platform.txt has it."""


def missing() -> str | None:
    """What this machine lacks to build and run a sketch."""
    tools = ("arduino-builder", "arm-none-eabi-g++", "qemu-system-arm")
    return lacks(*tools) or (None if CTAGS.exists() else f"there is no {CTAGS} (arduino-ctags)")


def build_sketch(library: Path, example: str, board: str, out: Path) -> Path:
    """Builds an example of a library on disk, with all warnings; the program.

    Raises:
        WayError: it does not build, or the compiler warns.
    """
    out.mkdir(parents=True)
    command = ["arduino-builder", "-compile", "-tools", "/usr/bin", "-build-path", str(out)]
    command += ["-hardware", str(DATA / "arduino" / "hardware"), "-fqbn", f"proof:sim:{board}"]
    command += ["-libraries", str(library.parent)]
    command += ["-libraries", str(DATA / "arduino" / "libraries"), "-warnings", "all"]
    said = run([*command, library / "examples" / example / f"{example}.ino"], out)
    if "warning:" in said:
        raise WayError(said)
    return out / f"{example}.ino.elf"


def write_library(form: Form, directory: Path) -> Path:
    """Puts a library into a sketchbook's directory of libraries, as its name demands."""
    library = directory / "libraries" / name_of(form)
    write_project(form, library)
    return library


def name_of(form: Form) -> str:
    """The name of a library for Arduino."""
    first, _, _ = form.files["library.properties"].partition("\n")
    return first.removeprefix("name=")


def _way(board: str, machine: str) -> Way:
    def digest(subject: Subject, directory: Path) -> int:
        library = write_library(make_form("arduino", subject.model, subject.samples), directory)
        elf = build_sketch(library, "benchmark", board, directory / "out")
        said = run_in_qemu(machine, elf)
        if "self-test: right" not in said:
            raise WayError(said)
        return told(said)

    name = f"Cortex-{board.upper()} (QEMU's {machine})"
    return Way("arduino", "arduino-builder", name, missing, digest)


WAYS = tuple(_way(board, machine) for board, machine in MACHINES.items())
