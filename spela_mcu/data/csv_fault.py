"""Where a table is wrong, and the mend, found by a second, slow look at its file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from spela_mcu.data.csv_columns import TRUTHS, Columns, is_number
from spela_mcu.data.csv_rows import Layout, open_rows
from spela_mcu.errors import UserError
from spela_mcu.spec.data import CsvData
from spela_mcu.spec.document import quoted

_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+([eE][-+]?[0-9]+)?")
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class _Fault:
    reason: str
    mend: str
    column: str | None = None


def find_fault(data: CsvData, layout: Layout, columns: Columns, message: str) -> UserError:
    """The error of the first row that cannot be a sample.

    Args:
        data: the model's section for the file.
        layout: how its rows are written.
        columns: its columns.
        message: numpy's own, used if no such row is found.
    """
    with open_rows(data.path, layout) as rows:
        for number, row in enumerate(rows):
            if number == 0 and data.header:
                continue
            fault = _fault_of(data, layout, columns, row, first=number == int(data.header))
            if fault is None:
                continue
            mark = row.lstrip()[:1]
            if mark in ("#", "%"):
                fault = _Fault(f'the row begins with "{mark}"', f'set data.comment: "{mark}"')
            key = None if fault.column is None else f"column {fault.column}"
            line = rows.lines[number]
            return UserError(fault.reason, mend=fault.mend, file=data.path, line=line, key=key)
    return UserError(
        f"cannot be read as a table: {message}",
        mend="write a row a sample, cells apart by the delimiter, and numbers with a point",
        file=data.path,
    )


def _fault_of(
    data: CsvData, layout: Layout, columns: Columns, row: str, *, first: bool
) -> _Fault | None:
    """What is wrong with a row; `first`: it is the first sample."""
    cells = layout.cells(row)
    width = len(columns.names)
    if layout.delimiter == " " and "" in cells:
        return _Fault("the row has several spaces in turn", "set delimiter: whitespace")
    if len(cells) != width:
        return _Fault(
            f"the row has {len(cells)} cells, the first row {width}",
            _mend_of_width(layout, row, cells, width),
        )
    for index, cell in enumerate(cells):
        if index in columns.left_out:
            continue
        column = columns.names[index]
        if not cell:
            what = "label" if index == columns.label else "value"
            return _Fault(f"the {what} is missing", "fill it in, or remove the row", column)
        if index != columns.label and (
            fault := _fault_of_value(data, columns, cells, index, first=first)
        ):
            return fault
    return None


def _mend_of_width(layout: Layout, row: str, cells: list[str], width: int) -> str:
    if "\n" in row:
        return 'close the quote that is open at the line\'s end; write a quote in a cell as ""'
    if layout.delimiter == "," and len(cells) in (2 * width - 1, 2 * width):
        return (
            'if "," is a decimal comma too, save the file with ";" between cells, and set '
            'delimiter: ";" and decimal: ","'
        )
    if not cells[-1] and len(cells) == width + 1:
        return "remove the delimiter at the row's end"
    return "give all rows the same number of cells; put text that holds the delimiter in quotes"


def _fault_of_value(
    data: CsvData, columns: Columns, cells: list[str], index: int, *, first: bool
) -> _Fault | None:
    cell, column = cells[index], columns.names[index]
    written = cell.replace(",", ".") if data.decimal == "," else cell
    if index in columns.truths and cell.lower() in TRUTHS:
        return None
    if is_number(written):
        return _fault_of_number(cell, float(written), column)
    mend = _mend_of_value(data, columns, cells, cell, first=first)
    return _Fault(f"{quoted(cell)} is not a number", mend, column)


def _mend_of_value(
    data: CsvData, columns: Columns, cells: list[str], cell: str, *, first: bool
) -> str:
    if data.decimal == "." and _DECIMAL_COMMA.fullmatch(cell):
        return 'set data.decimal: ","'
    if data.decimal == "," and "." in cell and "," in cell:
        return "remove the points between thousands"
    if cell.lower() in TRUTHS:
        return "write 1 for True and 0 for False"
    if not first:
        return "write a number, or remove the row"
    if not data.header and not any(is_number(other) for other in cells):
        return "set data.header: true if this row names the columns"
    return _mend_of_text(data, columns, cells)


def _fault_of_number(cell: str, value: float, column: str) -> _Fault | None:
    mend = "fill it in, or remove the row"
    if math.isnan(value):
        return _Fault("the value is not a number (nan)", mend, column)
    if abs(value) > _FLOAT32_MAX:
        infinite = "inf" in cell.lower()
        reason = "is not finite" if infinite else f"is beyond float32 ({_FLOAT32_MAX:.3g})"
        mend = mend if infinite else "correct it, remove the row, or rescale the column"
        return _Fault(f"the value {cell} {reason}", mend, column)
    return None


def _mend_of_text(data: CsvData, columns: Columns, cells: list[str]) -> str:
    """What to do about text columns, judging by the cells of the first sample."""
    texts = {
        index
        for index in columns.features
        if not is_number(cells[index].replace(",", ".")) and index not in columns.truths
    }
    if data.features is not None:
        kept = [index for index in columns.features if index not in texts]
        return f"write a number, or leave the column out, data.features: {columns.in_yaml(kept)}"
    ignored = columns.in_yaml(sorted({*columns.left_out, *texts}))
    return f"write a number, or leave the column out, data.ignore: {ignored}"
