"""ESP-IDF: built with a stub of its one function. No registry has its compilers or its machine."""

from __future__ import annotations

import os
from pathlib import Path

from exports.subject import Subject
from exports.way import DATA, Way, lacks, run, told
from spela_mcu.firmware.directory import write_project
from spela_mcu.forms.make import make_form

STUB = DATA / "esp_idf"


def _missing() -> str | None:
    return lacks("cmake", "cc")


def _digest(subject: Subject, directory: Path) -> int:
    component, out = directory / "component", directory / "out"
    write_project(make_form("esp-idf", subject.model, subject.samples), component)
    example = component / "examples" / subject.model.name
    environment = os.environ | {"IDF_PATH": str(STUB)}
    run(["cmake", "-S", example, "-B", out, f"-DCOMPONENT={component}"], directory, environment)
    run(["cmake", "--build", out], directory, environment)
    return told(run([out / "app"], directory))


WAYS = (Way("esp-idf", "a stub of ESP-IDF", "this computer", _missing, _digest),)
