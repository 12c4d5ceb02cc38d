"""Samples for a device: int8, from a file or from a model's data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from spela_mcu.errors import UserError
from spela_mcu.files import check_regular


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples to infer.

    Attributes:
        x: int8 [n, inputs].
        y: labels int64 [n], if they are known.
    """

    x: NDArray[np.int8]
    y: NDArray[np.int64] | None

    def first(self, limit: int | None) -> Samples:
        """The first `limit` of them; None: all."""
        return Samples(self.x[:limit], None if self.y is None else self.y[:limit])


def read_samples(file: Path, inputs: int, classes: int) -> Samples:
    """Reads samples from a file.

    Args:
        file: ``.npz`` with integers x [n, inputs] and optionally y [n], or ``.csv`` with one sample
            per line: integers separated by commas, optionally followed by the label.
        inputs: number of inputs of a sample.
        classes: number of classes; labels count from 0.

    Raises:
        UserError: the file cannot be read, or does not hold such samples.
    """
    try:
        check_regular(file)
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                x, y = arrays["x"], arrays.get("y")
        elif file.suffix == ".csv":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that there are none is told below
                rows = np.loadtxt(file, delimiter=",", ndmin=2, encoding="utf-8-sig")
            if np.all(rows == np.rint(rows)) and np.all(np.abs(rows) < 2**53):
                rows = rows.astype(np.int64)
            x, y = rows[:, :inputs], rows[:, inputs] if rows.shape[1] == inputs + 1 else None
            if rows.shape[1] > inputs + 1:
                x = rows
        else:
            raise UserError(
                "is neither .npz nor .csv", mend="`--data model.yaml` takes raw data", file=file
            )
    except FileNotFoundError as error:
        raise UserError(
            "no such file", mend="name one with --input, or a model.yaml with --data", file=file
        ) from error
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        raise UserError(
            f"cannot be read as samples: {error}",
            mend=".npz needs an array x [n, inputs]; .csv one sample a line, integers only",
            file=file,
        ) from error
    return _checked(file, x, y, inputs, classes)


def _checked(
    file: Path, x: NDArray[Any], y: NDArray[Any] | None, inputs: int, classes: int
) -> Samples:
    problem, mend = "", "`--data model.yaml` takes raw data instead"
    if x.ndim < 2 or not len(x):
        problem = f"holds no samples (x is {list(x.shape)})"
    elif int(np.prod(x.shape[1:])) != inputs:
        problem = f"a sample has {int(np.prod(x.shape[1:]))} values, and the model {inputs} inputs"
    elif not np.issubdtype(x.dtype, np.integer) or x.min() < -128 or x.max() > 127:
        problem = "samples are not integers from -128 to 127, as the chip takes them"
        mend = (
            "quantise raw values as the model's header says, round((raw - offset) * scale) within "
            "-127 and 127; or have the test part of a model.yaml quantised: --data model.yaml"
        )
    elif y is not None and (y.shape != x.shape[:1] or not np.issubdtype(y.dtype, np.integer)):
        problem = f"labels are not one integer a sample (y is {y.dtype} {list(y.shape)})"
    elif y is not None and (wrong := np.flatnonzero((y < 0) | (y >= classes))).size:
        problem = f"sample {wrong[0]} (counted from 0) has label {y[wrong[0]]} of {classes} classes"
        mend = f"labels count the classes from 0 to {classes - 1}"
    if problem:
        raise UserError(problem, mend=mend, file=file)
    return Samples(
        x.reshape(len(x), inputs).astype(np.int8), None if y is None else y.astype(np.int64)
    )


def samples_of_model(model: Path, inputs: int, classes: int) -> Samples:
    """The test part of a model.yaml's data, scaled and quantised.

    Raises:
        UserError: the model.yaml or its data is wrong, or has other inputs or classes than the
            project.
    """
    from spela_mcu.data.load import load_dataset
    from spela_mcu.spec.load import load_spec

    dataset = load_dataset(load_spec(model), model, progress=True)
    values = prod(dataset.sample_shape)
    if (values, dataset.classes) != (inputs, classes):
        raise UserError(
            f"its samples have {values} values of {dataset.classes} classes, and the "
            f"project's model {inputs} inputs and {classes} classes",
            mend="name the model.yaml that the project was generated from",
            file=model,
        )
    return Samples(dataset.test.samples, dataset.test.y)
