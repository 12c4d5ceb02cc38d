"""Renode: boards in a process of its own."""

from __future__ import annotations

from spela_mcu.firmware.build import Build
from spela_mcu.simulators.base import Machine, Simulator


class RenodeSimulator(Simulator):
    """Renode."""

    name = "renode"
    mend = "install the portable release of Renode, and put it on PATH"

    def version(self) -> str | None:
        """See `Simulator`."""
        return None

    def _start(self, build: Build) -> Machine:
        raise NotImplementedError
