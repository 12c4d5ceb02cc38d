"""A table's file as rows of text: how it is written, and where each row begins."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from spela_mcu.data.files import open_error
from spela_mcu.errors import UserError
from spela_mcu.files import check_regular
from spela_mcu.spec.data import WHITESPACE, CsvData
from spela_mcu.spec.document import quoted

ShareRead = Callable[[float], None]
"""Is told the share of the file that has been read, 0 to 1."""

_ROWS_A_REPORT = 1000
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_GZIP = b"\x1f\x8b"
_WORKBOOK = "is an Excel workbook, not text", "save the sheet as CSV (in Excel: CSV UTF-8)"
_OTHER_FORMATS = {
    b"PK\x03\x04": ("is a zip archive, not text", "unpack it, and name the file in it"),
    b"\xd0\xcf\x11\xe0": _WORKBOOK,
    b"PAR1": ("is a Parquet file, not text", "save it as CSV"),
    b"\xff\xfe": ("is UTF-16 text", "save it as UTF-8 (in Excel: CSV UTF-8)"),
    b"\xfe\xff": ("is UTF-16 text", "save it as UTF-8 (in Excel: CSV UTF-8)"),
}


@dataclass(frozen=True)
class Layout:
    """How the rows of a file are written.

    Attributes:
        delimiter: between cells; None for runs of spaces and tabs.
        comment: the text that skipped lines begin with.
        ending: what follows the last cell of each row: a delimiter, a semicolon or nothing.
        told: whether the first line is Excel's ``sep=;``, which names the delimiter.
    """

    delimiter: str | None
    comment: str | None = None
    ending: str = ""
    told: bool = False

    def cells(self, row: str) -> list[str]:
        """The cells of a row, without the spaces around them."""
        return [cell.strip() for cell in self._cut(row.strip(self._blank))]

    def goes_on(self, line: str) -> bool:
        """Whether a quoted cell is open at the line's end.

        Only a quote at the beginning of a cell opens one, as in numpy.
        """
        return line.count('"') % 2 == 1 and self._cut(line.rstrip("\r\n") + "\n")[-1][-1:] == "\n"

    def is_blank(self, row: str) -> bool:
        """Whether a row is blank, without even empty cells."""
        return not row.strip(self._blank)

    @property
    def _blank(self) -> str | None:
        """The characters stripped around a row; None: all white space."""
        return None if self.delimiter is None else " "

    def _cut(self, row: str) -> list[str]:
        lines: Iterable[str] = io.StringIO(row, newline="")
        if self.delimiter is None:
            lines = (line.replace("\t", " ") for line in lines)
            return next(csv.reader(lines, delimiter=" ", skipinitialspace=True), [""])
        return next(csv.reader(lines, delimiter=self.delimiter), [""])


@contextmanager
def open_rows(path: Path, layout: Layout, share_read: ShareRead | None = None) -> Iterator[Rows]:
    """The rows of a file, gzipped or not; a failure to read them becomes a UserError."""
    try:
        check_regular(path)
        with path.open("rb") as file, _text(file, path) as stream:
            size = path.stat().st_size or 1
            report = None if share_read is None else lambda: share_read(file.tell() / size)
            yield Rows(path, stream, layout, report)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"cannot be decompressed: {error}",
            mend="the file was cut off or altered: copy it again",
            file=path,
        ) from error
    except OSError as error:
        raise open_error(error, path) from error
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", mend="save it as UTF-8", file=path) from error
    except csv.Error as error:
        raise UserError(
            f"cannot be read as a table: {error}", mend="check its quotes", file=path
        ) from error


def _text(file: BinaryIO, path: Path) -> TextIO:
    begin = file.read(4)
    file.seek(0)
    for mark, other in _OTHER_FORMATS.items():
        if begin.startswith(mark):
            reason, mend = _WORKBOOK if _is_new_workbook(path) else other
            raise UserError(reason, mend=mend, file=path)
    binary = gzip.GzipFile(fileobj=file) if begin.startswith(_GZIP) else file
    return io.TextIOWrapper(cast(BinaryIO, binary), encoding="utf-8-sig", newline="")


def _is_new_workbook(path: Path) -> bool:
    """Whether it is a zip archive of Excel's (.xlsx)."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith("xl/") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


@dataclass
class Rows:
    """The rows of a stream as text, without blank lines and comments.

    Attributes:
        lines: the line on which each row began.
        comments: number of comment lines met so far.
    """

    path: Path
    stream: TextIO
    layout: Layout
    report: Callable[[], None] | None = None
    lines: list[int] = field(default_factory=list)
    comments: int = 0

    def __iter__(self) -> Iterator[str]:
        line = 0
        comment, ending, told = self.layout.comment, self.layout.ending, self.layout.told
        for row in self.stream:
            first, line = line + 1, line + 1
            if told and first == 1:
                continue
            if comment is not None and row.lstrip().startswith(comment):
                self.comments += 1
                continue
            if self.layout.goes_on(row):
                parts = [row, *self._rest_of_quoted(first)]
                line += len(parts) - 1
                row = "".join(parts)  # noqa: PLW2901
            text = row.rstrip("\r\n")
            if self.layout.is_blank(text):
                continue
            self.lines.append(first)
            if self.report is not None and len(self.lines) % _ROWS_A_REPORT == 0:
                self.report()
            yield _without(text, ending) if ending else text

    def _rest_of_quoted(self, first: int) -> Iterator[str]:
        """The lines on which a quoted cell continues."""
        for row in self.stream:
            yield row
            if row.count('"') % 2:
                return
        raise UserError(
            "a quote is opened here and never closed",
            mend='close it, or remove it; inside a quoted cell a quote is written twice: ""',
            file=self.path,
            line=first,
        )


def _without(row: str, ending: str) -> str:
    # A tab as the ending is white space too, so only what surrounds it is cut off.
    cut = row.rstrip(" ") if ending == "\t" else row.rstrip()
    return cut.removesuffix(ending)


def layout_of(data: CsvData) -> tuple[Layout, list[str], list[str]]:
    """How the file is written, and the cells of its first two rows.

    Raises:
        UserError: it cannot be read, or is empty.
    """
    layout = Layout(None if data.delimiter == WHITESPACE else data.delimiter, data.comment)
    with open_rows(data.path, layout) as rows:
        found = iter(rows)
        first = next(found, None)
        if first is not None and (told := _SEPARATOR_LINE.fullmatch(first.strip(" "))):
            layout = Layout(_told_delimiter(data, told[1]), data.comment, told=True)
            first = next(found, None)
        if first is None:
            raise UserError("the file is empty", mend="give a row a sample", file=data.path)
        second = next(found, "")
    layout = Layout(layout.delimiter, layout.comment, _ending(layout, first, second), layout.told)
    cells = [layout.cells(_without(row, layout.ending)) for row in (first, second)]
    return layout, cells[0], cells[1] if second else []


def _told_delimiter(data: CsvData, told: str) -> str:
    if "delimiter" in data.model_fields_set and data.delimiter != told:
        raise UserError(
            f"the first line says that {quoted(told)} stands between cells, data.delimiter "
            f"that {quoted(data.delimiter)} does",
            mend="remove data.delimiter, or the first line",
            file=data.path,
            line=1,
        )
    return told


def _ending(layout: Layout, first: str, second: str) -> str:
    """What follows the last cell of all rows, judging by the first two."""
    delimiter = layout.delimiter
    if delimiter != ";" and second.rstrip().endswith(";"):
        return ";"
    if delimiter is None:
        return ""
    one, two = layout.cells(first), layout.cells(second) if second else [""]
    both = one[-1] == two[-1] == ""
    # Either the header or the rows may lack the last delimiter that the others have.
    header_lacks_it = two[-1] == "" and len(two) == len(one) + 1
    header_alone = one[-1] == "" and len(one) == len(two) + 1
    several = len(one) > 1
    return delimiter if several and (both or header_lacks_it or header_alone) else ""
