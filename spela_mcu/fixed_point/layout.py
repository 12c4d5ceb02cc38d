"""How a matrix of weights or embeddings lies in memory (docs/arithmetic.md, section 6).

Blocks of 4 rows by 4 columns, so that a kernel that holds four inputs feeds four rows from
sixteen consecutive weights. Rows and columns are padded with zeros to multiples of four.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 4


def rounded_up(size: int, unit: int) -> int:
    """The least multiple of `unit` that is at least `size`."""
    return -(-size // unit) * unit


def padded(size: int) -> int:
    """`size` rounded up to a whole number of blocks."""
    return rounded_up(size, BLOCK)


def place(at: int, columns: int) -> tuple[int, int]:
    """Row and column of the element that lies `at` elements from a matrix's start."""
    block, within = divmod(at, BLOCK * BLOCK)
    row, column = divmod(block, padded(columns) // BLOCK)
    return BLOCK * row + within // BLOCK, BLOCK * column + within % BLOCK


def pack(matrix: NDArray[np.int64], dtype: type[np.int8] | type[np.int16]) -> bytes:
    """The bytes (little endian) of `matrix` [rows, columns] in memory."""
    rows, columns = matrix.shape
    full = np.zeros((padded(rows), padded(columns)), np.dtype(dtype).newbyteorder("<"))
    full[:rows, :columns] = matrix
    blocks = full.reshape(padded(rows) // BLOCK, BLOCK, padded(columns) // BLOCK, BLOCK)
    return blocks.transpose(0, 2, 1, 3).tobytes()


def unpack(
    data: bytes, rows: int, columns: int, dtype: type[np.int8] | type[np.int16]
) -> NDArray[np.int64]:
    """The inverse of `pack`; padding is dropped."""
    blocks = np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(
        padded(rows) // BLOCK, padded(columns) // BLOCK, BLOCK, BLOCK
    )
    full = blocks.transpose(0, 2, 1, 3).reshape(padded(rows), padded(columns))
    return full[:rows, :columns].astype(np.int64)
