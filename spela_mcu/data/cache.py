"""Arrays that took long to make, kept in the user's cache."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spela_mcu.errors import UserError
from spela_mcu.files import cache_directory, write_whole


def kept(kind: str, key: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any] | None:
    """What an earlier run kept; None if there is nothing, or it is damaged.

    Args:
        kind: what it is, the name of a directory.
        key: in hexadecimal, a digest of all that it depends on.
        shape: that it must have.
        dtype: that it must have.
    """
    try:
        array: NDArray[Any] = np.load(_file(kind, key), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.dtype == dtype and array.shape == shape else None


def keep(kind: str, key: str, array: NDArray[Any]) -> None:
    """Keeps an array for `kept`."""
    content = io.BytesIO()
    np.save(content, array)
    file = _file(kind, key)
    with suppress(OSError, UserError):  # the cache only saves time
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, content.getvalue())


def _file(kind: str, key: str) -> Path:
    return cache_directory() / kind / f"{key[:32]}.npy"
