"""Recordings of a sensor, cut into windows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.data.recording import Named, Recording
from spela_mcu.data.series_csv import read_csv
from spela_mcu.data.series_wav import read_wav
from spela_mcu.errors import UserError
from spela_mcu.notice import Notice, listed
from spela_mcu.progress import Progress, silent
from spela_mcu.spec.data import SeriesData

SUFFIXES = (".csv", ".txt", ".wav")


def read(data: SeriesData, show: Progress = silent) -> RawData:
    """Reads all recordings, and cuts each into windows.

    Window k of a recording begins with reading k * step; none spans two recordings.

    Args:
        data: the section of model.yaml.
        show: told of progress.

    Returns:
        Windows [n, window, axes], whole numbers if all recordings hold such; the groups of the
        recordings.

    Raises:
        UserError: a file cannot be read or is not what the section says, or no recording is as
            long as a window.
    """
    files = _files(data.path)
    recordings: list[Recording] = []
    notices: list[Notice] = []
    for index, file in enumerate(files):
        show("reading recordings", index, len(files))
        named = _named(data, file)
        if file.suffix.lower() == ".wav":
            recordings.append(read_wav(data, file, named))
        else:
            found, told = read_csv(data, file, named)
            recordings += found
            notices += told
    show("reading recordings", len(files), len(files))
    _check_axes(recordings)
    whole = [_filled(data, one) if data.fill else one for one in recordings]
    short = [one for one in whole if len(one.values) < data.window]
    kept = [one for one in whole if len(one.values) >= data.window]
    if not kept:
        longest = max((len(one.values) for one in recordings), default=0)
        raise UserError(
            f"no recording is as long as a window of {data.window} readings; the longest has "
            f"{longest}",
            mend=f"set data.window to {longest} or less, or data.fill: true",
            key="data.window",
        )
    if short:
        places = listed([one.place(0) for one in short])
        notices.append(
            Notice(
                f"{len(short)} of {len(recordings)} recordings are shorter than a window, and left "
                f"out: {places}",
                "set data.fill: true, a shorter window, or remove them",
            )
        )
    step = data.step or data.window
    cuts = [(one, _windows(one.values, data.window, step)) for one in kept]
    groups = [one.group if one.group is not None else f"{one.file}/{one.name}" for one in kept]
    return RawData(
        RawPart(
            np.concatenate([windows for _, windows in cuts]),
            np.concatenate([np.full(len(windows), one.label) for one, windows in cuts]),
        ),
        groups=np.concatenate(
            [np.full(len(windows), group) for (_, windows), group in zip(cuts, groups, strict=True)]
        ),
        file=data.path,
        notices=tuple(notices),
        left_out=(f"{len(short)} recordings shorter than a window",) if short else (),
        recordings=tuple(kept),
    )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise UserError(
                "no such file", mend="correct data.path; it is relative to model.yaml", file=path
            )
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    if not found:
        raise UserError(
            "holds no recordings, .csv or .wav",
            mend="put a folder of recordings there for each class",
            file=path,
        )
    return found


def _named(data: SeriesData, file: Path) -> Named:
    """What a file's name and folder tell."""
    folder = file.parent.name if data.path.is_dir() and file.parent != data.path else None
    if data.file_names is None:
        return Named(folder, None)
    match = re.fullmatch(data.file_names, file.stem)
    if match is None:
        raise UserError(
            f"its name does not match data.file_names, {data.file_names}",
            mend="rename or remove the file, or correct the pattern",
            file=file,
        )
    told = match.groupdict()
    return Named(told.get("label", folder), told.get("group"))


def _check_axes(recordings: list[Recording]) -> None:
    first = recordings[0]
    for one in recordings:
        if one.values.shape[1] != first.values.shape[1]:
            raise UserError(
                f"has {one.values.shape[1]} axes, but {first.file} has {first.values.shape[1]}",
                mend="name the columns that all have in data.axes",
                file=one.file,
                line=None if one.lines is None else int(one.lines[0]),
            )


def _filled(data: SeriesData, one: Recording) -> Recording:
    lacking = data.window - len(one.values)
    if lacking <= 0:
        return one
    before = lacking // 2
    return one.with_values(np.pad(one.values, ((before, lacking - before), (0, 0))), before)


def _windows(values: NDArray[Any], window: int, step: int) -> NDArray[Any]:
    starts = range(0, len(values) - window + 1, step)
    return np.stack([values[start : start + window] for start in starts])
