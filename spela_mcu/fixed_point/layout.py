"""How a matrix of weights or embeddings lies in memory (docs/arithmetic.md, section 6).

Blocks of 4 rows by 4 columns, so that a kernel that holds four inputs feeds four rows from
sixteen consecutive weights. Rows and columns are padded with zeros to multiples of four. Of int12 a
matrix of int8 has the upper eight bits, rounded; behind it are the residuals, two in a byte.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import shift_right_rounded
from spela_mcu.spec.learning import Format

BLOCK = 4

RESIDUAL_BITS: Final[dict[Format, int]] = {"int8": 0, "int12": 4, "int16": 0}
"""Bits of a weight below those that sums are made of."""

FORMAT_BITS: Final[dict[Format, int]] = {"int8": 8, "int12": 12, "int16": 16}
"""Bits that a number takes in memory."""

_WHOLE: Final[dict[Format, str]] = {"int8": "<i1", "int16": "<i2"}


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


def packed_bytes(rows: int, columns: int, format: Format) -> int:
    """Bytes of a matrix in memory."""
    return padded(rows) * padded(columns) * FORMAT_BITS[format] // 8


def pack(matrix: NDArray[np.int64], format: Format) -> bytes:
    """The bytes (little endian) of `matrix` [rows, columns] in memory."""
    rows, columns = matrix.shape
    full = np.zeros((padded(rows), padded(columns)), np.int64)
    full[:rows, :columns] = matrix
    blocks = full.reshape(padded(rows) // BLOCK, BLOCK, padded(columns) // BLOCK, BLOCK)
    numbers = blocks.transpose(0, 2, 1, 3).reshape(-1)
    if format != "int12":
        return numbers.astype(_WHOLE[format]).tobytes()
    upper = shift_right_rounded(numbers, RESIDUAL_BITS[format]).astype(np.int8)
    residuals = numbers & 15
    return upper.tobytes() + (residuals[::2] | residuals[1::2] << 4).astype(np.uint8).tobytes()


def numbers_in(data: bytes, format: Format) -> NDArray[np.int64]:
    """The elements of a packed matrix in their order in memory, padding included."""
    if format != "int12":
        return np.frombuffer(data, _WHOLE[format]).astype(np.int64)
    count = len(data) * 2 // 3
    upper = np.frombuffer(data, np.int8, count).astype(np.int64)
    pairs = np.frombuffer(data, np.uint8, offset=count)
    residuals = np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1).astype(np.int64)
    return 16 * upper + (residuals ^ 8) - 8


def unpack(data: bytes, rows: int, columns: int, format: Format) -> NDArray[np.int64]:
    """The inverse of `pack`; padding is dropped."""
    blocks = numbers_in(data, format).reshape(
        padded(rows) // BLOCK, padded(columns) // BLOCK, BLOCK, BLOCK
    )
    full = blocks.transpose(0, 2, 1, 3).reshape(padded(rows), padded(columns))
    return full[:rows, :columns].copy()
