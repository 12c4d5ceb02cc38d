"""Projects on disk: written whole or not at all, and never over somebody's own work."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spela_mcu.errors import UserError, UserErrors
from spela_mcu.firmware.board import Board, board_from
from spela_mcu.firmware.project import GENERATOR, MANIFEST, FirmwareProject, content_digest
from spela_mcu.firmware.toolchain import OPTIMIZATIONS, Optimization

BUILD_DIRECTORY = "build"
"""Where builds go inside a project; survives regeneration, as it holds nothing of the user's."""


@dataclass(frozen=True)
class ProjectDirectory:
    """A generated project on disk, as its manifest describes it."""

    path: Path
    name: str
    board: Board
    optimization: Optimization
    inference_only: bool
    weights: str
    inputs: int
    classes: int
    class_names: tuple[str, ...]
    layers: int
    digest: int
    infer_macs: int
    files: dict[str, str]
    """SHA-256 of every generated file, by path."""


def read_project(directory: Path) -> ProjectDirectory:
    """Reads the manifest of a generated project.

    Raises:
        UserError: the directory holds no project, or its manifest is damaged.
    """
    manifest = _read_manifest(directory)
    file = directory / MANIFEST
    try:
        model, optimization = manifest["model"], manifest["optimization"]
        if optimization not in OPTIMIZATIONS:
            raise ValueError(f"optimization {optimization!r}")
        return ProjectDirectory(
            path=directory,
            name=str(manifest["name"]),
            board=board_from(manifest["board"], file),
            optimization=optimization,
            inference_only=bool(manifest["inference_only"]),
            weights=str(model["weights"]),
            inputs=int(model["inputs"]),
            classes=int(model["classes"]),
            class_names=_class_names(model),
            layers=int(model["layers"]),
            digest=int(model["digest"]),
            infer_macs=int(model["infer_macs"]),
            files=manifest["files"],
        )
    except UserError as error:
        first = error.errors[0] if isinstance(error, UserErrors) else error
        raise UserError(
            f"the project is of another version of spela-mcu (board.{first.key}: {first.reason})",
            mend="generate it again",
            file=file,
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(file, error) from error


def _class_names(model: dict[str, Any]) -> tuple[str, ...]:
    names = tuple(map(str, model["class_names"]))
    if len(names) != int(model["classes"]):
        raise ValueError(f"{len(names)} names of classes")
    return names


def _read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest, of which no more is checked than whose it is and its files' digests."""
    file = directory / MANIFEST
    mend = "`spela-mcu generate model.yaml -o DIR` writes a project"
    if not directory.is_dir():
        raise UserError("no such directory", mend=mend, file=directory)
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if manifest["generator"] != GENERATOR:
            raise UserError("is not a manifest of spela-mcu", mend=mend, file=file)
        manifest["files"] = {str(path): str(one) for path, one in manifest["files"].items()}
    except FileNotFoundError as error:
        raise UserError(
            f"is not a generated project: it holds no {MANIFEST}", mend=mend, file=directory
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(file, error) from error
    return manifest


def _damaged(file: Path, error: Exception) -> UserError:
    return UserError(
        f"the manifest is damaged ({type(error).__name__}: {error})",
        mend="generate the project again into an empty directory",
        file=file,
    )


def write_project(project: FirmwareProject, directory: Path) -> None:
    """Writes a project, replacing an earlier one there; its builds are kept.

    All files appear at once: they are written beside the directory, which is then exchanged.
    Nothing is touched if the directory already holds exactly this project.

    Raises:
        UserError: the directory is not an unchanged project of ours, nor empty.
    """
    directory = directory.absolute()
    if directory.exists():
        if _holds(directory, project):
            return
        _check_replaceable(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        fresh = staging / "new"
        for path, text in project.files.items():
            target = fresh / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
        if directory.exists():
            old = staging / "old"
            directory.rename(old)
            if (old / BUILD_DIRECTORY).exists():
                (old / BUILD_DIRECTORY).rename(fresh / BUILD_DIRECTORY)
        fresh.rename(directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _holds(directory: Path, project: FirmwareProject) -> bool:
    try:
        return _user_files(directory) == set(project.files) and all(
            (directory / path).read_bytes() == text.encode() for path, text in project.files.items()
        )
    except OSError:
        return False


def _check_replaceable(directory: Path) -> None:
    """Refuses a directory that holds anything but what was generated there."""
    if not directory.is_dir():
        raise UserError("is not a directory", mend="name another directory", file=directory)
    present = _user_files(directory)
    if not present:
        return
    if MANIFEST not in present:
        raise UserError(
            "the directory is not empty and holds no generated project",
            mend="name a new or empty directory with -o",
            file=directory,
        )
    # Nothing but the digests is asked for: a project of an earlier version is replaced as well.
    digests = _read_manifest(directory)["files"]
    changed = sorted(
        path
        for path in present - {MANIFEST}
        if digests.get(path) != content_digest(_text(directory / path))
    )
    if changed:
        shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" * (len(changed) > 3))
        raise UserError(
            f"files there were added or changed since they were generated: {shown}",
            mend="move them out of the way, or name another directory with -o",
            file=directory,
        )


def _text(file: Path) -> str:
    return file.read_bytes().decode(encoding="utf-8", errors="replace")


def _user_files(directory: Path) -> set[str]:
    """Paths of all files but those of builds, with forward slashes."""
    return {
        Path(root, name).relative_to(directory).as_posix()
        for root, folders, names in os.walk(directory)
        for name in names
        if BUILD_DIRECTORY not in Path(root).relative_to(directory).parts[:1]
    }
