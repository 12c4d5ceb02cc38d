"""A CSV file: one sample per row, one column with the label."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.csv_columns import TRUTHS, Columns, columns_of, is_number
from spela_mcu.data.csv_fault import find_fault
from spela_mcu.data.csv_rows import Layout, Rows, ShareRead, layout_of, open_rows
from spela_mcu.data.labels import whole_number
from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.errors import UserError
from spela_mcu.notice import Notice, listed
from spela_mcu.spec.data import CsvData
from spela_mcu.spec.document import quoted


def read(data: CsvData, share_read: ShareRead | None = None) -> RawData:
    """Reads the table with numpy's parser; a second, slow look finds where an error is.

    Cells may be quoted with ``"``. Features become float32, True and False become 1 and 0. Labels
    that are all whole numbers are integers, else texts.

    Args:
        data: the model's section for the file.
        share_read: told from time to time how much of the file has been read.

    Raises:
        UserError: the file cannot be read, is empty, has rows of different length, a cell that is
            not a number, a row without a label, or lacks a column that is named.
    """
    layout, first, second = layout_of(data)
    columns = columns_of(data, layout, first, second)
    codes: dict[str, int] = {}
    with open_rows(data.path, layout, share_read) as rows:
        try:
            table = _table(data, layout, columns, rows, codes)
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            raise find_fault(data, layout, columns, str(error)) from error
    if table.size == 0:
        raise UserError("holds no rows of samples", mend="give a row a sample", file=data.path)
    x = np.ascontiguousarray(table[:, columns.features])
    if table.shape[1] != len(columns.names) or "" in codes or not np.isfinite(x).all():
        raise find_fault(data, layout, columns, "")
    _check_header(data, columns, codes, first)
    lines = np.array(rows.lines[int(data.header) :], dtype=np.int64)
    # The codes are exact in float32: there are fewer than 2^24 different labels.
    labels, notices = _labels(data, list(codes), lines, table[:, columns.label].astype(np.int64))
    return RawData(
        RawPart(x, labels),
        file=data.path,
        lines=lines,
        columns=tuple(columns.names[index] for index in columns.features),
        notices=notices,
        left_out=_left_out(columns, rows.comments),
    )


def _left_out(columns: Columns, comments: int) -> tuple[str, ...]:
    names = [columns.names[index] for index in columns.left_out]
    found = []
    if names:
        found.append(f"column{'s' if len(names) > 1 else ''} {listed(names)}")
    if comments:
        found.append(f"{comments} line{'s' if comments > 1 else ''} of comment")
    return tuple(found)


def _table(
    data: CsvData, layout: Layout, columns: Columns, rows: Rows, codes: dict[str, int]
) -> NDArray[np.float32]:
    """All cells as float32 [rows, columns]: a label as its index in `codes`, 0 for ignored ones."""
    converters: dict[int | str, Callable[[str], float]] = {}
    converters |= dict.fromkeys(columns.left_out, _nothing)
    if data.decimal == ",":
        converters |= dict.fromkeys(columns.features, _with_comma)
    converters |= dict.fromkeys(columns.truths, _truth)
    converters[columns.label] = lambda text: codes.setdefault(text.strip(), len(codes))
    samples = iter(rows)
    if data.header:
        next(samples)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "loadtxt: input contained no data")
        return np.loadtxt(
            samples,
            dtype=np.float32,
            delimiter=layout.delimiter,
            quotechar='"',
            comments=None,
            converters=converters,
            encoding="utf-8",
            ndmin=2,
        )


def _nothing(_: str) -> float:
    return 0.0


def _with_comma(text: str) -> float:
    return _number(text.replace(",", "."))


def _truth(text: str) -> float:
    truth = TRUTHS.get(text.strip().lower())
    return _number(text) if truth is None else truth


def _number(text: str) -> float:
    if "_" in text:  # Python reads it so, but nobody else does
        raise ValueError(text)
    return float(text)


def _check_header(data: CsvData, columns: Columns, codes: dict[str, int], first: list[str]) -> None:
    """A first row whose label is a class and whose other cells are numbers is a sample."""
    others = (first[index] for index in columns.features)
    if data.header and first[columns.label] in codes and all(map(is_number, others)):
        raise UserError(
            "the first row should name the columns, but is a sample like those below it",
            mend="set data.header: false",
            file=data.path,
            line=1,
        )


def _labels(
    data: CsvData, texts: list[str], lines: NDArray[np.int64], codes: NDArray[np.int64]
) -> tuple[NDArray[Any], tuple[Notice, ...]]:
    """Labels as whole numbers if all of them are, else as texts.

    Args:
        data: the model's section for the file.
        texts: the distinct labels.
        lines: the line of each row.
        codes: the index of each row's label in `texts`.
    """
    values = [whole_number(text) for text in texts]
    whole = [value for value in values if value is not None]
    if len(whole) == len(texts):
        return np.array(whole, dtype=np.int64)[codes], tuple(_merged(texts, whole))
    if all(is_number(text) for text in texts):
        numbers = [float(text) for text in texts]
        if any(math.isnan(number) for number in numbers):
            code = next(code for code, number in enumerate(numbers) if math.isnan(number))
            raise UserError(
                f"the label {quoted(texts[code])} stands for a missing one",
                mend="fill it in, or remove the row",
                file=data.path,
                line=int(lines[np.argmax(codes == code)]),
            )
        for text, number in zip(texts, numbers, strict=True):
            if not number.is_integer():
                raise UserError(
                    f"the label column holds numbers that are not whole, {quoted(text)} for one",
                    mend="set data.label to the column of classes; a measured value is no class",
                    file=data.path,
                    key="data.label",
                )
    return np.array(texts)[codes], ()


def _merged(texts: list[str], values: list[int]) -> Iterator[Notice]:
    """Labels that are written differently but are the same number."""
    spellings: dict[int, list[str]] = {}
    for text, value in zip(texts, values, strict=True):
        spellings.setdefault(value, []).append(text)
    for value, written in spellings.items():
        if len(written) > 1:
            yield Notice(
                f"the labels {', '.join(map(quoted, written))} are the same number, and one "
                f'class, "{value}"',
                "write them alike; to keep them apart, put a letter before each",
            )
