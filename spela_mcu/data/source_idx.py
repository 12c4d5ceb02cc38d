"""A directory in MNIST's IDX format (yann.lecun.com/exdb/mnist), gzipped or not."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.files import check_is_directory, open_error
from spela_mcu.data.limit import limited
from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.errors import UserError
from spela_mcu.files import check_regular
from spela_mcu.spec.data import IdxData

# The third byte of an IDX file; numbers are big-endian.
_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read(data: IdxData) -> RawData:
    """Loads the four files: ``train-`` and ``t10k-``, ``images-idx3-ubyte`` and ``labels-...``.

    Raises:
        UserError: a file is missing, damaged, not IDX, or does not match the others.
    """
    return limited(data, _part(data.path, "train"), _part(data.path, "t10k"))


def read_idx(file: Path) -> NDArray[Any]:
    """Reads one IDX file.

    Raises:
        UserError: the file cannot be read, is not IDX, or is shorter or longer than it says.
    """
    content = _content(file)
    kind, dimensions = (content[2], content[3]) if len(content) >= 4 else (0, 0)
    header = 4 + 4 * dimensions
    if content[:2] != b"\0\0" or kind not in _DTYPES or dimensions == 0 or len(content) < header:
        raise UserError(
            f"is not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}",
            mend="IDX begins with 00 00, a type (08: bytes) and the number of dimensions",
            file=file,
        )
    shape = [int(size) for size in np.frombuffer(content, ">u4", dimensions, 4)]
    dtype = np.dtype(_DTYPES[kind])
    wanted = header + dtype.itemsize * int(np.prod(shape, dtype=object))
    if len(content) != wanted:
        raise UserError(
            f"its header says {' x '.join(map(str, shape))}, which is {wanted} bytes, "
            f"but it has {len(content)}",
            mend="the file was cut off or altered: copy it again",
            file=file,
        )
    array: NDArray[Any] = np.frombuffer(content, dtype, offset=header).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _part(directory: Path, part: str) -> RawPart:
    images_file = _find(directory, part, "images")
    labels_file = _find(directory, part, "labels")
    x, labels = read_idx(images_file), read_idx(labels_file)
    if x.ndim < 2 or labels.ndim != 1 or labels.dtype.kind not in "iu":
        wrong = images_file if x.ndim < 2 else labels_file
        raise UserError(
            "images need two dimensions or more" if x.ndim < 2 else "labels need one dimension",
            mend=f"check that the {part} files of images and labels are not exchanged",
            file=wrong,
        )
    if len(x) != len(labels):
        raise UserError(
            f"holds {len(labels)} labels for the {len(x)} samples of {images_file.name}",
            mend="take both files from the same set",
            file=labels_file,
        )
    return RawPart(x, labels)


def _find(directory: Path, part: str, what: str) -> Path:
    check_is_directory(directory)
    # Some distributions write a dot where MNIST has a dash; plain files come before gzipped.
    for suffix in ("", ".gz"):
        found = sorted(directory.glob(f"{part}-{what}[-.]idx[1-9]-*byte{suffix}"))
        if found:
            return found[0]
    number = 3 if what == "images" else 1
    raise UserError(
        f"holds no {part}-{what}-idx{number}-ubyte, gzipped (.gz) or not",
        mend="put the four files of the set there under MNIST's names",
        file=directory,
    )


def _content(file: Path) -> bytes:
    try:
        check_regular(file)
        content = file.read_bytes()
    except OSError as error:
        raise open_error(error, file) from error
    if file.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"cannot be decompressed: {error}",
            mend="the file was cut off or altered: copy it again",
            file=file,
        ) from error
