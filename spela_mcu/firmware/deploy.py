"""Writes and builds a project, to be run, measured and flashed."""

from __future__ import annotations

from pathlib import Path

from spela_mcu.firmware.build import Build, build_with
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.project import FirmwareProject
from spela_mcu.firmware.toolchain import CompilerChoice


def deploy(project: FirmwareProject, directory: Path, compiler: CompilerChoice) -> Build:
    """Writes a project into a directory and builds it there.

    Raises:
        UserError: the directory holds something else, there is no compiler, or the project does not
            compile.
    """
    write_project(project, directory)
    return build_with(directory, compiler)
