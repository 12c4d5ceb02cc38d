"""Progress of long work: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and how many there are.

In the first, what follows a comma may change from call to call.
"""

stderr: Final = Console(stderr=True, highlight=False)
"""Progress, notes and errors."""

LINE_EVERY_S: Final = 10.0
"""Seconds between lines when there is no terminal."""


def silent(what: str, done: int, total: int) -> None:
    """Shows nothing."""


def note(text: str) -> None:
    """Shows a note on stderr."""
    stderr.print(text, soft_wrap=True, markup=False)


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Bars on stderr, one for each thing being done, removed when all is done.

    If stderr is not a terminal: lines of text, at most one every `LINE_EVERY_S`.
    """
    if not stderr.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=stderr, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            task = what.partition(",")[0]
            if task not in tasks:
                tasks[task] = bars.add_task(what, total=total)
            bars.update(tasks[task], description=what, completed=done)

        yield show


class _Lines:
    """Progress as lines of text."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= LINE_EVERY_S:
            self._last = now
            note(f"{what}: {done:,} of {total:,}")
