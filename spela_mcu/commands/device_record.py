"""Labelled samples from a line of text to a CSV that `data.source: csv` reads."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spela_mcu.data.files import open_error
from spela_mcu.data.labels import whole_number
from spela_mcu.errors import UserError
from spela_mcu.files import check_file

SEPARATORS = re.compile(r"[,;\t ]+")
LABEL = "label"


@dataclass
class Recorded:
    """How many samples were recorded, and lines skipped that held none."""

    samples: int = 0
    skipped: int = 0


def record(
    lines: Iterable[str],
    file: Path,
    label: str | None,
    names: Sequence[str] | None = None,
    label_column: str | None = LABEL,
    *,
    apart: bool = False,
) -> Iterator[Recorded]:
    """Appends a row for each line that holds a sample: numbers, with commas or spaces between.

    The first row names the columns. A line with another number of values than the first sample, or
    with anything else than numbers, is skipped: a line may begin in the middle when it is opened.

    Args:
        lines: as they come.
        file: a CSV; one that is there must have the same columns.
        label: of all samples; None: each line's last word.
        names: of the values; None: x0, x1, ...
        label_column: name of the label's column; None: rows are numbers alone, without names.
        apart: put a blank line after what is there: another recording begins.

    Yields:
        After each line, what was recorded so far.

    Raises:
        UserError: the file has other columns, or cannot be written.
    """
    check_file(file)
    columns = _columns(file)
    done = Recorded()
    try:
        with file.open("a", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            if columns is not None and not _ends_with_line(file):
                out.write("\n")
            if columns is not None and apart:
                out.write("\n")
            for line in lines:
                row = _row(line, label, labelled=label_column is not None)
                if row is None or (names is not None and len(row) != len(names) + 1):
                    done.skipped += bool(line.strip())
                    yield done
                    continue
                if label_column is None:
                    columns = columns or row
                    wanted = columns
                else:
                    values = names or [f"x{index}" for index in range(len(row) - 1)]
                    wanted = [*values, label_column]
                if columns is None:
                    columns = wanted
                    writer.writerow(columns)
                elif len(row) != len(columns):
                    if not done.samples:
                        raise _other_columns(file, columns, wanted)
                    done.skipped += 1
                    yield done
                    continue
                elif columns != wanted and not done.samples:
                    raise _other_columns(file, columns, wanted)
                writer.writerow(row)
                out.flush()  # what is recorded stays, however the recording ends
                done.samples += 1
                yield done
    except OSError as error:
        raise open_error(error, file) from error


def _row(line: str, label: str | None, *, labelled: bool) -> list[str] | None:
    """The cells of a line's row, the label last; None: it holds no sample."""
    cells = SEPARATORS.split(line.strip())
    if not labelled:
        return cells if all(map(_is_number, cells)) else None
    if label is None:
        *cells, label = cells
    if not cells or not label or not all(map(_is_number, cells)):
        return None
    return [*cells, label]


def _is_number(cell: str) -> bool:
    if whole_number(cell) is not None:
        return True
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell) is not None


def _columns(file: Path) -> list[str] | None:
    """The first row of a file; None: there is none yet."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            return next(csv.reader(text), None)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, OSError):
            raise open_error(error, file) from error
        raise UserError("is not a CSV in UTF-8", mend="name another file", file=file) from error


def _ends_with_line(file: Path) -> bool:
    with file.open("rb") as content:
        content.seek(-1, 2)
        return content.read() == b"\n"


def _other_columns(file: Path, columns: Sequence[str], wanted: Sequence[str]) -> UserError:
    return UserError(
        f"has the columns {_short(columns)}, and the line's samples {_short(wanted)}",
        mend="name another file",
        file=file,
    )


def _short(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown}, ... {names[-1]} ({len(names)})" if len(names) > 4 else ", ".join(names)
