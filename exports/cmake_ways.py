"""CMake: installed and found, fetched from an archive, added; for this computer and for a chip."""

from __future__ import annotations

import shutil
from pathlib import Path

from exports.subject import Subject
from exports.way import DATA, Way, lacks, run, run_in_qemu, told
from spela_mcu import __version__
from spela_mcu.firmware.directory import write_project
from spela_mcu.forms.make import make_form

SIM_CORE = DATA / "arduino" / "hardware" / "proof" / "sim"
TOOLCHAIN = DATA / "cmake" / "cortex-m4.cmake"
MACHINE = "mps2-an386"


def build(take: str, subject: Subject, directory: Path, *, cross: bool) -> Path:
    """Builds somebody's project in an empty directory; its program."""
    package, prefix, out = directory / "digits", directory / "prefix", directory / "out"
    write_project(make_form("cmake", subject.model, subject.samples), package)
    chip = [f"-DCMAKE_TOOLCHAIN_FILE={TOOLCHAIN}"] if cross else []
    options = [*chip, f"-DTAKE={take}"]
    match take:
        case "find_package":
            made = directory / "package"
            install = [*chip, f"-DCMAKE_INSTALL_PREFIX={prefix}"]
            run(["cmake", "-S", package, "-B", made, *install], directory)
            run(["cmake", "--build", made, "--target", "install"], directory)
            shutil.rmtree(package)  # the package stands by itself
            options += [f"-DCMAKE_PREFIX_PATH={prefix}", f"-DWANTED_VERSION={__version__}"]
        case "FetchContent":
            archive = shutil.make_archive(str(directory / "archive"), "gztar", package)
            shutil.rmtree(package)
            options += [f"-DDIGITS={archive}"]
        case "add_subdirectory":
            options += [f"-DDIGITS={package}"]
    if cross:
        options += [f"-DSIM_CORE={SIM_CORE}"]
    run(["cmake", "-S", DATA / "cmake", "-B", out, *options], directory)
    run(["cmake", "--build", out], directory)
    return out / "program"


def _way(take: str, *, cross: bool) -> Way:
    def missing() -> str | None:
        tools = ("arm-none-eabi-gcc", "qemu-system-arm") if cross else ("cc",)
        return lacks("cmake", *tools)

    def digest(subject: Subject, directory: Path) -> int:
        program = build(take, subject, directory, cross=cross)
        return told(run_in_qemu(MACHINE, program) if cross else run([program], directory))

    machine = f"Cortex-M4 (QEMU's {MACHINE})" if cross else "this computer"
    return Way("cmake", take, machine, missing, digest)


WAYS = (
    _way("find_package", cross=False),
    _way("find_package", cross=True),
    _way("FetchContent", cross=False),
    _way("add_subdirectory", cross=True),
)
