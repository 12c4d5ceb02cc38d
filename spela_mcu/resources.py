"""Where the C sources, templates and machine descriptions are: in a checkout or in a wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent


def resource_directory(name: Literal["templates", "firmware", "sim"]) -> Path:
    """Finds one of spela-mcu's directories that are not Python.

    A checkout (and its editable install) has them at the top level, beside the package, where
    authors of C and templates look first; a wheel has them in ``spela_mcu/_bundled``.

    Returns:
        An absolute path to an existing directory.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for root in (_PACKAGE / "_bundled", _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"spela-mcu's {name}/ is missing beside or inside {_PACKAGE}")


def licence() -> str:
    """The text of spela-mcu's licence, which every generated project carries."""
    for root in (_PACKAGE / "_bundled", _PACKAGE.parent):
        if (root / "LICENSE").is_file():
            return (root / "LICENSE").read_text(encoding="utf-8")
    raise FileNotFoundError(f"spela-mcu's LICENSE is missing beside or inside {_PACKAGE}")
