"""Programs of tests/c that use the store, compiled for this machine."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from host_process import RUNTIME, plant, runtime_objects, sanitizing_compilers

from spela_mcu.firmware.runtime import CONTINUAL_DEFINE
from spela_mcu.resources import resource_directory

STORE = resource_directory("firmware") / "store"
CONTINUAL = RUNTIME.parent / "continual"
PROGRAMS = Path(__file__).parent / "c"
COMPILERS = sanitizing_compilers()
SANITIZING = next(iter(COMPILERS.values()), None)
PLAIN = SANITIZING and replace(SANITIZING, name="plain", flags=())


def write_model(case, directory):
    """A toy's sources."""
    for file, text in case.project.model.files.items():
        (directory / file).write_text(text)
    return directory


@lru_cache
def objects(program, model, compiler, level, defines):
    """All of a program but the store, compiled once."""
    sources = [PROGRAMS / f"{program}.c", PROGRAMS / "flash_model.c", model / "toy_model.c"]
    if CONTINUAL_DEFINE in defines:
        sources += sorted(CONTINUAL.glob("*.c"))
    targets = [model / f"{source.stem}-{compiler.name}-{level}.o" for source in sources]
    includes = [model, STORE, RUNTIME, CONTINUAL, PROGRAMS]
    for source, target in zip(sources, targets, strict=True):
        compiler.compile(["-c", source], target, includes, defines, level)
    return (*targets, *runtime_objects(compiler, level, defines))


def build(program, model, directory, *, compiler=PLAIN, level="O2", change=None, defines=()):
    """Compiles a program with the store, in which a fault may be planted.

    Args:
        program: its name in tests/c.
        model: the directory of its model, toy_model.
        directory: where it is made.
        change: (file, right, wrong).
        defines: macros of the runtime.
    """
    for file in STORE.glob("*.[ch]"):
        (directory / file.name).write_text(file.read_text())
    if change is not None:
        plant(directory / change[0], *change[1:])
    sources = [*directory.glob("spela_*.c"), *objects(program, model, compiler, level, defines)]
    includes = [directory, RUNTIME, CONTINUAL]
    return compiler.compile(sources, directory / "program", includes, defines, level)
