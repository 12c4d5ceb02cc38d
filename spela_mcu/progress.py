"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many of it are done, and how many there are."""


def silent(what: str, done: int, total: int) -> None:
    """Tells nobody."""
