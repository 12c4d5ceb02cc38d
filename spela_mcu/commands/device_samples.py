"""Samples for a device: from a CSV, an NPZ, a part of the model's data, or the standard input."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TextIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from spela_mcu.commands.device import Session
from spela_mcu.commands.device_tables import Labels, Sample, quantizer, rows_of
from spela_mcu.data.dataset import Split
from spela_mcu.data.files import open_error
from spela_mcu.device.samples import read_samples
from spela_mcu.errors import UserError
from spela_mcu.files import check_regular
from spela_mcu.front_end.raw import to_raw
from spela_mcu.front_end.rows import samples as samples_of

STDIN = "-"

Part = Literal["train", "validation", "test"]


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


@dataclass(frozen=True)
class Stream:
    """Samples one by one; `total` is their number, None if nobody knows."""

    samples: Iterator[Sample]
    total: int | None


def open_stream(session: Session, chosen: Chosen) -> Stream:
    """The samples that a command line names.

    With a model.yaml the values of a file are raw, and become int8 as it says: with a front end,
    its sensor's readings, of which the device's samples are made here. Without one they are int8
    already.

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
    if raw.ndim < 2 or not len(raw) or raw.dtype.kind not in "biuf":
        raise _shape_error(raw, f"[n, {info.inputs}]", file)
    if y is not None and y.shape != raw.shape[:1]:
        raise UserError(
            f"there are {len(raw)} samples, and y is {list(y.shape)}",
            mend="give one label a sample",
            file=file,
        )
    names = Labels(session)
    x = _of_array(session, raw, file)
    return [
        Sample(one, None if y is None else names.of(str(y[index]), file, None))
        for index, one in enumerate(x)
    ]


def _of_array(session: Session, raw: NDArray[Any], file: Path) -> NDArray[np.int8]:
    """Raw values, or windows of readings, as samples [n, inputs]."""
    front_end, section = session.prepared.dataset.front_end, session.prepared.spec.front_end
    if front_end is not None and section is not None:
        window = (front_end.window, len(front_end.axes))
        if raw.shape[1:] not in (window, window[:1] if window[1] == 1 else window):
            raise _shape_error(raw, f"[n, {window[0]}, {window[1]}], readings of each axis", file)
        windows = raw.reshape(len(raw), *window)
        return samples_of(front_end, to_raw(windows, section.readings, section.full_scale).values)
    inputs = session.info.inputs
    if raw[0].size != inputs:
        raise _shape_error(raw, f"[n, {inputs}]", file)
    flat = raw.reshape(len(raw), -1).astype(np.float64)
    return quantizer(session, is_int8=raw.dtype == np.int8)(flat)


def _shape_error(raw: NDArray[Any], wanted: str, file: Path) -> UserError:
    return UserError(
        f"x is {raw.dtype} {list(raw.shape)}, not numbers {wanted}",
        mend="give a row a sample",
        file=file,
    )


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
    reader = rows_of(session, file)
    for number, row in enumerate(csv.reader(_lines(lines)), start=1):
        sample = reader.sample([cell.strip() for cell in row], number)
        if sample is not None:
            yield sample


def _lines(text: TextIO) -> Iterator[str]:
    # Iterating over a text file reads ahead, where a pipe's samples should be seen as they come.
    return iter(text.readline, "")


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
