"""Samples for a device: from a CSV, an NPZ, a part of the model's data, or the standard input."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from spela_mcu.commands.device import Session
from spela_mcu.data.dataset import Split, quantize_inputs
from spela_mcu.data.files import open_error
from spela_mcu.data.labels import whole_number
from spela_mcu.data.scaling import apply_scaling
from spela_mcu.device.samples import read_samples
from spela_mcu.errors import UserError
from spela_mcu.files import check_regular
from spela_mcu.spec.model import ModelSpec

STDIN = "-"
LABEL = "label"
"""The label's column, where the model's data do not name theirs."""

Part = Literal["train", "validation", "test"]
Quantizer = Callable[[NDArray[np.float64]], NDArray[np.int8]]


@dataclass(frozen=True)
class Chosen:
    """Which samples a command line names.

    Attributes:
        file: a .csv or .npz, or STDIN; None: none.
        part: of the model's data; None: none.
        limit: the most samples; None: all.
    """

    file: str | None
    part: Part | None
    limit: int | None = None

    def __bool__(self) -> bool:
        return self.file is not None or self.part is not None


@dataclass(frozen=True, eq=False)
class Sample:
    """A sample int8 [inputs], and its label if it has one."""

    x: NDArray[np.int8]
    label: int | None


@dataclass(frozen=True)
class Stream:
    """Samples one by one; `total` is their number, None if nobody knows."""

    samples: Iterator[Sample]
    total: int | None


def open_stream(session: Session, chosen: Chosen) -> Stream:
    """The samples that a command line names.

    With a model.yaml the values of a file are raw, and become int8 as it says; without one they are
    int8 already.

    Raises:
        UserError: none are named, or they cannot be read. While a stream runs, a line of the
            standard input that holds no sample raises it as well.
    """
    if chosen.file is not None and chosen.part is not None:
        raise UserError(
            "there are both a file and a part of the model's data", mend="name one of them"
        )
    if chosen.part is not None:
        return _of_part(getattr(session.prepared.dataset, chosen.part), chosen.limit)
    if chosen.file is None:
        raise UserError(
            "no samples are named",
            mend="name a .csv or .npz, - for the standard input, or --split with a model.yaml",
        )
    if chosen.file == STDIN:
        return Stream(islice(_of_text(session, sys.stdin, None), chosen.limit), None)
    file = Path(chosen.file)
    if file.suffix == ".npz":
        samples = _of_npz(session, file)
    elif file.suffix == ".csv":
        samples = _of_csv(session, file)
    else:
        raise UserError(
            "is neither .npz nor .csv",
            mend="name one of these, or - for the standard input",
            file=file,
        )
    samples = samples[: chosen.limit]
    return Stream(iter(samples), len(samples))


def _of_part(part: Split, limit: int | None) -> Stream:
    taken = part.take(slice(limit))
    pairs = zip(taken.samples, taken.y.tolist(), strict=True)
    return Stream((Sample(x, label) for x, label in pairs), len(taken))


def _of_npz(session: Session, file: Path) -> list[Sample]:
    info = session.info
    if session.known.model is None:
        found = read_samples(file, info.inputs, info.classes)
        labels = [None] * len(found.x) if found.y is None else found.y.tolist()
        return [Sample(x, label) for x, label in zip(found.x, labels, strict=True)]
    try:
        check_regular(file)
        with np.load(file, allow_pickle=False) as arrays:
            raw, y = np.asarray(arrays["x"]), arrays.get("y")
    except OSError as error:
        raise open_error(error, file) from error
    except (ValueError, KeyError, BadZipFile, EOFError) as error:
        raise UserError(
            f"cannot be read as samples: {error}",
            mend="an .npz needs an array x [n, inputs], and y [n] if there are labels",
            file=file,
        ) from error
    if raw.ndim < 2 or raw[0].size != info.inputs or not len(raw) or raw.dtype.kind not in "biuf":
        raise UserError(
            f"x is {raw.dtype} {list(raw.shape)}, not numbers [n, {info.inputs}]",
            mend="give a row a sample",
            file=file,
        )
    if y is not None and y.shape != raw.shape[:1]:
        raise UserError(
            f"there are {len(raw)} samples, and y is {list(y.shape)}",
            mend="give one label a sample",
            file=file,
        )
    names = _Labels(session)
    x = _quantizer(session)(raw.reshape(len(raw), -1).astype(np.float64))
    return [
        Sample(one, None if y is None else names.of(str(y[index]), file, None))
        for index, one in enumerate(x)
    ]


def _of_csv(session: Session, file: Path) -> list[Sample]:
    try:
        check_regular(file)
        with file.open(encoding="utf-8-sig", newline="") as text:
            samples = list(_of_text(session, text, file))
    except OSError as error:
        raise open_error(error, file) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"is not CSV in UTF-8 ({error})", mend="name a CSV of samples", file=file
        ) from error
    if not samples:
        raise UserError("holds no samples", mend="give a line a sample", file=file)
    return samples


def _of_text(session: Session, lines: TextIO, file: Path | None) -> Iterator[Sample]:
    """The samples in lines of comma-separated values, as soon as each line is there."""
    reader = _Rows(session, file)
    for number, row in enumerate(csv.reader(_lines(lines)), start=1):
        sample = reader.sample([cell.strip() for cell in row], number)
        if sample is not None:
            yield sample


def _lines(text: TextIO) -> Iterator[str]:
    # Iterating over a text file reads ahead, where a pipe's samples should be seen as they come.
    return iter(text.readline, "")


class _Labels:
    """Labels as texts: a class's name, or its number."""

    def __init__(self, session: Session) -> None:
        self._names = session.class_names
        known = (session.model_names or (), self._names)
        self._numbers = {name: label for names in known for label, name in enumerate(names)}

    def of(self, text: str, file: Path | None, line: int | None) -> int:
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


class _Rows:
    """Reads the rows of one table, whose first may name the columns."""

    def __init__(self, session: Session, file: Path | None) -> None:
        self._file = file
        self._inputs = session.info.inputs
        self._quantize = _quantizer(session)
        self._labels = _Labels(session)
        self._columns = list(range(self._inputs))
        self._label: int | None = self._inputs
        self._names: Sequence[str] | None = None
        self._label_name = LABEL
        if session.known.model is not None:
            self._names = session.prepared.dataset.input_names
            self._label_name = label_column(session.prepared.spec)

    def sample(self, cells: list[str], line: int) -> Sample | None:
        """The sample of a row; None: it is blank, or names the columns."""
        if not any(cells):
            return None
        if line == 1 and not any(map(_is_number, cells)):
            self._read_header(cells)
            return None
        if len(cells) <= max(self._columns):
            raise self._error(
                f"a sample has {self._inputs} values, and here are {len(cells)} cells", line
            )
        try:
            values = np.array([float(cells[column]) for column in self._columns])
        except ValueError as error:
            raise self._error(f"{error}", line) from error
        if not np.isfinite(values).all():
            raise self._error("a value is not finite", line)
        try:
            x = self._quantize(values[np.newaxis])[0]
        except ValueError as error:
            raise self._error(str(error), line) from error
        text = "" if self._label is None or self._label >= len(cells) else cells[self._label]
        return Sample(x, self._labels.of(text, self._file, line) if text else None)

    def _read_header(self, cells: list[str]) -> None:
        at = {name: column for column, name in enumerate(cells)}
        if self._names is not None and set(self._names) <= at.keys():
            self._columns = [at[name] for name in self._names]
            self._label = at.get(self._label_name)
        elif self._label_name in at:
            self._label = at[self._label_name]
            others = [column for column in range(len(cells)) if column != self._label]
            self._columns = others[: self._inputs]

    def _error(self, reason: str, line: int) -> UserError:
        mend = f"give {self._inputs} numbers a line, and the label after them if there is one"
        return UserError(reason, mend=mend, file=self._file, line=line)


def label_column(spec: ModelSpec) -> str:
    """The name of the label's column in a table of the model's samples."""
    name = getattr(spec.data, "label", LABEL)
    return name if isinstance(name, str) else LABEL


def _quantizer(session: Session) -> Quantizer:
    """Values [n, inputs] to int8, as the model says; without a model they are that already."""
    if session.known.model is None:
        return _whole
    dataset = session.prepared.dataset
    if dataset.backbone is not None:
        backbone = dataset.backbone

        def pictures(values: NDArray[np.float64]) -> NDArray[np.int8]:
            from spela_mcu.backbone.network import quantize

            return quantize(backbone, values.astype(np.float32)).reshape(len(values), -1)

        return pictures

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


def labelled(samples: Iterable[Sample]) -> Iterator[tuple[NDArray[np.int8], int]]:
    """Samples to learn, with their labels.

    Raises:
        UserError: one has none.
    """
    for number, sample in enumerate(samples, start=1):
        if sample.label is None:
            raise UserError(
                f"sample {number} has no label", mend="give it after the values, or name the column"
            )
        yield sample.x, sample.label
