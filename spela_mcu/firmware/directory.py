"""Projects on disk: written whole or not at all, and never over the user's own work."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spela_mcu.errors import UserError
from spela_mcu.files import LOCK_FILE, OWN_PREFIX, locked
from spela_mcu.firmware.board import Board
from spela_mcu.firmware.manifest import (
    MANIFEST,
    content_digest,
    read_manifest,
    read_ownership,
)
from spela_mcu.firmware.toolchain import Optimization
from spela_mcu.forms.form import Form
from spela_mcu.spec.learning import Format

BUILD_DIRECTORY = "build"
"""Where builds go inside a project; kept on regeneration, as it holds none of the user's files."""

STAGING_PREFIX: Final = OWN_PREFIX + "new-"
REPLACED_MANIFEST: Final = "replaced.json"


@dataclass(frozen=True)
class ProjectDirectory:
    """A generated project on disk, as its manifest describes it."""

    path: Path
    name: str
    board: Board
    optimization: Optimization
    inference_only: bool
    weights: Format
    batch: int
    backbone_parts: tuple[str, ...]
    has_convolutions: bool
    front_end_parts: tuple[str, ...]
    is_continual: bool
    keeps_means: bool
    has_memory_in_flash: bool
    has_softmax: bool
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
    file = directory / MANIFEST
    mend = "`spela-mcu generate model.yaml -o DIR` writes a project"
    if not directory.is_dir():
        raise UserError("no such directory", mend=mend, file=directory)
    if not file.is_file():
        raise UserError(
            f"is not a generated project: it holds no {MANIFEST}", mend=mend, file=directory
        )
    manifest = read_manifest(file)
    return ProjectDirectory(
        path=directory,
        name=manifest.name,
        board=manifest.board,
        optimization=manifest.optimization,
        inference_only=manifest.inference_only,
        weights=manifest.model.weights,
        batch=manifest.model.batch,
        backbone_parts=manifest.model.backbone_parts,
        has_convolutions=manifest.model.has_convolutions,
        front_end_parts=manifest.model.front_end_parts,
        is_continual=manifest.model.is_continual,
        keeps_means=manifest.model.keeps_means,
        has_memory_in_flash=manifest.model.has_memory_in_flash,
        has_softmax=manifest.model.has_softmax,
        inputs=manifest.model.inputs,
        classes=manifest.model.classes,
        class_names=manifest.model.class_names,
        layers=manifest.model.layers,
        digest=manifest.model.digest,
        infer_macs=manifest.model.infer_macs,
        files=manifest.files,
    )


def write_project(project: Form, directory: Path) -> None:
    """Writes a project or a library, replacing an earlier one there; its builds are kept.

    A directory with a manifest holds a whole project at any time: all files are written elsewhere
    first, and the manifest is removed before the first of them is moved into place and written
    after the last. Nothing is written if the directory already holds exactly this project.

    Raises:
        UserError: the directory is neither empty nor an unchanged generated project.
        OSError: it cannot be written to.
    """
    with locked(directory):
        if not _holds(directory, project):
            _check_replaceable(directory)
            _replace(directory, project.files)


def _replace(directory: Path, files: dict[str, str]) -> None:
    staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=directory))
    try:
        for path, text in files.items():
            target = staging / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    # If this run is killed from here on, the next one finds both manifests in the staging directory
    # and knows from them which files were generated.
    manifest = directory / MANIFEST
    if manifest.exists():
        manifest.replace(staging / REPLACED_MANIFEST)
    for path in sorted(_user_files(directory) - set(files)):
        _remove(directory, path)
    for path in files.keys() - {MANIFEST}:
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (staging / path).replace(target)
    (staging / MANIFEST).replace(manifest)
    for left in directory.glob(STAGING_PREFIX + "*"):
        shutil.rmtree(left, ignore_errors=True)


def _remove(directory: Path, path: str) -> None:
    """Removes a file, and the project's directories that this leaves empty."""
    (directory / path).unlink()
    with suppress(OSError):
        for parent in list(Path(path).parents)[:-1]:
            (directory / parent).rmdir()


def _holds(directory: Path, project: Form) -> bool:
    try:
        return _user_files(directory) == set(project.files) and all(
            (directory / path).is_file() and (directory / path).read_bytes() == text.encode()
            for path, text in project.files.items()
        )
    except OSError:
        return False


def _check_replaceable(directory: Path) -> None:
    """Refuses a directory that holds anything but what was generated there."""
    present = _user_files(directory)
    if not present:
        return
    owned = _owned(directory)
    if not owned:
        raise UserError(
            "the directory is not empty and holds no generated project",
            mend="name a new or empty directory with -o",
            file=directory,
        )
    changed = sorted(
        path
        for path in present - {MANIFEST}
        if not any(one.get(path) == _digest(directory / path) for one in owned)
    )
    if changed:
        shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" * (len(changed) > 3))
        raise UserError(
            f"files there were added or changed since they were generated: {shown}",
            mend="move them out of the way, or name another directory with -o",
            file=directory,
        )


def _owned(directory: Path) -> list[dict[str, str]]:
    """Files that were generated here, with their digests, according to every manifest present.

    No more is required of an earlier version's project: it is replaced as well.
    """
    stagings = directory.glob(STAGING_PREFIX + "*")
    left = [one / name for one in stagings for name in (MANIFEST, REPLACED_MANIFEST)]
    return [read_ownership(file).files for file in (directory / MANIFEST, *left) if file.is_file()]


def _digest(file: Path) -> str:
    """As `content_digest`, for a file on disk; empty for what is not a file."""
    if not file.is_file() or file.is_symlink():
        return ""
    return content_digest(file.read_bytes().decode(encoding="utf-8", errors="replace"))


def _user_files(directory: Path) -> set[str]:
    """Paths, with forward slashes, of all files except builds and a run's leftovers.

    A link counts as a file, whatever it leads to.
    """
    found = set()
    for root, folders, names in os.walk(directory, onerror=_raise):
        place = Path(root).relative_to(directory)
        if not place.parts:
            folders[:] = [f for f in folders if f != BUILD_DIRECTORY]
            folders[:] = [f for f in folders if not f.startswith(OWN_PREFIX)]
            names = [name for name in names if name != LOCK_FILE]  # noqa: PLW2901
        links = [folder for folder in folders if Path(root, folder).is_symlink()]
        found |= {(place / name).as_posix() for name in (*names, *links)}
    return found


def _raise(error: OSError) -> None:
    raise error
