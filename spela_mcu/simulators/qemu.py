"""QEMU: a board in a process of its own."""

from __future__ import annotations

from spela_mcu.firmware.build import Build
from spela_mcu.simulators.base import Machine, Simulator


class QemuSimulator(Simulator):
    """qemu-system-arm."""

    name = "qemu"
    mend = "Debian, Ubuntu: apt install qemu-system-arm"

    def version(self) -> str | None:
        """See `Simulator`."""
        return None

    def _start(self, build: Build) -> Machine:
        raise NotImplementedError
