"""Samples and labels as a source gives them, before they are split and scaled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.recording import Recording
from spela_mcu.errors import UserError
from spela_mcu.notice import Notice


@dataclass(frozen=True)
class RawPart:
    """Samples with their labels.

    Attributes:
        x: [n, ...], any real type.
        labels: [n], integers or text.
    """

    x: NDArray[Any]
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class RawData:
    """What a source adapter returns.

    Attributes:
        samples: all samples; the training samples if the source has its own test part.
        test: the source's own test part.
        class_names: the names of labels 0, 1, ..., if the source has them.
        groups: [n], any values; samples of the same group stay on one side of a split.
        file: the file named in errors about single samples.
        lines: [n], the line of each sample in that file.
        columns: the name of each feature, if the source has them.
        notices: oddities that the source found.
        left_out: what part of the data is not among the samples, in words.
        recordings: what samples were cut from, if they are windows of series.
    """

    samples: RawPart
    test: RawPart | None = None
    class_names: tuple[str, ...] | None = None
    groups: NDArray[Any] | None = None
    file: Path | None = None
    lines: NDArray[np.int64] | None = None
    columns: tuple[str, ...] | None = None
    notices: tuple[Notice, ...] = ()
    left_out: tuple[str, ...] = ()
    recordings: tuple[Recording, ...] | None = None


def sample_error(
    raw: RawData, index: int, reason: str, mend: str, *, column: str | None = None, part: str = ""
) -> UserError:
    """An error about one sample, with its line if the source knows it.

    Args:
        raw: the data.
        index: the sample, counted from 0 in its part.
        reason: what is wrong.
        mend: what to do about it.
        column: the name of the feature at fault.
        part: ``"test "`` for a sample of the test part.
    """
    key = None if column is None else f"column {column}"
    if raw.lines is not None:
        return UserError(reason, mend=mend, file=raw.file, line=int(raw.lines[index]), key=key)
    place = f"{part}sample {index} (counted from 0)"
    return UserError(
        f"{place}: {reason}" if key is None else f"{place}, {key}: {reason}",
        mend=mend,
        file=raw.file,
        key="data" if raw.file is None else None,
    )
