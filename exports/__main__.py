"""``make exports``: builds and runs every form that this machine can, and compares digests."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from exports.subject import STEPS, Subject, digits
from exports.way import Way, WayError
from exports.ways import WAYS
from spela_mcu.errors import UserError


def main() -> int:
    """Prints the table; 0 if every digest is the reference's."""
    console = Console()
    subject = digits()
    table = Table(title=f"digits: digest of what was learned in {STEPS} steps")
    for column in ("form", "taken by", "run on", "digest", "s"):
        table.add_column(column, overflow="fold", justify="right" if column == "s" else "left")
    table.add_row("", "", "integer reference", f"{subject.digest:08x}", "")
    failures = []
    for way in WAYS:
        start = time.monotonic()
        with Console(stderr=True).status(way.title):
            told, failure = _try(way, subject)
        table.add_row(way.form, way.name, way.machine, told, f"{time.monotonic() - start:.1f}")
        if failure is not None:
            failures.append(f"{way.title}: {failure}")
    console.print(table)
    for failure in failures:
        console.print(failure, markup=False, highlight=False, soft_wrap=True)
    return 1 if failures else 0


def _try(way: Way, subject: Subject) -> tuple[str, str | None]:
    """What the table tells of a way, and what went wrong."""
    missing = way.missing()
    if missing is not None:
        return missing, None
    with tempfile.TemporaryDirectory() as directory:
        try:
            digest = way.digest(subject, Path(directory))
        except (WayError, UserError) as error:
            return "failed", str(error)
    told = f"{digest:08x}"
    return (told, None) if digest == subject.digest else (f"{told} WRONG", "another digest")


if __name__ == "__main__":
    sys.exit(main())
