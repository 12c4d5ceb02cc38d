"""The resolution that int8 leaves to the inputs: which lose it to a range too wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import INPUT_MAX, Dataset, InputScaling
from spela_mcu.data.scaling import Scaling
from spela_mcu.errors import UserError
from spela_mcu.notice import Notice, listed
from spela_mcu.spec.data import DataSection

LEAST_STEPS = 16
"""Of the 255 steps of int8, an input that varies should use at least this many."""

_DARK_SHARE = 0.1  # pictures have dark corners, whose noise may be lost
_ROWS_LOOKED_AT = 10_000  # enough for quantiles to a hundredth
_MIDDLE = (5, 95)  # percentiles: an input constant between them varies too seldom to count
_FENCE = 10.0  # interquartile ranges beyond the quartiles: Tukey's outer fences lie at 3
_MOST_OUTLIERS = 0.1  # what is more frequent is not an outlier but part of the distribution


def check_resolution(
    x: NDArray[Any], dataset: Dataset, kind: Scaling, data: DataSection
) -> Iterator[Notice]:
    """Looks for inputs that use too few steps.

    Args:
        x: raw training inputs [n, inputs].
        dataset: the data set made from them.
        kind: the kind of scaling.
        data: the model's data section.

    Raises:
        UserError: an input loses its resolution to a scaling that the model does not state.
    """
    scaling, names = dataset.scaling, dataset.input_names
    lost = [] if kind == "per_feature" else _lost(x, scaling)
    pictures = len(dataset.input_shape) > 1
    if lost and not (pictures and len(lost) < _DARK_SHARE * x.shape[1]):
        fewer = (
            f"scaling {kind} leaves {len(lost)} of {x.shape[1]} inputs fewer than {LEAST_STEPS} of "
            f"the 255 steps of int8: {listed([names[index] for index in lost])}"
        )
        mend = "set data.scaling: per_feature, which gives each input a range of its own"
        if data.input_range is not None:
            mend = (
                "state the range of the raw inputs as data.input_range, or remove it and set "
                "data.scaling: per_feature, which gives each input a range of its own"
            )
        if data.scaling is None:
            raise UserError(fewer, mend=f"{mend}; {kind} can be stated too", key="data.scaling")
        yield Notice(fewer, mend)
    elif data.input_range is None:
        yield from _made_by_outliers(x, kind, names)


def _lost(x: NDArray[Any], scaling: InputScaling) -> list[int]:
    """Inputs that vary, but over fewer steps."""
    span = x.max(axis=0).astype(np.float64) - x.min(axis=0)
    few = np.flatnonzero((span > 0) & (INPUT_MAX * span * scaling.scale < LEAST_STEPS))
    if not len(few):
        return []
    low, high = np.percentile(_some(x)[:, few], _MIDDLE, axis=0)
    return [int(index) for index in few[high > low]]


def _made_by_outliers(x: NDArray[Any], kind: Scaling, names: Sequence[str]) -> Iterator[Notice]:
    if kind == "per_feature":
        found = [names[index] for index in _few_without_outliers(x, _some(x))]
        what = f"the range of {listed(found)}" if found else ""
    else:
        some = _some(x).reshape(-1, 1)
        what = "the range of all inputs" if _few_without_outliers(x.reshape(-1, 1), some) else ""
    if what:
        yield Notice(
            f"{what} is made by a few outliers, which leave all others fewer than {LEAST_STEPS} "
            "of the 255 steps of int8",
            "remove or correct these samples, limit the values, or take their logarithm",
        )


def _few_without_outliers(x: NDArray[Any], some: NDArray[Any]) -> list[int]:
    """Columns that vary, but, outliers aside, over few of the steps of their whole range.

    Args:
        x: [n, columns].
        some: some of its rows, enough for quantiles.
    """
    low, first, third, high = np.percentile(some, (_MIDDLE[0], 25, 75, _MIDDLE[1]), axis=0)
    # If half of the values are equal, quartiles say nothing about the others.
    spread = np.where(third > first, third - first, high - low)
    least = LEAST_STEPS / (2 * INPUT_MAX) * (x.max(axis=0).astype(np.float64) - x.min(axis=0))
    found = []
    for index in np.flatnonzero((spread > 0) & (spread < least)):
        values = x[:, index].astype(np.float64)
        fence = _FENCE * spread[index]
        inside = values[(values >= first[index] - fence) & (values <= third[index] + fence)]
        few = len(values) - len(inside) <= _MOST_OUTLIERS * len(values)
        if few and np.ptp(inside) < least[index]:
            found.append(int(index))
    return found


def _some(x: NDArray[Any]) -> NDArray[Any]:
    """Rows spread evenly over all."""
    return x[:: -(-len(x) // _ROWS_LOOKED_AT)]
