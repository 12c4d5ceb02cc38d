"""A pair of pseudo terminals: one is the serial port, at the other end is whatever serves."""

import os
import threading
import time
import tty
from contextlib import contextmanager


class SerialBoard:
    """The other end of a port.

    Attributes:
        port: the name of the serial port.
        received: every byte that came.
    """

    def __init__(self):
        self._line, self._end = os.openpty()
        tty.setraw(self._line)
        tty.setraw(self._end)
        self.port = os.ttyname(self._end)
        self.received = b""
        self._plug = threading.Lock()

    def say(self, lines):
        """Sends pieces of bytes to the host, one every now and then, until the plug is pulled."""

        def run():
            for data in lines:
                time.sleep(0.02)
                try:
                    os.write(self._line, data)
                except (OSError, TypeError):
                    return

        threading.Thread(target=run, daemon=True).start()

    def serve(self, answer):
        """From now on answers whatever comes, frame by frame; None: pulls the plug."""

        def run():
            begun = b""
            while True:
                try:
                    begun += os.read(self._line, 4096)
                except OSError:
                    return
                *frames, begun = begun.split(b"\0")
                for frame in frames:
                    self.received += frame + b"\0"
                    said = answer(frame + b"\0") if frame else b""
                    if said is None:
                        self.unplug()
                        return
                    os.write(self._line, said)

        threading.Thread(target=run, daemon=True).start()

    def unplug(self):
        """The port is gone. Two threads may pull the plug."""
        with self._plug:
            for descriptor in (self._line, self._end):
                if descriptor is not None:
                    os.close(descriptor)
            self._line = self._end = None


@contextmanager
def serial_board():
    """A port with nothing at the other end yet."""
    board = SerialBoard()
    try:
        yield board
    finally:
        board.unplug()
