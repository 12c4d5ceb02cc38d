"""Which columns of a table are features, and which is the label."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spela_mcu.data.csv_rows import Layout
from spela_mcu.errors import UserError
from spela_mcu.spec.data import CsvData
from spela_mcu.spec.document import quoted
from spela_mcu.spec.faults import nearest

TRUTHS = {"true": 1.0, "false": 0.0}
"""Cells that are taken for numbers too, in lower case."""

_PLAIN = re.compile(r"[0-9]{1,5}|[A-Za-z_][\w ()/.-]*")
_YAML_WORDS = {"true", "false", "null"}


@dataclass(frozen=True)
class Columns:
    """The columns of a table.

    Attributes:
        names: of all columns; the index of a column without a name.
        label: index of the label column.
        features: indices of the columns that become inputs, in order.
        truths: indices of the features whose first cell is True or False.
    """

    names: tuple[str, ...]
    label: int
    features: tuple[int, ...]
    truths: frozenset[int]

    @property
    def left_out(self) -> tuple[int, ...]:
        """Indices of the columns that are neither features nor the label."""
        used = {self.label, *self.features}
        return tuple(index for index in range(len(self.names)) if index not in used)

    def in_yaml(self, indices: Iterable[int]) -> str:
        """Columns as a list in model.yaml names them."""
        return in_yaml([self.names[index] for index in indices])


def in_yaml(names: Sequence[str]) -> str:
    """Column names as a list in model.yaml; a short number is an index.

    >>> in_yaml(["time", "0", "a, b"])
    '[time, 0, "a, b"]'
    """
    return f"[{', '.join(map(_in_yaml, names))}]"


def _in_yaml(name: str) -> str:
    plain = _PLAIN.fullmatch(name) and name.lower() not in _YAML_WORDS
    return name if plain else json.dumps(name, ensure_ascii=False)


def columns_of(data: CsvData, layout: Layout, first: list[str], second: list[str]) -> Columns:
    """Finds the columns that model.yaml names.

    Args:
        data: the model's section for the file.
        layout: how the file's rows are written.
        first: the cells of its first row.
        second: the cells of its second row.

    Raises:
        UserError: a column is missing, named twice, or both label and feature, or no feature is
            left.
    """
    names = _names(data, layout, first)
    label = _index(data, names, data.label, "data.label")
    if data.features is not None:
        features = [_index(data, names, column, "data.features") for column in data.features]
        if label in features:
            raise UserError(
                f"column {names[label]} is the label",
                mend="remove it from data.features",
                file=data.path,
                key="data.features",
            )
    else:
        ignored = {_index(data, names, column, "data.ignore") for column in data.ignore or ()}
        if label in ignored:
            raise UserError(
                f"column {names[label]} is the label",
                mend="set data.label to another column, or remove it from data.ignore",
                file=data.path,
                key="data.ignore",
            )
        features = [at for at in range(len(names)) if at not in ignored and at != label]
    if not features:
        raise UserError(
            "no column is left as a feature",
            mend="ignore fewer columns" if data.ignore else "give features and a label",
            file=data.path,
            key="data.ignore" if data.ignore else None,
        )
    sample = second if data.header else first
    truths = {at for at, cell in enumerate(sample) if cell.lower() in TRUTHS}
    return Columns(tuple(names), label, tuple(features), frozenset(truths & set(features)))


def _names(data: CsvData, layout: Layout, cells: list[str]) -> list[str]:
    if len(cells) < 2:
        between = (
            "white space"
            if layout.delimiter is None
            else '"' + layout.delimiter.replace("\t", "\\t") + '"'
        )
        raise UserError(
            f"the first row has a single cell when cut at {between}",
            mend=_other_delimiter(cells[0]),
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


def _other_delimiter(cell: str) -> str:
    if cell[:1] in ("#", "%"):
        return f'set data.comment: "{cell[0]}" if the line is a comment'
    other = next((mark for mark in ";\t|," if mark in cell), None)
    if other is not None:
        return 'set delimiter: "' + other.replace("\t", "\\t") + '"'
    return "set delimiter: whitespace" if len(cell.split()) > 1 else "give features and a label"


def _index(data: CsvData, names: list[str], column: str | int, key: str) -> int:
    if isinstance(column, int):
        if not -len(names) <= column < len(names):
            raise UserError(
                f"there is no column {column}: the first row has {len(names)} cells",
                mend=f"count columns from 0 to {len(names) - 1}, or -1 for the last",
                file=data.path,
                key=key,
            )
        return column % len(names)
    matches = [index for index, name in enumerate(names) if name == column]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UserError(
            f"{len(matches)} columns are named {quoted(column)}",
            mend=f"set {key} to the index of one: {', '.join(map(str, matches))}",
            file=data.path,
            line=1,
        )
    likely = nearest(column, names)
    listed = ", ".join(names[:8]) + (f", ... ({len(names)})" if len(names) > 8 else "")
    raise UserError(
        f"no column is named {quoted(column)}",
        mend=f'did you mean "{likely}"?' if likely else f"the columns are {listed}",
        file=data.path,
        line=1,
    )


def is_number(text: str) -> bool:
    """Whether numpy reads a cell as a number, `nan` and `inf` included."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python reads 1_000, numpy does not
