"""CIFAR-10 and CIFAR-100 in the binary version of their authors."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from spela_mcu.data.files import check_is_directory, open_error
from spela_mcu.data.limit import limited
from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.errors import UserError
from spela_mcu.files import check_regular, read_bounded
from spela_mcu.spec.data import CifarData

_PICTURE: Final = (3, 32, 32)  # planes of red, green and blue, each row by row
_NAMES_MOST_BYTES: Final = 1 << 16


def read(data: CifarData) -> RawData:
    """Loads the pictures as [32, 32, 3] bytes.

    CIFAR-10 has ``data_batch_1.bin`` to ``data_batch_5.bin``, ``test_batch.bin`` and the names of
    its classes in ``batches.meta.txt``; CIFAR-100 has ``train.bin``, ``test.bin``,
    ``fine_label_names.txt`` and ``coarse_label_names.txt``. Without its file of names, a class has
    its number as its name.

    Raises:
        UserError: a file is missing or damaged, or the keys do not suit the set.
    """
    check_is_directory(data.path)
    if (data.path / "train.bin").exists():
        coarse = data.labels == "coarse"
        names, classes = f"{data.labels}_label_names.txt", 20 if coarse else 100
        train = [data.path / "train.bin"]
        test = data.path / "test.bin"
        label, labels = (0 if coarse else 1), 2
    else:
        train = [data.path / f"data_batch_{number}.bin" for number in range(1, 6)]
        test = data.path / "test_batch.bin"
        names, classes, label, labels = "batches.meta.txt", 10, 0, 1
        _check_ten(data, train[0])
    parts = [_part(file, classes, label=label, labels=labels) for file in (*train, test)]
    samples = RawPart(
        np.concatenate([part.x for part in parts[:-1]]),
        np.concatenate([part.labels for part in parts[:-1]]),
    )
    return limited(data, samples, parts[-1], _names(data.path / names, classes))


def _check_ten(data: CifarData, first: Path) -> None:
    if not first.exists():
        raise UserError(
            "holds neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100)",
            mend="name the directory that the archive of the binary version unpacks to",
            file=data.path,
        )
    if "labels" in data.model_fields_set:
        raise UserError(
            "CIFAR-10 has one kind of labels",
            mend="remove the key; it is for CIFAR-100",
            key="data.labels",
        )


def _part(file: Path, classes: int, *, label: int, labels: int) -> RawPart:
    """One file of rows: bytes of labels, of which one is taken, and a picture."""
    try:
        check_regular(file)
        content = np.fromfile(file, np.uint8)
    except OSError as error:
        raise open_error(error, file) from error
    row = labels + int(np.prod(_PICTURE))
    if len(content) == 0 or len(content) % row:
        raise UserError(
            f"has {len(content)} bytes, which is not a number of rows of {row}",
            mend="the file was cut off, or is of the other set: copy it again",
            file=file,
        )
    rows = content.reshape(-1, row)
    numbers = rows[:, label]
    wrong = np.flatnonzero(numbers >= classes)
    if len(wrong):
        raise UserError(
            f"row {wrong[0]} (counted from 0) has the label {numbers[wrong[0]]}, but {classes} "
            f"classes are 0 to {classes - 1}",
            mend="the file was altered, or is of the other set: copy it again",
            file=file,
        )
    pictures = rows[:, labels:].reshape(-1, *_PICTURE).transpose(0, 2, 3, 1)
    return RawPart(np.ascontiguousarray(pictures), numbers.astype(np.int64))


def _names(file: Path, classes: int) -> tuple[str, ...]:
    """The names of the classes, one a line; their numbers if there is no such file."""
    try:
        lines = read_bounded(file, _NAMES_MOST_BYTES).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return tuple(map(str, range(classes)))
    except OSError as error:
        raise open_error(error, file) from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) != classes or len(set(names)) != classes:
        raise UserError(
            f"names {len(set(names))} classes, but the set has {classes}",
            mend="copy the file again, or remove it: the classes are then called by their numbers",
            file=file,
        )
    return names
