"""A module of Zephyr: sources, Kconfig, and a sample that twister builds and runs."""

from __future__ import annotations

from typing import Final

from spela_mcu.firmware.templates import render
from spela_mcu.forms.flat import flat_sources
from spela_mcu.forms.library import LICENCE, Library

KIBIBYTE: Final = 1024
SYSTEM_KIB: Final = 8
"""RAM that Zephyr itself takes at most in the sample: its stacks and its console."""

CODE_KIB: Final = 48
"""The same for flash, with the runtime."""


def zephyr_files(library: Library) -> dict[str, str]:
    """The module's directory.

    Args:
        library: what is packaged.
    """
    model = library.model
    learns = not library.inference_only
    sources = flat_sources(library)
    names: dict[str, object] = {
        "library": library,
        "name": model.name,
        "macro": library.macro_prefix,
        "learns": learns,
        "sources": sorted(path for path in sources if path.endswith(".c")),
        "ram_kib": -(-model.arena_bytes // KIBIBYTE) + SYSTEM_KIB,
        "flash_kib": -(-(model.table_bytes + model.selftest_bytes) // KIBIBYTE) + CODE_KIB,
    }
    sample = f"samples/{model.name}"
    rendered = {
        "zephyr/module.yml": "module.yml.j2",
        "zephyr/Kconfig": "Kconfig.j2",
        "zephyr/CMakeLists.txt": "CMakeLists.txt.j2",
        f"{sample}/CMakeLists.txt": "sample.cmake.j2",
        f"{sample}/prj.conf": "prj.conf.j2",
        f"{sample}/sample.yaml": "sample.yaml.j2",
        f"{sample}/src/main.c": "main.c.j2",
        "README.md": "README.md.j2",
    }
    if learns:
        rendered["zephyr/spela_flash_map.c"] = "spela_flash_map.c"
    return {
        **{f"src/{file}": text for file, text in sources.items()},
        **{path: render(f"zephyr/{template}", **names) for path, template in rendered.items()},
        LICENCE: library.files[LICENCE],
    }
