"""A component of ESP-IDF: sources, its manifest, and an example that finds it by its path."""

from __future__ import annotations

from spela_mcu import __version__
from spela_mcu.firmware.templates import render
from spela_mcu.forms.flat import flat_sources
from spela_mcu.forms.library import LICENCE, Library


def esp_idf_files(library: Library) -> dict[str, str]:
    """The component's directory.

    Args:
        library: what is packaged.
    """
    sources = flat_sources(library)
    names: dict[str, object] = {
        "library": library,
        "name": library.model.name,
        "macro": library.macro_prefix,
        "learns": not library.inference_only,
        "version": __version__,
        "sources": sorted(path for path in sources if path.endswith(".c")),
    }
    example = f"examples/{library.model.name}"
    rendered = {
        "CMakeLists.txt": "CMakeLists.txt.j2",
        "idf_component.yml": "idf_component.yml.j2",
        "README.md": "README.md.j2",
        f"{example}/CMakeLists.txt": "example.cmake.j2",
        f"{example}/main/CMakeLists.txt": "main.cmake.j2",
        f"{example}/main/idf_component.yml": "main.yml.j2",
        f"{example}/main/main.c": "main.c.j2",
    }
    return {
        **{f"src/{file}": text for file, text in sources.items()},
        **{path: render(f"esp-idf/{template}", **names) for path, template in rendered.items()},
        LICENCE: library.files[LICENCE],
    }
