"""Builds a generated project into ELF, hex and bin files; recompiles only what has changed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from spela_mcu.errors import UserError
from spela_mcu.files import (
    MEBIBYTE,
    NO_SPACE,
    OWN_PREFIX,
    locked,
    make_directory,
    read_bounded,
    write_whole,
)
from spela_mcu.firmware.boot import check_boot
from spela_mcu.firmware.directory import BUILD_DIRECTORY, ProjectDirectory, read_project
from spela_mcu.firmware.elf import Elf, Section, read_elf
from spela_mcu.firmware.project import include_directories
from spela_mcu.firmware.runtime import runtime_defines
from spela_mcu.firmware.toolchain import Compiler, CompilerChoice, Optimization, find_compiler

LINKER_SCRIPT = "port/linker.ld"
COMPILE_TIMEOUT_S = 120
ERROR_LINES_SHOWN = 20
STAMP_BYTES = MEBIBYTE


@dataclass(frozen=True)
class Build:
    """A built project.

    Attributes:
        project: the project that was built.
        compiler, optimization: how.
        elf, map_file, hex_file, bin_file: the files, in a directory of the project.
        sections: every section that occupies the chip's memory.
        warnings: the compiler's warnings, empty if there are none.
    """

    project: ProjectDirectory
    compiler: Compiler
    optimization: Optimization
    elf: Path
    map_file: Path
    hex_file: Path
    bin_file: Path
    sections: tuple[Section, ...]
    warnings: str

    def read_elf(self) -> Elf:
        """The linked program: its symbols and what goes to flash."""
        return read_elf(self.elf)

    @property
    def flash_bytes(self) -> int:
        """Bytes to be written to flash: vectors, code, tables, initial data."""
        return sum(section.bytes for section in self.sections if section.is_loaded)

    @property
    def ram_bytes(self) -> int:
        """Bytes of RAM in use: stack, data, bss."""
        ram = self.project.board.ram
        return sum(section.bytes for section in self.sections if ram.holds(section.address))


def build_project(
    directory: Path, compiler: Compiler, optimization: Optimization | None = None
) -> Build:
    """Compiles and links a project, unless there is a build of exactly this content.

    Args:
        directory: a generated project.
        compiler: from `find_compiler`.
        optimization: a level other than the project's own.

    Raises:
        UserError: the directory is not a project, or does not compile.
    """
    with _locked_project(directory) as project:
        return _build(project, compiler, optimization)


def build_with(
    directory: Path, choice: CompilerChoice, optimization: Optimization | None = None
) -> Build:
    """`build_project` by a compiler that is found for the project's core."""
    with _locked_project(directory) as project:
        return _build(project, find_compiler(choice, project.board.family), optimization)


@contextmanager
def _locked_project(directory: Path) -> Iterator[ProjectDirectory]:
    if not directory.is_dir():  # the lock would make it
        read_project(directory)
    with locked(directory):
        yield read_project(directory)


def _build(
    project: ProjectDirectory, compiler: Compiler, optimization: Optimization | None
) -> Build:
    level = optimization or project.optimization
    out = project.path / BUILD_DIRECTORY / f"{compiler.name}-{level}"
    job = _Job(project, compiler, level, out)
    stamp = out / "build.json"
    digest = job.digest
    warnings = _finished(stamp, digest, job.elf)
    if warnings is None:
        make_directory(out)
        stamp.unlink(missing_ok=True)
        # Everything is made elsewhere first: what is in its place is complete, however a run ends.
        with tempfile.TemporaryDirectory(prefix=OWN_PREFIX, dir=out) as scratch:
            made = Path(scratch) / job.elf.name
            warnings = _compile(job, made)
            check_boot(read_elf(made), project.board)
            _convert(made)
            for file in Path(scratch).iterdir():
                file.replace(out / file.name)
        finished = _Finished(
            digest=digest,
            files={file.name: _file_digest(file) for file in _results(job.elf)},
            warnings=warnings,
        )
        write_whole(stamp, finished.model_dump_json(indent=2) + "\n")
    elf, map_file, hex_file, bin_file = _results(job.elf)
    return Build(
        project=project,
        compiler=compiler,
        optimization=level,
        elf=elf,
        map_file=map_file,
        hex_file=hex_file,
        bin_file=bin_file,
        sections=read_elf(elf).sections,
        warnings=warnings,
    )


def _results(elf: Path) -> tuple[Path, Path, Path, Path]:
    """The results of a build: ELF, map, hex and bin file."""
    return elf, elf.with_suffix(".map"), elf.with_suffix(".hex"), elf.with_suffix(".bin")


class _Job:
    """One project, compiler and level: the commands, and what they depend on."""

    def __init__(
        self,
        project: ProjectDirectory,
        compiler: Compiler,
        optimization: Optimization,
        out: Path,
    ) -> None:
        self.root = project.path
        self.out = out
        self.elf = out / f"{project.name}.elf"
        folders = include_directories(
            project.backbone_parts,
            has_convolutions=project.has_convolutions,
            front_end_parts=project.front_end_parts,
            is_continual=project.is_continual,
            inference_only=project.inference_only,
        )
        self.sources = sorted(
            path.relative_to(self.root)
            for folder in folders
            for path in (self.root / folder).glob("*.c")
        )
        if not self.sources:
            raise UserError(
                "the project holds no C files", mend="generate it again", file=self.root
            )
        self._compiler = compiler
        self._project = project
        defines = runtime_defines(
            project.weights,
            project.batch,
            project.backbone_parts,
            has_convolutions=project.has_convolutions,
            front_end_parts=project.front_end_parts,
            is_continual=project.is_continual,
            keeps_means=project.keeps_means,
            has_memory_in_flash=project.has_memory_in_flash,
            has_softmax=project.has_softmax,
            inference_only=project.inference_only,
        )
        self._compile = (
            *compiler.command,
            *compiler.compile_flags(project.board, optimization),
            *(f"-D{define}" for define in defines),
            *(f"-I{folder}" for folder in folders),
            # The same bits wherever the project is.
            f"-ffile-prefix-map={self.root.resolve()}=.",
        )
        headers = sorted(path for folder in folders for path in (self.root / folder).glob("*.h"))
        # Without the last flag, which names the place but does not change the object's content.
        self._common_digest = _digest(
            (compiler.version, *self._compile[:-1]), (path.read_bytes() for path in headers)
        )

    def object_of(self, source: Path) -> Path:
        """The path of a source's object; its name depends on all that it is made from."""
        text = (self.root / source).read_bytes()
        digest = _digest((self._common_digest, source.as_posix()), (text,))
        return self.out / "objects" / f"{source.stem}-{digest[:16]}.o"

    def compile_command(self, source: Path, target: Path) -> list[str]:
        return [*self._compile, "-c", source.as_posix(), "-o", str(target.resolve())]

    def link_command(self, target: Path) -> list[str]:
        flags = self._compiler.link_flags(self._project.board, LINKER_SCRIPT)
        objects = [str(self.object_of(source).resolve()) for source in self.sources]
        # Objects before flags: -lgcc serves what stands to its left.
        return [*self._compiler.command, *objects, *flags, "-o", str(target.resolve())]

    @property
    def digest(self) -> str:
        script = (self.root / LINKER_SCRIPT).read_bytes()
        objects = (self.object_of(source).name for source in self.sources)
        return _digest((self._common_digest, *objects), (script,))


class _Finished(BaseModel):
    """The content of build.json: the digests of what was built and of the results."""

    digest: str
    files: dict[str, str]
    warnings: str


def _finished(stamp: Path, digest: str, elf: Path) -> str | None:
    """The warnings of a finished build of this content; None if there is no such build."""
    try:
        finished = _Finished.model_validate_json(read_bounded(stamp, STAMP_BYTES))
        found = {file.name: _file_digest(file) for file in _results(elf)}
        if finished.digest == digest and finished.files == found:
            return finished.warnings
    except (OSError, UserError, ValidationError):
        pass
    return None


def _compile(job: _Job, elf: Path) -> str:
    """Compiles what is missing and links all into an ELF file; returns the compiler's output."""
    objects = job.out / "objects"
    make_directory(objects)
    wanted = {source: job.object_of(source) for source in job.sources}
    for stale in set(objects.iterdir()) - set(wanted.values()):
        stale.unlink()

    def compile_one(source: Path) -> str:
        target = wanted[source]
        if target.exists():
            return ""
        partial = elf.parent / "partial" / target.name
        said = _run(job.compile_command(source, partial), job.root)
        partial.replace(target)
        return said

    (elf.parent / "partial").mkdir()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = list(pool.map(compile_one, job.sources))
    (elf.parent / "partial").rmdir()
    said.append(_run(job.link_command(elf), job.root))
    return "".join(said)


def _run(command: list[str], root: Path) -> str:
    """Runs a compiler; returns its output."""
    try:
        done = subprocess.run(
            command,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"LC_ALL": "C"},  # so that NO_SPACE matches
            text=True,
            errors="replace",
            timeout=COMPILE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"the compiler does not run: {error}", mend="try --compiler zig") from error
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines()
        rest = len(lines) - ERROR_LINES_SHOWN
        shown = "\n".join(lines[:ERROR_LINES_SHOWN]) + (f"\n... {rest} more lines" * (rest > 0))
        if NO_SPACE.search(done.stdout):
            raise UserError(
                f"no space was left for the compiler:\n{shown}",
                mend="free some on the disk of the project, and of temporary files (TMPDIR)",
                file=root,
            )
        raise UserError(
            f"does not compile:\n{shown}",
            mend="undo changes to generated files, or generate the project again",
            file=root,
        )
    return done.stdout


def _convert(file: Path) -> None:
    """Writes an ELF's flash image as Intel hex and binary, and a map of what is where."""
    from intelhex import IntelHex

    elf = read_elf(file)
    _, map_file, hex_file, bin_file = _results(file)
    # zig's linker writes no map; this one is alike for every compiler.
    places = [(section.address, section.bytes, section.name) for section in elf.sections]
    places += [(symbol.address, symbol.bytes, symbol.name) for symbol in elf.symbols]
    lines = (f"{address:08x} {size:8} {name}\n" for address, size, name in sorted(places))
    map_file.write_text("".join(lines), encoding="utf-8")
    image = IntelHex()
    for address, data in elf.load_segments:
        image.frombytes(data, address)
    image.write_hex_file(str(hex_file), byte_count=16)
    image.tobinfile(str(bin_file))


def _digest(words: Iterable[str], contents: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in (*(word.encode() for word in words), *contents):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _file_digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
