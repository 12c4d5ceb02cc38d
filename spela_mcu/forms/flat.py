"""All sources of a library in one directory, for build systems that know no other."""

from __future__ import annotations

from pathlib import PurePosixPath

from spela_mcu.forms.library import DRIVERS, Library

CONFIG = "spela/spela_config.h"
_NO_MACROS = "/* Macros: none. */\n"


def flat_sources(library: Library) -> dict[str, str]:
    """Texts of sources and headers by file name, without drivers of flash.

    What a compiler's command line says elsewhere, the configuration header says here.
    """
    files: dict[str, str] = {}
    for path, text in library.files.items():
        file = PurePosixPath(path)
        if file.suffix not in {".c", ".h"} or path.startswith(f"{DRIVERS}/"):
            continue
        assert file.name not in files, path
        files[file.name] = _config_header(library) if path == CONFIG else text
    return files


def _config_header(library: Library) -> str:
    text = library.files[CONFIG]
    assert _NO_MACROS in text
    return text.replace(_NO_MACROS, "".join(f"#define {one}\n" for one in library.defines))
