"""The rows of a table of samples, or of readings that become samples, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spela_mcu.commands.device import Session
from spela_mcu.data.dataset import quantize_inputs
from spela_mcu.data.labels import whole_number
from spela_mcu.data.scaling import apply_scaling
from spela_mcu.errors import UserError
from spela_mcu.front_end.raw import to_raw
from spela_mcu.front_end.stream import Stream as ReadingStream
from spela_mcu.spec.model import ModelSpec

LABEL = "label"
"""The label's column, where the model's data do not name theirs."""

Quantizer = Callable[[NDArray[np.float64]], NDArray[np.int8]]


@dataclass(frozen=True, eq=False)
class Sample:
    """A sample int8 [inputs], and its label if it has one."""

    x: NDArray[np.int8]
    label: int | None


class Rows(Protocol):
    """Takes the rows of one table, the first of which may name the columns."""

    def sample(self, cells: list[str], line: int) -> Sample | None:
        """The sample that a row is, or that is complete with it; None: there is none.

        Raises:
            UserError: the row is none of such a table.
        """


def rows_of(session: Session, file: Path | None) -> Rows:
    """What reads a table: of readings, if the model's front end takes them; else of samples.

    Args:
        session: the device, and its model if one is named.
        file: for messages; None: the standard input.
    """
    if session.known.model is not None and session.prepared.dataset.front_end is not None:
        return _Readings(session, file)
    return _Samples(session, file)


class Labels:
    """Labels as texts: a class's name, or its number."""

    def __init__(self, session: Session) -> None:
        self._names = session.class_names
        known = (session.model_names or (), self._names)
        self._numbers = {name: label for names in known for label, name in enumerate(names)}

    def of(self, text: str, file: Path | None, line: int | None) -> int:
        """The class's number.

        Raises:
            UserError: there is no such class.
        """
        label = self._numbers.get(text)
        if label is None:
            label = whole_number(text)
        if label is None or not 0 <= label < len(self._names):
            raise UserError(
                f'"{text}" is none of the classes',
                mend=f"they are: {', '.join(self._names[:12])}"
                + (" ..." if len(self._names) > 12 else ""),
                file=file,
                line=line,
            )
        return label


class _Samples:
    """A row is a sample."""

    def __init__(self, session: Session, file: Path | None) -> None:
        self._file = file
        self._labels = Labels(session)
        names: Sequence[str] | None = None
        label_name, is_int8 = LABEL, False
        if session.known.model is not None:
            dataset, label_name = session.prepared.dataset, label_column(session.prepared.spec)
            names = dataset.input_names if dataset.backbone is None else None
            is_int8 = dataset.origin is not None and dataset.origin.is_int8
        self._quantize = quantizer(session, is_int8=is_int8)
        self._columns = _Columns(file, session.info.inputs, "a sample", names, label_name)

    def sample(self, cells: list[str], line: int) -> Sample | None:
        """See `Rows`."""
        if not any(cells) or (line == 1 and self._columns.read_header(cells)):
            return None
        values = self._columns.values(cells, line)
        try:
            x = self._quantize(values[np.newaxis])[0]
        except ValueError as error:
            raise self._columns.error(str(error), line) from error
        text = self._columns.label(cells)
        return Sample(x, self._labels.of(text, self._file, line) if text else None)


class _Readings:
    """A row is a reading of a front end's sensor.

    A blank line, or another label, ends a recording: no sample spans two.
    """

    def __init__(self, session: Session, file: Path | None) -> None:
        prepared = session.prepared
        front_end, section = prepared.dataset.front_end, prepared.spec.front_end
        assert front_end is not None
        assert section is not None
        self._file, self._section = file, section
        self._stream = ReadingStream(front_end)
        self._labels = Labels(session)
        self._columns = _Columns(
            file, len(front_end.axes), "a reading", front_end.axes, label_column(prepared.spec)
        )
        self._label = ""

    def sample(self, cells: list[str], line: int) -> Sample | None:
        """See `Rows`."""
        if not any(cells):
            self._stream.restart()
            return None
        if line == 1 and self._columns.read_header(cells):
            return None
        values, text = self._columns.values(cells, line), self._columns.label(cells)
        label = self._labels.of(text, self._file, line) if text else None
        if text != self._label:
            self._stream.restart()
            self._label = text
        try:
            raw = to_raw(values, self._section.readings, self._section.full_scale).values
        except UserError as error:
            raise self._columns.error(error.reason, line) from error
        self._stream.push(raw)
        if not self._stream.ready():
            return None
        x = self._stream.take()
        assert x is not None
        return Sample(x, label)


class _Columns:
    """Which cells of a table's rows are values, and which the label."""

    def __init__(
        self,
        file: Path | None,
        count: int,
        what: str,
        names: Sequence[str] | None,
        label_name: str,
    ) -> None:
        self._file, self._count, self._what = file, count, what
        self._names, self._label_name = names, label_name
        self._columns = list(range(count))
        self._label: int | None = count

    def read_header(self, cells: list[str]) -> bool:
        """Takes a row for the columns' names, if it holds no number."""
        if any(map(_is_number, cells)):
            return False
        at = {name: column for column, name in enumerate(cells)}
        if self._names is not None and set(self._names) <= at.keys():
            self._columns = [at[name] for name in self._names]
            self._label = at.get(self._label_name)
        elif self._label_name in at:
            self._label = at[self._label_name]
            others = [column for column in range(len(cells)) if column != self._label]
            self._columns = others[: self._count]
        return True

    def values(self, cells: list[str], line: int) -> NDArray[np.float64]:
        """The values of a row, finite."""
        if len(cells) <= max(self._columns):
            raise self.error(
                f"{self._what} has {self._count} values, and here are {len(cells)} cells", line
            )
        try:
            values = np.array([float(cells[column]) for column in self._columns])
        except ValueError as error:
            raise self.error(f"{error}", line) from error
        if not np.isfinite(values).all():
            raise self.error("a value is not finite", line)
        return values

    def label(self, cells: list[str]) -> str:
        """The label of a row; empty: it has none."""
        return "" if self._label is None or self._label >= len(cells) else cells[self._label]

    def error(self, reason: str, line: int) -> UserError:
        """What is wrong with a row."""
        mend = f"give {self._count} numbers a line, and the label after them if there is one"
        return UserError(reason, mend=mend, file=self._file, line=line)


def label_column(spec: ModelSpec) -> str:
    """The name of the label's column in a table of the model's samples."""
    name = getattr(spec.data, "label_column", None) or getattr(spec.data, "label", LABEL)
    return name if isinstance(name, str) else LABEL


def quantizer(session: Session, *, is_int8: bool) -> Quantizer:
    """Values [n, inputs] to int8, as the model says; without a model they are that already.

    Args:
        session: the device, and its model if one is named.
        is_int8: the values may be a backbone's inputs already. Any other model's values are raw.
    """
    if session.known.model is None:
        return _whole
    dataset = session.prepared.dataset
    if dataset.backbone is not None:
        backbone = dataset.backbone

        def pictures(values: NDArray[np.float64]) -> NDArray[np.int8]:
            from spela_mcu.backbone.network import quantize

            return quantize(backbone, values.astype(np.float32)).reshape(len(values), -1)

        return _whole if is_int8 else pictures

    def scaled(values: NDArray[np.float64]) -> NDArray[np.int8]:
        return quantize_inputs(apply_scaling(values, dataset.scaling))

    return scaled


def _whole(values: NDArray[np.float64]) -> NDArray[np.int8]:
    whole = np.rint(values)
    if (whole != values).any() or (np.abs(whole + 0.5) > 128).any():
        raise ValueError(
            "values must be whole numbers from -128 to 127, as the chip takes them; raw ones need "
            "their model.yaml (-m)"
        )
    return whole.astype(np.int8)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
