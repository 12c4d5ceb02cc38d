"""One Renode process that serves any number of boards, since starting it takes seconds."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from spela_mcu.files import write_whole
from spela_mcu.resources import resource_directory
from spela_mcu.simulators.base import SimulationError

START_TIMEOUT_S = 120.0
COMMAND_TIMEOUT_S = 120.0
"""Real time for what takes a second or two on an idle machine."""
CLOSE_TIMEOUT_S = 10.0
TOKEN_BYTES = 16
SENTENCE_LETTERS = 200

CONFIG = "[general]\nuse-synchronous-logging = true\n"
"""Warnings arrive while the core is still at the instruction that caused them."""


class RenodeError(Exception):
    """Renode refused a command; the message is Renode's own."""


class RenodeProcess:
    """Renode without windows, at the other end of a socket (sim/renode/bridge.py).

    Args:
        program: Renode's executable.

    Raises:
        SimulationError: it does not start.
    """

    def __init__(self, program: str) -> None:
        self._lock = threading.Lock()
        # Renode deletes whatever looks like another Renode's leftovers in the directory for
        # temporary files, so it gets one of its own. It does not read the user's configuration.
        self._directory = Path(tempfile.mkdtemp(prefix="spela-mcu-"))
        config = self._directory / "config"
        config.write_text(CONFIG)
        self._output = self._directory / "output"
        token = secrets.token_hex(TOKEN_BYTES)
        with socket.create_server(("127.0.0.1", 0)) as server, self._output.open("wb") as output:
            directory = str(self._directory)
            self._process = subprocess.Popen(
                [program, "--disable-xwt", "--console", "--plain", "--hide-log",
                 "--config", str(config),
                 "-e", f"include {monitor_path(resource_directory('sim') / 'renode/bridge.py')}"],
                stdin=subprocess.PIPE,  # Renode ends with it
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                process_group=0,  # Ctrl-C is for this program, which may go on
                env=os.environ
                | {"TMPDIR": directory, "TMP": directory, "TEMP": directory}
                | {"SPELA_MCU_PORT": str(server.getsockname()[1]), "SPELA_MCU_TOKEN": token},
            )  # fmt: skip
            try:
                self._socket = self._accept(server, token.encode())
            except BaseException:
                self.close()
                raise
        self.monitor("logLevel 1")
        # Virtual time runs as fast as it can, in large steps.
        self.monitor("emulation SetGlobalAdvanceImmediately true")
        self.monitor('emulation SetGlobalQuantum "0.01"')

    def _accept(self, server: socket.socket, token: bytes) -> socket.socket:
        deadline = time.monotonic() + START_TIMEOUT_S
        server.settimeout(0.2)
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._not_started("ended at once")
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            connection.settimeout(COMMAND_TIMEOUT_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if secrets.compare_digest(_read(connection, len(token)), token):
                return connection
            connection.close()
        raise self._not_started(f"did not start within {START_TIMEOUT_S:g} s")

    def _not_started(self, how: str) -> SimulationError:
        """One sentence of what Renode said; all of it is kept in a file."""
        said = self._output.read_text(errors="replace")
        kept = Path(tempfile.gettempdir()) / f"spela-mcu-renode-{os.getpid()}.log"
        where = ""
        with suppress(OSError):
            write_whole(kept, said)
            where = f" (all that it said: {kept})"
        return SimulationError(
            f"Renode {how}{_first_sentence(said)}{where}",
            mend="`renode --version` shows whether it runs by itself; install it again, or take "
            "--simulator qemu or unicorn",
        )

    @property
    def is_alive(self) -> bool:
        """Whether it can be used."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def monitor(self, command: str) -> str:
        """Runs a command of Renode's monitor; returns what it prints.

        Raises:
            RenodeError: the monitor refuses it.
            SimulationError: Renode has ended, or does not answer.
        """
        return self.call("monitor", command).decode(errors="replace").strip()

    def call(
        self, function: str, *fields: str | int | bytes, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> bytes:
        """Calls a function of the bridge: text in UTF-8, numbers as u32.

        Raises:
            RenodeError: it failed.
            SimulationError: Renode has ended, or does not answer in time.
        """
        parts = [_bytes(field) for field in (function, *fields)]
        data = struct.pack("<I", len(parts))
        data += b"".join(struct.pack("<I", len(part)) + part for part in parts)
        with self._lock:
            if not self.is_alive:
                raise self._ended()
            try:
                self._socket.settimeout(timeout_s)
                self._socket.sendall(data)
                failed, length = struct.unpack("<BI", _read(self._socket, 5))
                answer = _read(self._socket, length)
            except TimeoutError as error:
                self._process.kill()  # a late answer would be taken for the next call's
                raise SimulationError(
                    f"Renode did not answer within {timeout_s:g} s, and was ended"
                ) from error
            except OSError as error:
                raise self._ended() from error
            except BaseException:  # Ctrl-C: a late answer must not be taken for another's
                self._process.kill()
                raise
        if failed:
            raise RenodeError(answer.decode(errors="replace").strip())
        return answer

    def close(self) -> None:
        """Ends Renode and removes its files."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if hasattr(self, "_socket"):
            self._socket.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _ended(self) -> SimulationError:
        try:
            status = self._process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit code {status}"
        return SimulationError(f"Renode ended unexpectedly, {how}{self._last_words()}")

    def _last_words(self) -> str:
        lines = self._output.read_text(errors="replace").split("\n")
        shown = [line.strip() for line in lines if line.strip()][-5:]
        return "".join(f"\n  {line}" for line in shown)


def _first_sentence(said: str) -> str:
    """The message of a .NET exception without its stack; else the first line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if "exception" in line.lower() and not line.startswith("at ")]
    first = (told or lines or [""])[0]
    return f": {first[:SENTENCE_LETTERS]}" if first else ""


def monitor_path(path: Path) -> str:
    """A path as the monitor reads it."""
    return "@" + path.resolve().as_posix().replace(" ", r"\ ")


def _bytes(field: str | int | bytes) -> bytes:
    if isinstance(field, str):
        return field.encode()
    return struct.pack("<I", field) if isinstance(field, int) else field


def _read(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise ConnectionError("closed")
        data += part
    return bytes(data)


_shared: RenodeProcess | None = None


def shared_renode(program: str) -> RenodeProcess:
    """The Renode of this Python process, started when first needed and again if it has ended."""
    global _shared  # noqa: PLW0603 - one Renode is shared by all
    if _shared is not None and not _shared.is_alive:
        close_shared_renode()
    if _shared is None:
        _shared = RenodeProcess(program)
    return _shared


@atexit.register
def close_shared_renode() -> None:
    """Ends the Renode of this Python process, if there is one."""
    global _shared
    process, _shared = _shared, None
    if process is not None:
        process.close()
