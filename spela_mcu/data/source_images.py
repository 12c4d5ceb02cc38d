"""Pictures in files: a folder a class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.cache import keep, kept
from spela_mcu.data.files import check_is_directory, open_error
from spela_mcu.data.picture import MOST_BYTES, decode, rules
from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.errors import UserError
from spela_mcu.files import read_bounded
from spela_mcu.notice import Notice, listed
from spela_mcu.progress import Progress
from spela_mcu.spec.data import ImagesData
from spela_mcu.spec.document import quoted

SUFFIXES: Final = (".png", ".jpg", ".jpeg")
_PARTS: Final = ("train", "test")
_FOR_NOBODY: Final = {"thumbs.db", "desktop.ini"}  # file managers leave them in folders of pictures
_MOST_STRETCHED: Final = 1.5


@dataclass(frozen=True)
class _Found:
    """The files of one part.

    Attributes:
        files: the pictures, class by class, each class in the order of names.
        labels: the class of each.
        others: what else lies among them.
    """

    files: tuple[Path, ...]
    labels: tuple[str, ...]
    others: tuple[Path, ...]


def read(data: ImagesData, show: Progress) -> RawData:
    """Loads every picture, brought to one size and kind of colour.

    If the directory holds folders train and test with folders in them, these are the two parts;
    else each of its folders is a class. Pictures as they were decoded are kept in the user's cache.

    Args:
        data: the section of model.yaml.
        show: told of progress.

    Raises:
        UserError: a file cannot be decoded, or a folder holds no pictures or is not where a class
            is expected.
    """
    check_is_directory(data.path)
    directories = [data.path / part for part in _PARTS]
    tested = all(_has_folders(directory) for directory in directories)
    if tested and "test_fraction" in data.model_fields_set:
        raise UserError(
            f"{data.path} has a test part of its own, the folder test",
            mend="remove test_fraction, or put all pictures into one folder a class",
            key="data.test_fraction",
        )
    found = [_found(one) for one in (directories if tested else [data.path])]
    if tested:
        _check_only_parts(data.path)
    others = tuple(file for part in found for file in part.others)
    files = tuple(file for part in found for file in part.files)
    pictures = _pictures(data, files, show)
    pixels = np.ascontiguousarray(pictures["pixels"])
    cut = len(found[0].files)
    parts = [
        RawPart(x, np.array(part.labels))
        for x, part in zip((pixels[:cut], pixels[cut:]), found, strict=False)
    ]
    return RawData(
        samples=parts[0],
        test=parts[1] if tested else None,
        file=data.path,
        notices=tuple(_notices(data, others, pictures["shape"])),
        left_out=(f"{len(others)} files that are no PNG or JPEG",) if others else (),
    )


def _has_folders(directory: Path) -> bool:
    return directory.is_dir() and any(_folders(directory))


def _folders(directory: Path) -> list[Path]:
    return [one for one in _entries(directory) if one.is_dir()]


def _entries(directory: Path) -> list[Path]:
    """What a directory holds, by name, without what is hidden."""
    try:
        return sorted(
            one
            for one in directory.iterdir()
            if not one.name.startswith(".") and one.name.lower() not in _FOR_NOBODY
        )
    except OSError as error:
        raise open_error(error, directory) from error


def _check_only_parts(directory: Path) -> None:
    for folder in _folders(directory):
        if folder.name not in _PARTS:
            raise UserError(
                "lies beside train and test, but is neither",
                mend="move it elsewhere; the validation part is taken from train",
                file=folder,
            )


def _found(directory: Path) -> _Found:
    """The pictures of each class of one part."""
    files: list[Path] = []
    labels: list[str] = []
    others = [one for one in _entries(directory) if not one.is_dir()]
    stray = next((one for one in others if one.suffix.lower() in SUFFIXES), None)
    if stray is not None:
        raise UserError(
            "lies beside the folders of the classes",
            mend="put it into the folder of its class",
            file=stray,
        )
    for folder in _folders(directory):
        pictures, more = _class(folder)
        files += pictures
        labels += [folder.name] * len(pictures)
        others += more
    if not files:
        raise UserError(
            "holds no folders of pictures",
            mend="make a folder for each class, called by its name, and put its PNG and JPEG files "
            "there",
            file=directory,
        )
    return _Found(tuple(files), tuple(labels), tuple(others))


def _class(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures of one class, and what else lies among them."""
    _check_name(folder)
    entries = _entries(folder)
    deeper = next((one for one in entries if one.is_dir()), None)
    if deeper is not None:
        raise UserError(
            "is a folder in the folder of a class",
            mend=f"put its pictures into {quoted(folder.name)} itself, or, where there is a test "
            "part, call the two parts train and test",
            file=deeper,
        )
    pictures = [one for one in entries if one.suffix.lower() in SUFFIXES]
    if not pictures:
        raise UserError(
            "holds no .png, .jpg or .jpeg",
            mend="put the pictures of the class there, converted to PNG if they are of another "
            "format, or remove the folder",
            file=folder,
        )
    return pictures, [one for one in entries if one.suffix.lower() not in SUFFIXES]


def _check_name(folder: Path) -> None:
    try:
        folder.name.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            "the name is not UTF-8, so no class can be called by it",
            mend="rename the folder",
            file=str(folder).encode(errors="backslashreplace").decode(),
        ) from error


def _pictures(data: ImagesData, files: tuple[Path, ...], show: Progress) -> NDArray[np.void]:
    """All pictures [n]: `pixels` [rows, columns(, 3)], and the `shape` that they had."""
    key = hashlib.sha256(f"{rules()} {data.size} {data.colour}".encode())
    for index, file in enumerate(files):
        show("looking at pictures", index, len(files))
        key.update(hashlib.sha256(_content(file)).digest())
    show("looking at pictures", len(files), len(files))
    record = np.dtype([("pixels", np.uint8, data.shape), ("shape", np.int32, (2,))])
    known = kept("pictures", key.hexdigest(), (len(files),), record)
    if known is not None:
        return known
    pictures = np.empty(len(files), record)
    for index, file in enumerate(files):
        show("decoding pictures", index, len(files))
        picture = decode(file, _content(file), data.size, data.colour)
        pictures["pixels"][index], pictures["shape"][index] = picture.pixels, picture.shape
    show("decoding pictures", len(files), len(files))
    keep("pictures", key.hexdigest(), pictures)
    return pictures


def _content(file: Path) -> bytes:
    try:
        return read_bounded(file, MOST_BYTES)
    except OSError as error:
        raise open_error(error, file) from error


def _notices(
    data: ImagesData, others: tuple[Path, ...], shapes: NDArray[np.int32]
) -> Iterator[Notice]:
    if others:
        names = listed([str(file.relative_to(data.path)) for file in others])
        yield Notice(
            f"no .png, .jpg or .jpeg, and left out: {names}",
            "convert them to PNG if they are pictures; else move them elsewhere",
        )
    stretched = (shapes[:, 1] / shapes[:, 0]) * (data.size[0] / data.size[1])
    most = np.maximum(stretched, 1 / stretched)
    count = int(np.count_nonzero(most > _MOST_STRETCHED))
    if count:
        rows, columns = shapes[int(most.argmax())]
        yield Notice(
            f"{count:,} of {len(shapes):,} pictures are stretched by more than {_MOST_STRETCHED} "
            f"in one direction, up to one of {columns} x {rows} pixels",
            "choose data.size of their shape, or crop them",
        )
