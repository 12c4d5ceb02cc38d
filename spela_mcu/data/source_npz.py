"""Arrays saved by numpy.savez."""

from __future__ import annotations

import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.files import open_error
from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.errors import UserError
from spela_mcu.files import check_regular
from spela_mcu.spec.data import NpzData


def read(data: NpzData) -> RawData:
    """Loads samples and labels from an .npz file, without pickle.

    Raises:
        UserError: the file is not an .npz file, is damaged, or lacks an array.
    """
    try:
        check_regular(data.path)
        archive = np.load(data.path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise UserError(
                "holds a single array, not samples and labels",
                mend="save both with numpy.savez(file, x=..., y=...)",
                file=data.path,
            )
        with archive:
            return RawData(
                RawPart(_array(data, archive, "x"), _array(data, archive, "y")), file=data.path
            )
    except OSError as error:
        raise open_error(error, data.path) from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            "is not an .npz file, or is damaged",
            mend="write it again with numpy.savez or numpy.savez_compressed",
            file=data.path,
        ) from error


def _array(data: NpzData, archive: Any, key: str) -> NDArray[Any]:  # noqa: ANN401
    name = getattr(data, key)
    if name not in archive.files:
        raise UserError(
            f'holds no array "{name}"',
            mend=f"set data.{key} to one of its arrays: {', '.join(archive.files)}",
            file=data.path,
        )
    try:
        array: NDArray[Any] = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise UserError(
            f'the array "{name}" holds Python objects, which would run code when loaded',
            mend="save an array of numbers, or of texts with dtype str",
            file=data.path,
        ) from error
    if array.ndim == 0:
        raise UserError(
            f'the array "{name}" is a single value', mend="save one entry a sample", file=data.path
        )
    return array
