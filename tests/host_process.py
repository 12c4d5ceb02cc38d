"""The firmware's very application as a process of this machine, under a compiler's sanitizers."""

import itertools
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from spela_mcu.errors import UserError
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.project import include_directories
from spela_mcu.firmware.runtime import runtime_defines
from spela_mcu.firmware.toolchain import WARNING_FLAGS, find_compiler
from spela_mcu.resources import resource_directory

RUNTIME = resource_directory("firmware") / "spela"
PORT = resource_directory("firmware") / "ports" / "port_host.c"

TIMEOUT_S = 60.0
"""Real time that one answer may take, on however busy a machine."""

SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
# zig has clang's checks for undefined behaviour, but no runtime of its address sanitizer. A trap
# needs no runtime at all.
TRAPPING = ("-fsanitize=undefined", "-fno-sanitize-recover=all", "-fsanitize-trap=undefined", "-g")


TRAPS = (signal.SIGILL.value, signal.SIGTRAP.value)
"""How a process ends that meets one of these traps."""


class HostProcessError(Exception):
    """The process ended, hung, or said something; the message holds the sanitizer's report."""


@dataclass(frozen=True)
class SanitizingCompiler:
    """A compiler for this machine, and the flags that make it check what it compiles."""

    name: str
    command: tuple[str, ...]
    flags: tuple[str, ...]

    def compile(self, sources, target, includes, defines=(), level="O0"):
        """Compiles and links C files, without a warning.

        Level 0 is the fastest to compile, and leaves no undefined behaviour out as unreachable.
        """
        command = [*self.command, "-std=c99", f"-{level}", *WARNING_FLAGS, "-Werror", *self.flags]
        command += [f"-I{directory}" for directory in includes]
        command += [f"-D{define}" for define in defines]
        done = subprocess.run(
            [*command, *map(str, sources), "-o", str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
        return target


def _links(compiler, flags):
    """Whether a compiler can make a program with these flags."""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [compiler, *flags, "-x", "c", "-", "-o", f"{directory}/program"],
            input=b"int main(void) { return 0; }",
            capture_output=True,
            check=False,
        )
    return done.returncode == 0


@lru_cache
def sanitizing_compilers():
    """The compilers of this machine that can check what they compile, by name; best first."""
    found = {}
    for name in ("gcc", "clang"):
        path = shutil.which(name)
        # Distributions pack the sanitizers' runtime by itself: a compiler may be without.
        if path is not None and _links(path, SANITIZED):
            found[name] = SanitizingCompiler(name, (path,), SANITIZED)
    with suppress(UserError):
        found["zig"] = SanitizingCompiler("zig", find_compiler("zig").command, TRAPPING)
    return found


def build_application(project, directory, compiler, level="O0", change=None):
    """Writes a project and compiles its application for this machine.

    Args:
        change: (file, right, wrong): a fault to plant, in one of the project's files.
    """
    write_project(project, directory)
    model = project.model
    kinds = {
        "has_convolutions": model.has_convolutions,
        "is_continual": model.is_continual,
        "inference_only": project.inference_only,
    }
    defines = runtime_defines(
        model.weights,
        model.batch,
        has_softmax=model.has_softmax,
        keeps_means=model.keeps_means,
        **kinds,
    )
    folders = include_directories(**kinds)
    own = [folder for folder in folders if folder not in ("spela", "port")]
    sources = [directory.glob(f"{folder}/*.c") for folder in own]
    sources = [*itertools.chain.from_iterable(sources), PORT]
    sources += runtime_sources(directory, compiler, level, defines, change)
    return compiler.compile(
        sources,
        directory / "application.host",
        [directory / folder for folder in folders],
        defines,
        level,
    )


def runtime_sources(directory, compiler, level, defines, change):
    """The runtime's objects; with a fault planted in a project, its file in place of the object."""
    objects = runtime_objects(compiler, level, defines)
    if change is None:
        return objects
    changed = directory / change[0]
    plant(changed, *change[1:])
    is_changed = (
        changed.parent.name == "spela" and object.stem == changed.stem for object in objects
    )
    return [changed if its else object for its, object in zip(is_changed, objects, strict=True)]


@lru_cache
def runtime_objects(compiler, level, defines):
    """The runtime's objects, compiled once."""
    directory = Path(tempfile.mkdtemp(dir=_scratch().name))
    objects = []
    for source in sorted(RUNTIME.glob("*.c")):
        target = directory / f"{source.stem}.o"
        includes = [RUNTIME, RUNTIME.parent / "continual", RUNTIME.parent / "convolution"]
        objects.append(compiler.compile(["-c", source], target, includes, defines, level))
    return tuple(objects)


@lru_cache
def _scratch():
    return tempfile.TemporaryDirectory()  # removed when the process ends


def plant(source, right, wrong):
    """Changes the one place where a file has `right` to `wrong`."""
    text = source.read_text()
    assert text.count(right) == 1, (source.name, right)
    source.write_text(text.replace(right, wrong))


def run_program(program, *arguments):
    """Runs a program that a sanitizer checks to its end; exit code, output, report."""
    done = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=_environment(),
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def _environment():
    # No leaks without a heap; looking for them fails where processes may not be traced.
    return {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


class HostProcess:
    """A device's transport, and a context manager: at its end the process must leave in peace."""

    def __init__(self, program: Path) -> None:
        self._report = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        self._process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._report,
            bufsize=0,
            env=_environment(),
        )
        self._has_begun = False

    def exchange(self, request: bytes) -> bytes:
        """Sends bytes; returns one answer for each frame that ends in them."""
        *frames, rest = request.split(b"\0")
        answers = b""
        for frame in frames:
            self._send(frame + b"\0")
            if frame or self._has_begun:
                answers += self._receive_answer()
            self._has_begun = False
        if rest:
            self._send(rest)
            self._has_begun = True
        return answers

    def close(self) -> None:
        """Ends the line, and holds the process to say nothing more and to end without error."""
        try:
            self._process.stdin.close()
            left = self._process.stdout.read()
            code = self._process.wait(TIMEOUT_S)
            report = self._read_report()
        finally:
            self._kill()
        if left or code or report:
            raise HostProcessError(f"exit code {code}, {len(left)} bytes too many\n{report}")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            self.close()
        else:
            self._kill()

    def _send(self, data):
        try:
            while data:
                data = data[self._process.stdin.write(data) :]
        except BrokenPipeError:
            self._fail()

    def _receive_answer(self):
        deadline = time.monotonic() + TIMEOUT_S
        answer = bytearray()
        while not answer.endswith(b"\0"):
            ready = select.select(
                [self._process.stdout], [], [], max(deadline - time.monotonic(), 0)
            )[0]
            if not ready:
                self._kill()
                raise HostProcessError(f"no answer for {TIMEOUT_S:.0f} s\n{self._read_report()}")
            data = self._process.stdout.read(65536)
            if not data:
                self._fail()
            answer += data
        assert answer.count(b"\0") == 1, "more than one answer to one frame"
        return bytes(answer)

    def _fail(self):
        code = self._process.wait(TIMEOUT_S)
        report = self._read_report()
        self._kill()
        raise HostProcessError(f"the process ended with {code}\n{report}")

    def _read_report(self):
        self._report.seek(0)
        return self._report.read().decode(errors="replace")

    def _kill(self):
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._report):
            if not pipe.closed:
                pipe.close()
