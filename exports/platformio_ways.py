"""PlatformIO, offline: the library for Arduino, built for a Cortex-M3 and for this computer."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

from exports.arduino_ways import write_library
from exports.cmake_ways import SIM_CORE
from exports.subject import Subject
from exports.way import DATA, Way, lacks, run, run_in_qemu, told
from spela_mcu.forms.make import make_form

MACHINE = "mps2-an385"
PLATFORM = DATA / "platformio" / "platform"
SCONS = """from sys import exit
from SCons.Script.Main import main

exit(main())
"""
PROJECT = """[platformio]
core_dir = {core}

[env:{environment}]
platform = {platform}
build_flags = -O2 -Wall -Wextra
custom_sim_core = {sim_core}
"""


def _way(environment: str, machine: str, *commands: str) -> Way:
    def missing() -> str | None:
        for module in ("platformio", "SCons"):
            if importlib.util.find_spec(module) is None:
                return f"not installed: the Python package {module.lower()}"
        return lacks(*commands)

    def digest(subject: Subject, directory: Path) -> int:
        project = directory / "project"
        write_library(make_form("arduino", subject.model, subject.samples), directory)
        (directory / "libraries").rename(directory / "lib")
        project.mkdir()
        (directory / "lib").rename(project / "lib")
        shutil.copytree(DATA / "platformio" / "src", project / "src")
        core = directory / "core"
        _provide_scons(core)
        settings = PROJECT.format(
            core=core, environment=environment, platform=PLATFORM, sim_core=SIM_CORE
        )
        (project / "platformio.ini").write_text(settings, encoding="utf-8")
        quiet = os.environ | {"PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no", "CI": "true"}
        run([sys.executable, "-m", "platformio", "run"], project, quiet)
        program = project / ".pio" / "build" / environment / "program"
        if environment == "native":
            return told(run([program], directory))
        return told(run_in_qemu(MACHINE, program.with_suffix(".elf")))

    return Way("arduino", "PlatformIO", machine, missing, digest)


def _provide_scons(core: Path) -> None:
    """The package in which PlatformIO looks for SCons: it leads to that of this environment."""
    from platformio.dependencies import get_core_dependencies

    package = core / "packages" / "tool-scons"
    package.mkdir(parents=True)
    version = get_core_dependencies()["tool-scons"].lstrip("~")
    facts = {"name": "tool-scons", "version": version, "description": "SCons", "system": "*"}
    (package / "package.json").write_text(json.dumps(facts), encoding="utf-8")
    spec = {"owner": "platformio", "id": None, "name": "tool-scons", "requirements": None}
    installed = {"type": "tool", "name": "tool-scons", "version": version, "spec": spec}
    (package / ".piopm").write_text(json.dumps(installed), encoding="utf-8")
    (package / "scons.py").write_text(SCONS, encoding="utf-8")


WAYS = (
    _way("m3", f"Cortex-M3 (QEMU's {MACHINE})", "arm-none-eabi-g++", "qemu-system-arm"),
    _way("native", "this computer", "gcc", "g++"),
)
