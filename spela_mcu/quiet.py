"""What libraries in C++ write to the standard streams by themselves, kept away from the user."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path


def silence_tensorflow() -> None:
    """Has TensorFlow log errors alone, here and in processes that are started from here.

    To be called before it is imported. Its very first lines come before it reads this:
    `captured_output` keeps them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def captured_output() -> Iterator[Callable[[], str]]:
    """Keeps what C++ and Python write to the two standard streams away from the user.

    Yields:
        A function that returns it, to be called after the block.
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
