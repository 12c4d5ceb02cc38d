"""A CSV file: one sample a row, one column the label."""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.files import open_error
from spela_mcu.data.labels import whole_number
from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.errors import UserError
from spela_mcu.notice import Notice
from spela_mcu.spec.document import quoted
from spela_mcu.spec.faults import nearest
from spela_mcu.spec.model import CsvData


def read(data: CsvData) -> RawData:
    """Reads the table with numpy's parser; a second, slow look finds the place of an error.

    Cells may be quoted with ``"``. Features become float32. Labels that are all whole numbers
    are integers, others texts.

    Raises:
        UserError: the file cannot be read, is empty, has rows of different length, a cell that
            is no number, a row without a label, or not the label column.
    """
    try:
        with data.path.open(encoding="utf-8-sig", newline="") as stream:
            return _read(data, stream)
    except OSError as error:
        raise open_error(error, data.path) from error
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", mend="save it as UTF-8", file=data.path) from error
    except csv.Error as error:
        raise UserError(
            f"cannot be read as a table: {error}", mend="check its quotes", file=data.path
        ) from error


@dataclass
class _Rows:
    """The rows of a stream as text, and the line on which each began; blank lines are left out."""

    stream: TextIO
    lines: list[int] = field(default_factory=list)
    _line: int = 0

    def __iter__(self) -> Iterator[str]:
        for row in self.stream:
            first = self._line + 1
            self._line += 1
            while row.count('"') % 2:  # a quoted cell goes on in the next line
                more = next(self.stream, "")
                if not more:
                    break
                self._line += 1
                row += more  # noqa: PLW2901
            if row.rstrip("\r\n"):
                self.lines.append(first)
                yield row


def _read(data: CsvData, stream: TextIO) -> RawData:
    rows = _Rows(stream)
    first = next(iter(rows), None)
    if first is None:
        raise UserError("the file is empty", mend="give a row a sample", file=data.path)
    cells = [cell.strip() for cell in next(csv.reader([first], delimiter=data.delimiter))]
    names = _column_names(data, cells)
    label = _label_column(data, names)
    if not data.header:
        stream.seek(0)
        rows = _Rows(stream)
    header_rows = len(rows.lines)
    codes: dict[str, int] = {}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "loadtxt: input contained no data")
            table = np.loadtxt(
                iter(rows),
                dtype=np.float32,
                delimiter=data.delimiter,
                quotechar='"',
                comments=None,
                converters={label: lambda text: codes.setdefault(text.strip(), len(codes))},
                encoding="utf-8",
                ndmin=2,
            )
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise _find_fault(data, names, label, str(error)) from error
    if table.size == 0:
        raise UserError("holds no rows of samples", mend="give a row a sample", file=data.path)
    if table.shape[1] != len(names) or "" in codes:
        raise _find_fault(data, names, label, "")
    row_lines = np.array(rows.lines[header_rows:], dtype=np.int64)
    # The codes are exact in float32: there are fewer than 2^24 different labels.
    labels, notices = _labels(data, list(codes), row_lines, table[:, label].astype(np.int64))
    return RawData(
        RawPart(np.delete(table, label, axis=1), labels),
        file=data.path,
        lines=row_lines,
        columns=tuple(name for index, name in enumerate(names) if index != label),
        notices=notices,
    )


def _column_names(data: CsvData, cells: list[str]) -> list[str]:
    if len(cells) < 2:
        other = next((mark for mark in ",;\t|" if mark in cells[0]), None)
        mend = f'set delimiter: "{_escaped(other)}"' if other else "give features and a label"
        raise UserError(
            f'the first row has a single cell when cut at "{_escaped(data.delimiter)}"',
            mend=mend,
            file=data.path,
            line=1,
        )
    if not data.header:
        return [str(index) for index in range(len(cells))]
    if all(is_number(cell) for cell in cells):
        raise UserError(
            "the first row should name the columns, but holds numbers only",
            mend="set data.header: false if it is a sample, else name the columns",
            file=data.path,
            line=1,
        )
    return [cell or str(index) for index, cell in enumerate(cells)]


def _label_column(data: CsvData, names: list[str]) -> int:
    if isinstance(data.label, int):
        if not -len(names) <= data.label < len(names):
            raise UserError(
                f"there is no column {data.label}: the first row has {len(names)} cells",
                mend=f"count columns from 0 to {len(names) - 1}, or -1 for the last",
                file=data.path,
                key="data.label",
            )
        return data.label % len(names)
    matches = [index for index, name in enumerate(names) if name == data.label]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UserError(
            f"{len(matches)} columns are named {quoted(data.label)}",
            mend=f"set data.label to the index of one: {', '.join(map(str, matches))}",
            file=data.path,
            line=1,
        )
    likely = nearest(data.label, names)
    listed = ", ".join(names[:8]) + (f", ... ({len(names)})" if len(names) > 8 else "")
    raise UserError(
        f"no column is named {quoted(data.label)}",
        mend=f'did you mean "{likely}"?' if likely else f"the columns are {listed}",
        file=data.path,
        line=1,
    )


def _labels(
    data: CsvData, texts: list[str], lines: NDArray[np.int64], codes: NDArray[np.int64]
) -> tuple[NDArray[Any], tuple[Notice, ...]]:
    """Labels as whole numbers if all of them are, else as texts.

    Args:
        data: what the model says of the file.
        texts: the different labels.
        lines: the line of each row.
        codes: the place of each row's label in `texts`.
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
    """Labels that are written differently and are one number."""
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


def _find_fault(data: CsvData, names: list[str], label: int, message: str) -> UserError:
    """Looks for the first cell or row that numpy's parser cannot have liked."""
    with data.path.open(encoding="utf-8-sig", newline="") as stream:
        rows = _Rows(stream)
        for number, cells in enumerate(csv.reader(iter(rows), delimiter=data.delimiter)):
            if number == 0 and data.header:
                continue
            fault = _fault_of(data, names, label, cells)
            if fault is not None:
                reason, mend, column = fault
                line = rows.lines[number]
                return UserError(reason, mend=mend, file=data.path, line=line, key=column)
    return UserError(
        f"cannot be read as a table: {message}",
        mend="write a row a sample, cells apart by the delimiter, and numbers with a point",
        file=data.path,
    )


def _fault_of(
    data: CsvData, names: list[str], label: int, cells: list[str]
) -> tuple[str, str, str | None] | None:
    if len(cells) != len(names):
        return (
            f"the row has {len(cells)} cells, the first row {len(names)}",
            "give all rows the same number of cells; put text that holds the delimiter in quotes",
            None,
        )
    for index, cell in enumerate(cells):
        column = f"column {names[index]}"
        if not cell.strip():
            what = "label" if index == label else "value"
            return f"the {what} is missing", "fill it in, or remove the row", column
        if index != label and not is_number(cell):
            mend = "write a number, remove the row, or set data.label if this is the label column"
            if not data.header and all(not is_number(other) for other in cells):
                mend = "set data.header: true if this row names the columns"
            return f"{quoted(cell.strip())} is not a number", mend, column
    return None


def is_number(text: str) -> bool:
    """Whether a cell is a number to numpy, `nan` and `inf` included."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python reads 1_000, numpy does not


def _escaped(mark: str) -> str:
    return "\\t" if mark == "\t" else mark
