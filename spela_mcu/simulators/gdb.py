"""GDB's remote serial protocol, as far as a simulator's stub needs it.

"Debugging with GDB", appendix E: packets are ``$payload#checksum``, each acknowledged with ``+``;
a running target is silent until it stops, and then sends a packet that says why.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable

REPLY_TIMEOUT_S = 30.0
"""A stub answers within a millisecond unless the machine is very busy."""

MEMORY_CHUNK = 1024
"""Bytes of memory per packet: every stub has room for twice as many digits."""

_PACKET = re.compile(rb"\$([^#]*)#[0-9a-f]{2}", re.DOTALL)

# Not read with an XML parser: stubs use the prefix xi without declaring it.
_ELEMENT = re.compile(r"<(xi:include|reg)\s([^>]*)>")
_ATTRIBUTE = re.compile(r'(\w+)\s*=\s*"([^"]*)"')


class GdbError(Exception):
    """The stub is gone, silent, or does not do what it is asked."""


class GdbTarget:
    """A stopped or running target behind a stub.

    Args:
        connection: to the stub, whose target is stopped; whoever made it closes it.

    Attributes:
        is_running: whether the target was set running and has not reported a stop.

    Every method raises GdbError if the stub is gone or does not answer.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._numbers: dict[str, int] | None = None
        self.is_running = False

    def fileno(self) -> int:
        """For select: readable when a running target stops, or the stub ends."""
        return self._connection.fileno()

    # ------------------------------------------------------------------------ running

    def resume(self) -> None:
        """Lets the target run."""
        self._send(b"c")
        self.is_running = True

    def wait_for_stop(self, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        """Waits until a running target stops."""
        self._receive(timeout_s)
        self.is_running = False

    def interrupt(self) -> None:
        """Stops the target, if it runs."""
        if self.is_running:
            self._write(b"\x03")
            self.wait_for_stop()

    def set_breakpoint(self, address: int) -> None:
        """Stops the target before it executes the instruction at `address`."""
        self._command(f"Z0,{address:x},2", "OK")

    def clear_breakpoint(self, address: int) -> None:
        """Undoes `set_breakpoint`; only then can a target that stopped there continue."""
        self._command(f"z0,{address:x},2", "OK")

    # ---------------------------------------------------------------------- looking in

    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes of memory.

        Raises:
            ValueError: there is no memory there.
        """
        data = b""
        while len(data) < length:
            start, size = address + len(data), min(MEMORY_CHUNK, length - len(data))
            reply = self._command(f"m{start:x},{size:x}")
            if reply.startswith("E"):
                raise ValueError(f"no memory at {address:#010x}, {length} bytes")
            data += bytes.fromhex(reply)
        return data

    def write_memory(self, address: int, data: bytes) -> None:
        """Writes memory, flash included; the core sees it even in code executed before."""
        for offset in range(0, len(data), MEMORY_CHUNK):
            part = data[offset : offset + MEMORY_CHUNK]
            self._command(f"M{address + offset:x},{len(part):x}:{part.hex()}", "OK")

    def read_registers(self, names: Iterable[str]) -> dict[str, int]:
        """Registers of 32 bits, named as the target's description does: r0, sp, lr, pc, xpsr."""
        if self._numbers is None:
            self._numbers = self._register_numbers()
        replies = {name: self._command(f"p{self._numbers[name]:x}") for name in names}
        return {
            name: int.from_bytes(bytes.fromhex(reply), "little") for name, reply in replies.items()
        }

    def _register_numbers(self) -> dict[str, int]:
        """Numbers by name; a register without a number follows its predecessor."""
        numbers: dict[str, int] = {}
        documents, number = ["target.xml"], 0
        while documents:
            for kind, text in _ELEMENT.findall(self._description(documents.pop(0))):
                attributes = dict(_ATTRIBUTE.findall(text))
                if kind == "xi:include":
                    documents.append(attributes["href"])
                else:
                    number = int(attributes.get("regnum", number))
                    numbers[attributes["name"]] = number
                    number += 1
        return numbers

    def _description(self, document: str) -> str:
        text, more = "", True
        while more:
            reply = self._command(f"qXfer:features:read:{document}:{len(text):x},{MEMORY_CHUNK:x}")
            if reply[:1] not in ("l", "m"):
                raise GdbError(f"the stub does not describe the target ({document}: {reply!r})")
            text += reply[1:]
            more = reply[0] == "m"
        return text

    # ------------------------------------------------------------------------- packets

    def _command(self, payload: str, expected: str | None = None) -> str:
        self._send(payload.encode())
        reply = self._receive(REPLY_TIMEOUT_S).decode("latin-1")
        if expected is not None and reply != expected:
            raise GdbError(f"the stub answers {payload[:20]} with {reply!r}")
        return reply

    def _send(self, payload: bytes) -> None:
        self._write(b"$%b#%02x" % (payload, sum(payload) & 0xFF))
        # Byte by byte: what follows the acknowledgement must stay visible to select.
        deadline = time.monotonic() + REPLY_TIMEOUT_S
        while self._read(1, deadline) != b"+":
            pass

    def _receive(self, timeout_s: float) -> bytes:
        """The next packet's payload."""
        deadline = time.monotonic() + timeout_s
        received = b""
        while (packet := _PACKET.search(received)) is None:
            received += self._read(65536, deadline)
        self._write(b"+")
        return packet[1]

    def _write(self, data: bytes) -> None:
        try:
            self._connection.settimeout(REPLY_TIMEOUT_S)
            self._connection.sendall(data)
        except OSError as error:
            raise GdbError(f"the stub takes no packets: {error}") from error

    def _read(self, most: int, deadline: float) -> bytes:
        try:
            self._connection.settimeout(max(deadline - time.monotonic(), 0.001))
            data = self._connection.recv(most)
        except OSError as error:
            raise GdbError(f"the stub does not answer: {error}") from error
        if not data:
            raise GdbError("the stub has ended")
        return data
