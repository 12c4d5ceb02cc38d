"""A way in which people take a library into their projects, as this machine can try it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from exports.subject import Subject

TIMEOUT_S = 900.0
DATA = Path(__file__).parent
"""Where the foreign projects lie that the libraries are taken into."""


@dataclass(frozen=True)
class Way:
    """One form, taken into a project in one way, for one machine.

    Attributes:
        form: as in ``generate --as``; ``firmware`` is the project without it.
        name: how it is taken.
        machine: what it runs on.
        missing: what this machine lacks for it; None if nothing.
        digest: builds it in an empty directory and runs it; what the chip learned in
            `subject.STEPS` learning steps.
    """

    form: str
    name: str
    machine: str
    missing: Callable[[], str | None]
    digest: Callable[[Subject, Path], int]

    @property
    def title(self) -> str:
        """Form, way and machine."""
        return f"{self.form}, {self.name}, {self.machine}"


class WayError(Exception):
    """A tool said no; the message holds its command and its last lines."""


def lacks(*commands: str) -> str | None:
    """Which of the commands are not on PATH, as a sentence; None if all are."""
    absent = [command for command in commands if shutil.which(command) is None]
    return f"not on PATH: {', '.join(absent)}" if absent else None


def run(command: Iterable[str | Path], cwd: Path, environment: dict[str, str] | None = None) -> str:
    """Runs a tool; all that it said.

    Raises:
        WayError: it failed, or did not end.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WayError(f"{' '.join(words)}: no end after {TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-20:])
        raise WayError(f"{' '.join(words)}: exit code {done.returncode}\n{last}")
    return done.stdout


def run_in_qemu(machine: str, elf: Path) -> str:
    """Runs a program for Cortex-M that speaks by semihosting, to its end; what it said."""
    command = ["qemu-system-arm", "-machine", machine, "-kernel", str(elf), "-display", "none"]
    command += ["-monitor", "none", "-serial", "none"]
    command += ["-semihosting-config", "enable=on,target=native"]
    return run(command, elf.parent)


def told(output: str) -> int:
    """The digest that a program has told on a line of its own.

    Raises:
        WayError: there is none.
    """
    for line in output.splitlines():
        name, _, value = line.partition(": ")
        if name == "digest":
            return int(value, 16)
    raise WayError(f"no digest in: {output}")
