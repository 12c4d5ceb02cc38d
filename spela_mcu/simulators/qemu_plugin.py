"""The plugin that counts instructions in QEMU: compiled here, and its counts read here."""

from __future__ import annotations

import mmap
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spela_mcu.errors import UserError
from spela_mcu.firmware.elf import Elf
from spela_mcu.host.network import compile_library
from spela_mcu.resources import resource_directory
from spela_mcu.simulators.counting import CountingError

PROBE_TIMEOUT_S = 60


@lru_cache
def counting_plugin(program: str) -> Path:
    """The plugin, compiled and loaded once by the QEMU that is to use it.

    Args:
        program: path of a QEMU.

    Raises:
        CountingError: there is no host compiler, or this QEMU does not load the plugin.
    """
    try:
        plugin = compile_library(
            "count_instructions", [resource_directory("sim") / "qemu" / "count_instructions.c"]
        )
    except UserError as error:
        raise CountingError(
            f"QEMU counts instructions with a plugin, which cannot be built: {error.reason}",
            mend=error.mend,
            file=error.file,
        ) from error
    command = [program, "-M", "none", "-nodefaults", "-display", "none", "-monitor", "stdio"]
    try:
        subprocess.run(
            [*command, "-plugin", plugin_option(plugin)],
            input="quit\n",
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise CountingError(
            f"this QEMU does not load the plugin that counts instructions: {said.strip()}",
            mend="install a QEMU from 7 to 10 that is built with plugins, as Debian's is",
            file=program,
        ) from error
    return plugin


def plugin_option(plugin: Path, **arguments: int) -> str:
    """The argument of -plugin; a comma in a path is doubled."""
    words = [
        str(plugin).replace(",", ",,"),
        *(f"{key}={value}" for key, value in arguments.items()),
    ]
    return ",".join(words)


class InstructionCounts:
    """How often each instruction of a program was executed, in memory shared with the plugin.

    Attributes:
        address, bytes: where the program's code lies.
    """

    def __init__(self, elf: Elf) -> None:
        self.address = min(start for start, _ in elf.code_ranges)
        self.bytes = max(end for _, end in elf.code_ranges) - self.address
        self.bytes += self.bytes % 2
        words = 1 + self.bytes // 2  # as in count_instructions.c
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._file.truncate(8 * words)
        self._memory = mmap.mmap(self._file.fileno(), 8 * words)

    def fileno(self) -> int:
        """The descriptor of the shared file, which has no name: QEMU inherits it."""
        return self._file.fileno()

    def enable(self, enabled: bool) -> None:
        """Whether code that is translated from now on is counted."""
        self._memory[:8] = int(enabled).to_bytes(8, "little")

    def read(self) -> NDArray[np.uint64]:
        """Executions since the start, by halfword of the code [bytes / 2]."""
        return np.frombuffer(self._memory[8:], np.uint64)

    def since(self, before: NDArray[np.uint64]) -> dict[int, int]:
        """Executions since an earlier `read`, by the instruction's address."""
        executed = self.read() - before
        return {
            self.address + 2 * int(index): int(executed[index]) for index in executed.nonzero()[0]
        }

    def close(self) -> None:
        """Frees the memory."""
        self._memory.close()
        self._file.close()
