"""Keeps what C++ libraries write to the standard streams away from the user."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path


def silence_tensorflow() -> None:
    """Makes TensorFlow log only errors, in this process and those started from it.

    To be called before TensorFlow is imported. Its first lines come before it reads the setting:
    `captured_output` catches those.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def captured_output() -> Iterator[Callable[[], str]]:
    """Keeps what C++ and Python write to the two standard streams away from the user.

    Yields:
        A function, to be called after the block, that returns the output.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "output"
        text = ""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        saved = os.dup(1), os.dup(2)
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.dup2(target, 1)
            os.dup2(target, 2)
            with path.open("a") as file, redirect_stdout(file), redirect_stderr(file):
                yield lambda: text
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for number, descriptor in zip((1, 2), saved, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.close(target)
            text = path.read_text(errors="replace")
