"""Samples and labels as a caller gives them to a network: anything that numpy takes as an array.

Lists, tuples, DataFrames, Series, and arrays of any strides and any whole-number type are accepted.
What does not fit is refused in one sentence, before anything is learned.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

INT8_MIN, INT8_MAX = -128, 127


def int8_samples(samples: ArrayLike, inputs: int) -> NDArray[np.int8]:
    """Samples [n, inputs] as contiguous int8; n may be 0.

    Raises:
        ValueError: they are not 8-bit whole numbers, or have another shape.
    """
    array = _table(samples, inputs)
    if array.dtype == np.int8:
        return np.ascontiguousarray(array)
    _check_kind(array, "samples", INT8_MIN, INT8_MAX, "; quantize_inputs makes int8 of scaled ones")
    _check_range(array, "samples", INT8_MIN, INT8_MAX)
    return np.ascontiguousarray(array, np.int8)


def int8_sample(sample: ArrayLike, inputs: int) -> NDArray[np.int8]:
    """One sample [inputs] as contiguous int8.

    Raises:
        ValueError: as `int8_samples`.
    """
    array = _array(sample, "a sample")
    if array.ndim != 1:
        raise ValueError(f"one sample must be [{inputs}], not {list(array.shape)}")
    checked: NDArray[np.int8] = int8_samples(array[np.newaxis], inputs)[0]
    return checked


def real_samples(samples: ArrayLike, inputs: int) -> NDArray[Any]:
    """Samples [n, inputs] of any real type, as they are; n is at least 1.

    Raises:
        ValueError: they are not real numbers, have another shape, or are none at all.
    """
    array = _table(samples, inputs)
    if len(array) == 0:
        raise ValueError("there are no samples")
    if array.dtype.kind not in "biuf" and not _holds_only(array, Real):
        raise ValueError(f"samples must be real numbers, not {array.dtype}")
    return array


def class_labels(labels: ArrayLike, classes: int, samples: int) -> NDArray[np.int64]:
    """Labels [samples] as int64.

    Raises:
        ValueError: they are not whole numbers 0 .. classes - 1, or not one per sample.
    """
    array = _array(labels, "labels")
    if array.shape != (samples,):
        raise ValueError(
            f"{samples} samples need labels [{samples}], one each, not {list(array.shape)}"
        )
    if samples == 0:
        return np.empty(0, np.int64)
    _check_kind(array, "labels", 0, classes - 1, "")
    _check_range(array, "labels", 0, classes - 1)
    return array.astype(np.int64)


def class_label(label: ArrayLike, classes: int) -> int:
    """One label.

    Raises:
        ValueError: it is not a whole number 0 .. classes - 1.
    """
    return int(class_labels(np.asarray(label)[np.newaxis], classes, 1)[0])


def _array(values: ArrayLike, what: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{what} must form an array, but their rows differ in length") from error


def _table(samples: ArrayLike, inputs: int) -> NDArray[Any]:
    array = _array(samples, "samples")
    if array.shape == (0,):  # an empty list
        return np.empty((0, inputs), np.int8)
    if array.ndim != 2 or array.shape[1] != inputs:
        raise ValueError(f"samples must be [n, {inputs}], not {list(array.shape)}")
    return array


def _check_kind(array: NDArray[Any], what: str, low: int, high: int, mend: str) -> None:
    if array.dtype.kind not in "biu" and not _holds_only(array, Integral):
        raise ValueError(f"{what} must be whole numbers {low} .. {high}, not {array.dtype}{mend}")


def _holds_only(array: NDArray[Any], kind: type) -> bool:
    """Whether objects are numbers: Python integers too wide for numpy, or pandas' Int64."""
    return array.dtype.kind == "O" and all(isinstance(value, kind) for value in array.flat)


def _check_range(array: NDArray[Any], what: str, low: int, high: int) -> None:
    for extreme in (int(array.min()), int(array.max())) if array.size else ():
        if not low <= extreme <= high:
            raise ValueError(f"{what} must lie in {low} .. {high}, but one is {extreme}")
