"""Recordings in CSV: a reading a line, and what tells recordings, labels and time apart."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np

from spela_mcu.data.csv_columns import is_number
from spela_mcu.data.files import open_error
from spela_mcu.data.recording import Named, Recording
from spela_mcu.errors import UserError
from spela_mcu.files import check_regular
from spela_mcu.notice import Notice
from spela_mcu.spec.data import SeriesData
from spela_mcu.spec.document import quoted
from spela_mcu.spec.faults import nearest

Line: TypeAlias = tuple[int, list[str]]
"""The number of a line, and its cells; none of a blank one."""

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_LATE = 1.5
"""Periods between two readings from which on one is missing."""

_RATE_OFF = 0.05
"""By which the rate of the timestamps may differ from the one stated."""


@dataclass(frozen=True)
class _Columns:
    """Where a file's columns are.

    Attributes:
        axes: of the readings, in the order of model.yaml.
        width: cells of a line.
        others: label, group, recording and time, where they are columns.
    """

    axes: tuple[int, ...]
    width: int
    others: dict[str, int]


@dataclass
class _Part:
    """A recording that is being read."""

    label: str
    group: str | None
    name: str
    values: list[list[float]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


def read_csv(
    data: SeriesData, file: Path, named: Named
) -> tuple[list[Recording], tuple[Notice, ...]]:
    """The recordings of a file.

    A blank line ends one, and so do another name in the column of recordings, another label or
    group, and a gap in time.

    Args:
        data: the section of model.yaml.
        file: the file.
        named: what its name and folder say.

    Raises:
        UserError: it cannot be read, a column is missing, a cell is no number, or the timestamps
            do not fit the rate.
    """
    lines = _lines(data, file)
    first = next((line for line in lines if line[1]), None)
    if first is None:
        raise UserError("the file is empty", mend="give a line a reading", file=file)
    columns, header = _columns_of(data, file, first[1], first[0])
    parts: list[_Part] = []
    begun = False
    rest: Iterator[Line] = lines if header else _again(first, lines)
    for number, cells in rest:
        if not cells:
            begun = False
            continue
        if header and cells == first[1]:  # a recorder that began anew
            begun = False
            continue
        values = _numbers(data, file, columns, number, cells)
        other = {key: cells[at] for key, at in columns.others.items()}
        label = other.get("label", named.label)
        if label is None:
            raise UserError(
                "nothing tells the label of its readings",
                mend="name data.label_column or data.file_names, or put the files into a folder a "
                "class",
                file=file,
            )
        part = _Part(label, other.get("group", named.group), other.get("recording", ""))
        last = parts[-1] if parts else None
        same = last is not None and (last.label, last.group, last.name) == (
            part.label,
            part.group,
            part.name,
        )
        if not begun or not same:
            parts.append(part)
            begun = True
        parts[-1].values.append(values)
        parts[-1].lines.append(number)
        if "time" in other:
            parts[-1].times.append(_time(file, number, other["time"]))
    notices: list[Notice] = []
    if list(columns.axes) != sorted(columns.axes):
        notices.append(
            Notice(
                f"{file}:{first[0]}: the columns are in another order than data.axes, and read "
                "by name",
                f"see that the chip gives a reading in the order {', '.join(data.axes)}",
            )
        )
    found: list[Recording] = []
    for index, part in enumerate(parts):
        name = part.name or (str(index) if len(parts) > 1 else "")
        pieces, told = _pieces(data, file, part)
        notices += told
        found += [
            _recording(file, part, name if len(pieces) == 1 else f"{name}+{at}", piece)
            for at, piece in enumerate(pieces)
        ]
    return found, tuple(notices)


def _again(first: Line, lines: Iterator[Line]) -> Iterator[Line]:
    yield first
    yield from lines


def _lines(data: SeriesData, file: Path) -> Iterator[Line]:
    try:
        check_regular(file)
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=data.delimiter, skipinitialspace=True)
            for cells in reader:
                stripped = [cell.strip() for cell in cells]
                yield reader.line_num, stripped if any(stripped) else []
    except OSError as error:
        raise open_error(error, file) from error
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", mend="save it as UTF-8", file=file) from error
    except csv.Error as error:
        raise UserError(
            f"cannot be read as a table: {error}", mend="check its quotes", file=file
        ) from error


def _columns_of(data: SeriesData, file: Path, cells: list[str], line: int) -> tuple[_Columns, bool]:
    """The columns, and whether the first line names them."""
    wanted = {
        "label": data.label_column,
        "group": data.group_column,
        "recording": data.recording_column,
        "time": data.time_column,
    }
    stated = {key: name for key, name in wanted.items() if name is not None}
    if all(is_number(cell) for cell in cells):
        if stated:
            key, name = next(iter(stated.items()))
            raise UserError(
                f"data.{key}_column is {quoted(name)}, but the first line names no columns",
                mend="write a first line with the columns' names",
                file=file,
                line=line,
            )
        if len(data.axes) != len(cells):
            raise UserError(
                f"a line has {len(cells)} numbers, but data.axes names {len(data.axes)}",
                mend="name as many axes, or write a first line with the columns' names",
                file=file,
                line=line,
            )
        return _Columns(tuple(range(len(cells))), len(cells), {}), False
    others = {
        key: _column(file, cells, name, line, f"data.{key}_column") for key, name in stated.items()
    }
    axes = tuple(_column(file, cells, name, line, "data.axes") for name in data.axes)
    return _Columns(axes, len(cells), others), True


def _column(file: Path, cells: list[str], name: str, line: int, key: str) -> int:
    places = [at for at, cell in enumerate(cells) if cell == name]
    if len(places) == 1:
        return places[0]
    likely = nearest(name, cells)
    raise UserError(
        f"{len(places) or 'no'} column{'s are' if places else ' is'} named {quoted(name)}",
        mend=f'did you mean "{likely}"?' if likely else f"the columns are {', '.join(cells)}",
        file=file,
        line=line,
        key=key,
    )


def _numbers(
    data: SeriesData, file: Path, columns: _Columns, number: int, cells: list[str]
) -> list[float]:
    if len(cells) != columns.width:
        raise UserError(
            f"the line has {len(cells)} cells, the first one {columns.width}",
            mend="remove the line if it was cut off; else give all lines the same number of cells",
            file=file,
            line=number,
        )
    values = []
    for at in columns.axes:
        cell = cells[at]
        value = float(cell) if is_number(cell) else float("nan")
        if not np.isfinite(value):
            raise UserError(
                f"{quoted(cell)} is not a number" if cell else "a value is missing",
                mend="correct the line, or remove it: what is before and after is then two "
                "recordings if a blank line stands between",
                file=file,
                line=number,
                key=f"axis {data.axes[columns.axes.index(at)]}",
            )
        values.append(value)
    return values


def _time(file: Path, number: int, cell: str) -> float:
    if not is_number(cell) or not np.isfinite(float(cell)):
        raise UserError(
            f"{quoted(cell)} is no timestamp",
            mend="write a number, or remove data.time_column",
            file=file,
            line=number,
        )
    return float(cell)


def _pieces(data: SeriesData, file: Path, part: _Part) -> tuple[list[slice], tuple[Notice, ...]]:
    """A recording without gaps, or what lies between its gaps; checks the rate."""
    whole = [slice(0, len(part.values))]
    if len(part.times) < 2:
        return whole, ()
    steps = np.diff(np.array(part.times)) * _UNITS[data.time_unit] * data.rate  # in periods
    back = np.flatnonzero(steps <= 0)
    if len(back):
        raise UserError(
            "the timestamp is not later than the one before",
            mend="put a blank line where another recording begins, or name data.recording_column",
            file=file,
            line=part.lines[int(back[0]) + 1],
        )
    usual = float(np.median(steps))
    if abs(usual - 1) > _RATE_OFF:
        raise UserError(
            f"readings come {data.rate / usual:.4g} times a second from here on, but data.rate is "
            f"{data.rate:g}",
            mend="correct data.rate or data.time_unit, or resample the recording",
            file=file,
            line=part.lines[0],
        )
    gaps = np.flatnonzero(steps > _LATE) + 1
    if not len(gaps):
        return whole, ()
    ends = [0, *gaps.tolist(), len(part.values)]
    at = int(gaps[0])
    return [slice(a, b) for a, b in pairwise(ends)], (
        Notice(
            f"{file}:{part.lines[at]}: readings are missing before this line, "
            f"{steps[at - 1] - 1:.1f} of them"
            + (f", and at {len(gaps) - 1} other places" if len(gaps) > 1 else "")
            + "; no window spans a gap",
            "record again if there are many",
        ),
    )


def _recording(file: Path, part: _Part, name: str, piece: slice) -> Recording:
    values = np.array(part.values[piece], np.float64)
    if np.array_equal(values, np.rint(values)) and np.abs(values).max(initial=0) < 2**53:
        values = values.astype(np.int64)
    return Recording(
        file=file,
        name=name,
        label=part.label,
        group=part.group,
        values=values,
        lines=np.array(part.lines[piece], np.int64),
    )
