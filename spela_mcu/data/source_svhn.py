"""The street view house numbers, cropped to single digits, in MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from spela_mcu.data.files import check_is_directory, open_error
from spela_mcu.data.limit import limited
from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.errors import UserError
from spela_mcu.files import check_regular
from spela_mcu.spec.data import SvhnData

_TEN = 10  # the label of the digit 0


def read(data: SvhnData) -> RawData:
    """Loads ``train_32x32.mat`` and ``test_32x32.mat`` as [32, 32, 3] bytes.

    Raises:
        UserError: a file is missing or damaged, or holds something else.
    """
    check_is_directory(data.path)
    train, test = (_part(data.path / f"{name}_32x32.mat") for name in ("train", "test"))
    return limited(data, train, test, tuple(map(str, range(10))))


def _part(file: Path) -> RawPart:
    content = _content(file)
    x, y = content.get("X"), content.get("y")
    if (
        not isinstance(x, np.ndarray)
        or not isinstance(y, np.ndarray)
        or x.dtype != np.uint8
        or x.shape != (32, 32, 3, y.size)
        or y.size == 0
    ):
        raise UserError(
            "does not hold pictures X, bytes of 32 x 32 x 3 x n, and labels y, n x 1",
            mend="take the files of cropped digits, train_32x32.mat and test_32x32.mat",
            file=file,
        )
    labels = y.reshape(-1)
    wrong = np.flatnonzero(~np.isin(labels, np.arange(1, 11)))
    if len(wrong):
        raise UserError(
            f"the label {labels[wrong[0]]} of picture {wrong[0]} (counted from 0) must be 1 to 10, "
            "which stands for the digit 0",
            mend="the file was altered: copy it again",
            file=file,
        )
    pictures = np.ascontiguousarray(x.transpose(3, 0, 1, 2))
    return RawPart(pictures, labels.astype(np.int64) % _TEN)


def _content(file: Path) -> dict[str, Any]:
    try:
        check_regular(file)
        with file.open("rb") as stream:
            return _read_mat(file, stream)
    except OSError as error:
        raise open_error(error, file) from error


def _read_mat(file: Path, stream: BinaryIO) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        return loadmat(stream, variable_names=("X", "y"))  # type: ignore[no-any-return]
    except Exception as error:  # scipy has no error of its own for a damaged file
        raise UserError(
            "is not a MATLAB file up to version 7, or is damaged",
            mend="copy it again",
            file=file,
        ) from error
