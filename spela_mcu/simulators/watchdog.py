"""Stops work that runs too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK_S = 0.05


class Watchdog:
    """Calls `stop` from a thread of its own when a stretch of work takes too long.

    Unicorn has a timeout of its own, but it wakes a thread every few microseconds, which costs more
    than a short exchange.

    Args:
        stop: asks the work to end; called again every tick until it has.

    Attributes:
        expired: whether the last stretch of work took too long.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._deadline: float | None = None
        self._closed = threading.Event()
        self.expired = False
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Bounds the time of the block."""
        self.expired = False
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(TICK_S):
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self.expired = True
                self._stop()
