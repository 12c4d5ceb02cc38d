"""The manifest of a generated project, checked like any other input."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from spela_mcu.errors import UserError
from spela_mcu.files import MEBIBYTE, disk_error, read_bounded
from spela_mcu.firmware.board import Board
from spela_mcu.firmware.toolchain import Optimization
from spela_mcu.spec.learning import Format

MANIFEST: Final = "project.json"
GENERATOR: Final = "spela-mcu"
MOST_BYTES: Final = MEBIBYTE


def _inside(path: str) -> str:
    """A relative path with forward slashes that stays inside the project."""
    # A leading, trailing or doubled slash leaves an empty part.
    if "\\" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise ValueError("is not a path inside the project")
    return path


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, in hex."""

Files = dict[Annotated[str, Field(max_length=4096), AfterValidator(_inside)], Digest]
"""Digests of all generated files, by path in the project."""

LibraryForm = Literal["arduino", "cmake", "esp-idf", "micropython", "zephyr"]
LIBRARY_FORMS: Final[tuple[LibraryForm, ...]] = get_args(LibraryForm)
FormName = Literal["firmware", LibraryForm]
"""The forms in which a model is generated; ``firmware`` is a whole project for a board."""

Count = Annotated[int, Field(ge=0, lt=2**32)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelFacts(_Part):
    """What a project states about its model."""

    digest: Count
    weights: Format
    batch: int = Field(ge=1, le=64)
    backbone_parts: tuple[Annotated[str, Field(pattern=r"^[a-z]+$")], ...] = ()
    has_convolutions: bool = False
    front_end_parts: tuple[Annotated[str, Field(pattern=r"^[a-z]+$")], ...] = ()
    front_end_bytes: Count = 0
    is_continual: bool = False
    keeps_means: bool = False
    has_memory_in_flash: bool = False
    has_softmax: bool = False
    inputs: int = Field(ge=1, lt=2**16)
    classes: int = Field(ge=1, lt=2**16)
    class_names: tuple[str, ...]
    layers: int = Field(ge=1, lt=2**8)
    infer_macs: Count
    arena_bytes: Count
    table_bytes: Count

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if len(self.class_names) != self.classes:
            raise ValueError(f"{len(self.class_names)} names of {self.classes} classes")
        return self


class Manifest(_Part):
    """What project.json holds of a project for a board.

    Attributes:
        generator: the program that generated it.
        version: that of the spela-mcu that generated it.
        name: the model's name; part of file names in the project and its builds.
        inference_only: whether learning is left out.
        optimization: the compiler's default level.
        board: as its file described it when the project was generated.
    """

    generator: Literal["spela-mcu"]
    version: str = Field(max_length=100)
    form: Literal["firmware"] = "firmware"
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")
    model: ModelFacts
    inference_only: bool
    optimization: Optimization
    board: Board
    files: Files


class Ownership(BaseModel):
    """The part of every manifest, of whatever version, that says which files were generated.

    All that project.json holds of a library, which nothing but its own build system builds.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    generator: Literal["spela-mcu"]
    form: str = Field(default="firmware", max_length=100)
    files: Files


def content_digest(text: str) -> str:
    """SHA-256 of a file's text as it is written (UTF-8)."""
    return hashlib.sha256(text.encode()).hexdigest()


def content_digests(files: dict[str, str]) -> Files:
    """Of every file, for the manifest."""
    return {path: content_digest(files[path]) for path in sorted(files)}


def ownership_text(form: FormName, files: dict[str, str]) -> str:
    """The manifest of a library."""
    owned = Ownership(generator=GENERATOR, form=form, files=content_digests(files))
    return owned.model_dump_json(indent=2) + "\n"


def read_manifest(file: Path) -> Manifest:
    """Reads a whole manifest.

    Raises:
        UserError: it cannot be read, is damaged, or of another version of spela-mcu.
    """
    content, ownership = _content(file)
    if ownership.form in LIBRARY_FORMS:
        raise UserError(
            f"is of a library, generated --as {ownership.form}, and not a project for a board",
            mend="build it as its README.md says; without --as, generate writes such a project",
            file=file,
        )
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise UserError(
            "the manifest is damaged, or the project of another version of spela-mcu "
            f"({_told(error)})",
            mend="generate it again",
            file=file,
        ) from error


def read_ownership(file: Path) -> Ownership:
    """Reads only the generator and the files' digests from a manifest.

    Raises:
        UserError: it cannot be read, is damaged, or not a manifest of spela-mcu.
    """
    return _content(file)[1]


def _content(file: Path) -> tuple[bytes, Ownership]:
    try:
        content = read_bounded(file, MOST_BYTES)
        return content, Ownership.model_validate_json(content)
    except OSError as error:
        raise disk_error(error, file) or _damaged(file, str(error)) from error
    except ValidationError as error:
        if error.errors()[0]["loc"] == ("generator",):
            raise UserError(
                "is not a manifest of spela-mcu",
                mend="`spela-mcu generate model.yaml -o DIR` writes a project",
                file=file,
            ) from error
        raise _damaged(file, _told(error)) from error


def _told(error: ValidationError) -> str:
    """The first thing that is wrong, with its place; cut short, as it may quote the input."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])[:100]
    return f"{key}: {first['msg'][:200]}" if key else first["msg"][:200]


def _damaged(file: Path, why: str) -> UserError:
    return UserError(
        f"the manifest is damaged ({why})",
        mend="generate the project again into an empty directory",
        file=file,
    )
