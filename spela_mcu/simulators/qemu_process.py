"""A running QEMU: how it starts, what it says when it ends, and that it always ends."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from signal import Signals
from typing import IO

from spela_mcu.cores import CORTEX_M, Family
from spela_mcu.simulators.qemu_plugin import InstructionCounts, counting_plugin, plugin_option

VERSION_TIMEOUT_S = 30
END_TIMEOUT_S = 10.0
LAST_WORDS_BYTES = 16384


def qemu_program(family: Family = CORTEX_M) -> str:
    """The path of the QEMU for a family of cores, or its bare name if it is not on PATH."""
    return shutil.which(family.qemu) or family.qemu


@lru_cache
def qemu_version(program: str) -> str | None:
    """Its version, or None if it is absent or does not work."""
    try:
        done = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"version (\d+(\.\d+)+)", done.stdout)
    return found[1] if found else None


@dataclass(frozen=True)
class LastWords:
    """Why a QEMU ended.

    Attributes:
        reason: in its own words, if it had any.
        registers: the core's, named as in `failure`; empty if it did not print them.
    """

    reason: str
    registers: dict[str, int]


def _roomy_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a stream that takes a whole answer written byte by byte, however late it is read.

    Some of QEMU's UARTs (sifive_uart) drop a byte that cannot be written at once. A pair of Unix
    sockets keeps each write apart and holds 278; TCP joins them.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        while True:
            far, peer = server.accept()
            if peer == near.getsockname():  # and not a stranger on this machine
                break
            far.close()
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


class QemuProcess:
    """One QEMU, its core stopped at the reset vector.

    It talks on sockets that it inherits, so no port, file or directory is left behind.

    Args:
        family: the cores that it simulates.
        machine: what -M calls the board.
        elf: the firmware.
        counts: what the plugin counts into; None: no plugin.
        images: what lies in memory beside the firmware, by address.

    Attributes:
        uart: the other end of the board's serial line.
        stub: the other end of GDB's protocol.
    """

    def __init__(
        self,
        family: Family,
        machine: str,
        elf: Path,
        counts: InstructionCounts | None,
        images: Mapping[int, bytes],
    ) -> None:
        program = qemu_program(family)
        self._family = family
        self.uart, uart = _roomy_pair()
        self.stub, stub = socket.socketpair()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_end`
        inherited = [uart.fileno(), stub.fileno()]
        loaded: list[IO[bytes]] = []
        options = [
            *("-M", machine, "-bios", "none", "-kernel", str(elf)),
            *("-display", "none", "-monitor", "none", "-nic", "none"),
            *("-chardev", f"socket,id=uart,fd={uart.fileno()}", "-serial", "chardev:uart"),
            *("-chardev", f"socket,id=stub,fd={stub.fileno()}", "-gdb", "chardev:stub"),
            "-S",  # the core is stopped until it is told to run
            *("-d", "int"),  # log exceptions: they are rare, and mostly the last thing that happens
        ]
        if counts is not None:
            arguments = {
                "counts": counts.fileno(),
                "address": counts.address,
                "bytes": counts.bytes,
            }
            options += ["-plugin", plugin_option(counting_plugin(program), **arguments)]
            inherited.append(counts.fileno())
        for address, image in images.items():
            flash = tempfile.TemporaryFile()  # noqa: SIM115 - closed once QEMU has started
            flash.write(image)
            flash.seek(0)
            loaded.append(flash)
            inherited.append(flash.fileno())
            place = f"addr={address:#x},force-raw=on"
            options += ["-device", f"loader,file=/dev/fd/{flash.fileno()},{place}"]
        with uart, stub:
            self._process = subprocess.Popen(
                [program, *options],
                stdin=subprocess.PIPE,  # its closing tells the plugin that this program has ended
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                pass_fds=inherited,
                process_group=0,  # Ctrl-C is for this program, which may go on
            )
        for opened in loaded:
            opened.close()
        # Called by `close`, or when this object is collected or the interpreter exits.
        self._end = weakref.finalize(
            self, _end, self._process, (self.uart, self.stub), self._said, counts
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def close(self) -> None:
        """Ends it if it is still running; it cannot be used afterwards."""
        self._end()

    def last_words(self) -> LastWords | None:
        """Why it ended; None if it is still running after a short wait."""
        try:
            code = self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None
        self._said.seek(0)
        text = self._said.read()[-LAST_WORDS_BYTES:].decode(errors="replace")
        fatal = re.search(r"^qemu: fatal: (.*)$", text, re.MULTILINE)
        if fatal:
            reason = f"QEMU gave up: {fatal[1].strip()}{_first_exception(text)}"
            return LastWords(reason, _dumped_registers(text[fatal.end() :]))
        words = re.findall(rf"^{self._family.qemu}: (?!warning)(.*)$", text, re.MULTILINE)
        how = f"exit code {code}" if code >= 0 else f"signal {Signals(-code).name}"
        return LastWords(f"QEMU ended with {how}{': ' + words[-1] if words else ''}", {})


def _end(
    process: subprocess.Popen[bytes],
    sockets: tuple[socket.socket, ...],
    said: IO[bytes],
    counts: InstructionCounts | None,
) -> None:
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()
    for connection in sockets:
        connection.close()
    said.close()
    if counts is not None:
        counts.close()


def _first_exception(log: str) -> str:
    """The first exception that QEMU logged: the core gave up at a later one."""
    first = re.search(r"^Taking exception \d+ \[(.*?)\].*((?:\n\.\.\..*)*)", log, re.MULTILINE)
    if first is None:
        return ""
    status = re.search(r"^\.\.\.with (.*)$", first[2], re.MULTILINE)
    return f"; the first exception: {first[1]}{', ' + status[1] if status else ''}"


def _dumped_registers(dump: str) -> dict[str, int]:
    """The registers of a Cortex-M in QEMU's dump; on RISC-V it does not give up."""
    values = dict(re.findall(r"\b(R\d\d|XPSR)=([0-9a-f]{8})", dump))
    dumped = [*(f"R{number:02}" for number in range(16)), "XPSR"]
    return {
        name: int(values[key], 16)
        for name, key in zip(CORTEX_M.registers, dumped, strict=True)
        if key in values
    }
