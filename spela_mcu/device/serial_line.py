"""A serial port: frames for `Device`, and lines of text from a board that prints samples."""

from __future__ import annotations

import errno
import os
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from spela_mcu.errors import UserError
from spela_mcu.simulators.stream import ends_an_answer

if TYPE_CHECKING:
    import serial

BAUD = 115200
"""Of every board that spela-mcu knows."""

FIRST_ANSWER_S = 1.0
ANSWER_S = 20.0
"""Longest wait for an answer: of a device of which nothing is known yet, and of one that answered.
A save may erase sectors of flash that take seconds each."""

SILENCE_S = 0.2
"""After a frame that cannot be read nothing more is expected once the line is silent so long."""

TICK_S = 0.05
LINE_BYTES_MAX = 1 << 20


class SerialLine:
    """A serial port, open until it is closed; a `Transport`.

    Args:
        port: its name (/dev/ttyACM0, COM3), or a URL that pyserial knows (socket://host:port).
        baud: bits a second.

    Attributes:
        timeout_s: longest wait for an answer.

    Raises:
        UserError: there is no such port, or it cannot be used.
    """

    def __init__(self, port: str, baud: int = BAUD) -> None:
        import serial

        self.port = port
        self.timeout_s = FIRST_ANSWER_S
        try:
            self._line: serial.Serial = serial.serial_for_url(
                port, baudrate=baud, timeout=TICK_S, write_timeout=ANSWER_S, exclusive=True
            )
        except (ValueError, OSError) as error:
            raise _cannot_open(port, error) from error

    def exchange(self, request: bytes) -> bytes:
        """See `Transport`.

        Raises:
            UserError: the port is gone.
        """
        with self._present():
            self._line.reset_input_buffer()
            self._line.write(request)
            return self._answer()

    def lines(self) -> Iterator[str]:
        """The lines of text that come, for ever, without their ends.

        Raises:
            UserError: the port is gone, or what comes has no lines.
        """
        begun = b""
        while True:
            with self._present():
                begun += self._line.read(max(1, self._line.in_waiting))
            *whole, begun = begun.split(b"\n")
            if len(begun) > LINE_BYTES_MAX:
                raise UserError(
                    f"what comes from {self.port} has no lines",
                    mend="check the baud rate, and that the board prints one sample a line",
                )
            for line in whole:
                yield line.decode(errors="replace").rstrip("\r")

    def close(self) -> None:
        """Ends the use of the port."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self) -> bytes:
        start = heard = time.monotonic()
        answer = bytearray()
        while not ends_an_answer(answer):
            received = self._line.read(max(1, self._line.in_waiting))
            now = time.monotonic()
            if received:
                answer += received
                heard = now
            # A frame that cannot be read may be one that a fault cut short: its report follows.
            elif answer.strip(b"\0") and answer.endswith(b"\0") and now - heard > SILENCE_S:
                break
            if now - start > self.timeout_s:
                break
        return bytes(answer)

    @contextmanager
    def _present(self) -> Iterator[None]:
        try:
            yield
        except (OSError, termios.error) as error:  # serial.SerialException is an OSError
            raise UserError(
                f"the port {self.port} is gone: {_told(error)}",
                mend="check that the board is plugged in and has power, and that no other program "
                "uses the port",
            ) from error


def _cannot_open(port: str, error: ValueError | OSError) -> UserError:
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return UserError(
            f"the port {port} may not be used by you",
            mend="on Linux, join the group that owns it: `sudo usermod -aG dialout $USER`, and log "
            "in again",
        )
    if number in (errno.EBUSY, errno.EAGAIN):
        return UserError(f"another program uses the port {port}", mend="close that program")
    return UserError(
        f"the port {port} cannot be opened: {_told(error)}",
        mend=f"{_known_ports()}; a simulated board is sim:renode, sim:qemu or sim:unicorn",
    )


def _told(error: Exception) -> str:
    """The reason without what pyserial puts around it."""
    number = error.args[0] if error.args else None
    return os.strerror(number) if isinstance(number, int) else str(error)


def _known_ports() -> str:
    from serial.tools.list_ports import comports

    found = ", ".join(
        f"{port.device} ({port.description})" if port.description != "n/a" else port.device
        for port in comports()
    )
    return f"the ports here are: {found}" if found else "there is no serial port here"
