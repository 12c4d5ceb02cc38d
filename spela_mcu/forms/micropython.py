"""A native module of MicroPython, with its Makefile and a face in Python."""

from __future__ import annotations

from spela_mcu.firmware.templates import render
from spela_mcu.forms.flat import flat_sources
from spela_mcu.forms.library import LICENCE, Library
from spela_mcu.resources import resource_directory

FUNCTIONS = ("begin", "selftest", "infer", "digest")
LEARNING_FUNCTIONS = ("learn", "forget", "state_bytes", "save", "load")


def micropython_files(library: Library) -> dict[str, str]:
    """One directory: the C, the module, its face, and a Makefile for MicroPython's own rules.

    Args:
        library: what is packaged.
    """
    model = library.model
    learns = not library.inference_only
    has_quantizer, has_front_end = bool(model.quantizer), bool(model.front_end)
    memory = resource_directory("firmware") / "ports" / "memory.c"
    files = {**flat_sources(library), "memory.c": memory.read_text(encoding="utf-8")}
    names: dict[str, object] = {
        "library": library,
        "name": model.name,
        "macro": library.macro_prefix,
        "learns": learns,
        "has_quantizer": has_quantizer,
        "has_front_end": has_front_end,
        "sources": sorted(path for path in files if path.endswith(".c")),
        "functions": (
            *FUNCTIONS,
            *(("quantize",) if has_quantizer else ()),
            *(("push", "take") if has_front_end else ()),
            *(LEARNING_FUNCTIONS if learns else ()),
        ),
    }
    rendered = {
        "Makefile": "Makefile.j2",
        f"{model.name}_module.c": "module.c.j2",
        f"{model.name}.py": "face.py.j2",
        "README.md": "README.md.j2",
    }
    files |= {path: render(f"micropython/{one}", **names) for path, one in rendered.items()}
    return {**files, LICENCE: library.files[LICENCE]}
