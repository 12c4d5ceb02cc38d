"""The output of every command: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

from spela_mcu.errors import UserError, UserErrors
from spela_mcu.progress import stderr

__all__ = ["print_error", "print_json", "stderr", "stdout"]

stdout: Final = Console(highlight=False)
"""Results: what a user may want to redirect to a file."""

ERRORS_SHOWN = 8
"""More would not fit on one screen together with their mends."""


def command_line(*words: str | Path) -> str:
    """A command of spela-mcu, quoted so that it can be pasted into a shell whatever its paths."""
    return shlex.join(["spela-mcu", *map(str, words)])


def print_json(value: object) -> None:
    """Prints a JSON document on stdout, so that it can be piped.

    Raises:
        TypeError: a value is not plain Python (an array, a path).
        ValueError: a number is NaN or infinite, which JSON does not have.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # Soft wrap: the terminal's width must not end up as line breaks inside the document.
    stdout.print(JSONHighlighter()(text), soft_wrap=True)


def print_error(error: UserError) -> None:
    """Prints what is wrong, where, and what to do about it on one screen of stderr."""
    errors = error.errors if isinstance(error, UserErrors) else (error,)
    for one in errors[:ERRORS_SHOWN]:
        stderr.print(_error_text(one), soft_wrap=True)
    if len(errors) > ERRORS_SHOWN:
        stderr.print(f"... and {len(errors) - ERRORS_SHOWN} more errors", style="red")


def _error_text(error: UserError) -> Text:
    place = "" if error.file is None else str(error.file)
    if error.line is not None:
        place += f":{error.line}"
    text = Text()
    text.append("error: ", style="bold red")
    for part in (place, error.key):
        if part:
            text.append(part, style="bold").append(": ")
    text.append(error.reason)
    if error.mend:
        text.append("\n  mend: ", style="green").append(error.mend)
    return text
